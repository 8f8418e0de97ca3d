// The memory budget held for a long time: five million jobs in a queue, two hundred clients that never read, and large
// requests, against a server with a budget of 512 MiB. Owns the server and prints what it measured; ends non-zero when
// the budget was not kept. Called by `npm run fault:memory`; the short form is test/e2e/memory_budget.test.ts.

import { MiB } from "../../src/units.js";
import { outsideBytesMax, runMemoryLoad } from "../support/memory_load.js";
import { ServerProcess } from "../support/server_process.js";

const memoryBytesMax = 512 * MiB;
const say = (line: string): boolean => process.stdout.write(`${line}\n`);

const server = new ServerProcess({ flags: ["--memory-bytes-max", String(memoryBytesMax)] });
try {
  const outcome = await runMemoryLoad({
    address: await server.ready(),
    pid: server.pid,
    backlogJobs: Number(process.env["CAPSTAN_TEST_JOBS"] ?? 5_000_000),
    deafClients: 200,
    largeClients: 20,
    seconds: Number(process.env["CAPSTAN_TEST_SECONDS"] ?? 120),
    progress: say,
  });
  say(JSON.stringify(outcome));
  const isKept = outcome.peakBytes <= memoryBytesMax + outsideBytesMax;
  say(`the peak of ${Math.round(outcome.peakBytes / MiB)} MiB is ${isKept ? "within" : "beyond"} the budget of 512 MiB
and the stated ${outsideBytesMax / MiB} MiB`);
  if (!isKept || (outcome.refused["busy"] ?? 0) === 0 || outcome.served === 0) process.exitCode = 1;
} catch (error) {
  say(server.stderr.slice(-4000));
  throw error;
} finally {
  await server.dispose();
}
