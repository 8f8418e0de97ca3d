// The budget is kept while clients ask for far more: two hundred that never read, twenty with requests of 12 MiB. The
// others are served meanwhile, and too much is told as `busy`. Owns the server; the long form is `npm run fault:memory`.

import assert from "node:assert/strict";
import { after, test } from "node:test";

import { MiB } from "../../src/units.js";
import { outsideBytesMax, runMemoryLoad } from "../support/memory_load.js";
import { ServerProcess } from "../support/server_process.js";

const memoryBytesMax = 512 * MiB;

const server = new ServerProcess({ flags: ["--memory-bytes-max", String(memoryBytesMax)] });
after(() => server.dispose());

test("the peak of resident memory stays within the budget, whatever clients do", async (context) => {
  const outcome = await runMemoryLoad({
    address: await server.ready(),
    pid: server.pid,
    backlogJobs: 50_000,
    deafClients: 200,
    largeClients: 20,
    seconds: 12,
  });
  context.diagnostic(JSON.stringify(outcome));
  assert.ok(
    outcome.peakBytes <= memoryBytesMax + outsideBytesMax,
    `a peak of ${Math.round(outcome.peakBytes / MiB)} MiB with a budget of ${memoryBytesMax / MiB} MiB`,
  );
  assert.ok((outcome.refused["busy"] ?? 0) > 0, "what does not fit is refused");
  assert.ok(outcome.largeEnqueued > 0 && outcome.largeAcked > 0, "large requests are served one after another");
  assert.ok(outcome.served > 0, "who asks for little is served");
  assert.equal(server.hasExited, false);
});
