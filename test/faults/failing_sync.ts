// One sync of a server under load fails with EIO, as a disk at its end does it: what was not durable by then is gone, for
// the kernel drops such pages. Owns the server, its directory and the clients of one run. Called by failing_sync.test.ts
// and by main.ts.

import assert from "node:assert/strict";
import { mkdirSync, realpathSync, rmSync } from "node:fs";
import { join } from "node:path";
import { checkHistory, type Verdict } from "../support/history_check.js";
import { HistoryLoad } from "../support/history_load.js";
import { beginStore, cutPower, diskEnvironment } from "../support/power_cut.js";
import { preloadLibrary } from "../support/preload.js";
import { SeededRandom } from "../support/seeded_random.js";
import { type Exit, ServerProcess, temporaryDirectory } from "../support/server_process.js";

export interface FailingSync extends Verdict {
  readonly exit: Exit;
  readonly stderr: string;
  /** Jobs answered ok before the failure. */
  readonly sent: number;
}

/** `which`: TEXT:N, the Nth sync of a path that holds TEXT. */
export async function failingSync(which: string, seed: number): Promise<FailingSync> {
  const directory = realpathSync(temporaryDirectory());
  const [dataDir, store, socket] = ["data", "store", "rpc.sock"].map((name) => join(directory, name)) as [
    string,
    string,
    string,
  ];
  mkdirSync(dataDir, { mode: 0o700 });
  let load: HistoryLoad | undefined;
  let server: ServerProcess | undefined;
  const launch = (failing: Record<string, string>): ServerProcess => {
    beginStore(dataDir, store);
    const environment = { ...diskEnvironment(dataDir, store, preloadLibrary("faulty_disk")), ...failing };
    const flags = ["--write-buffer-bytes", "4MiB", "--log-segment-bytes", "1MiB", "--rpc-listen", `unix:${socket}`];
    server = new ServerProcess({ dataDir, flags, environment });
    return server;
  };
  try {
    // The directory is made while the disk is sound.
    const sound = launch({});
    await sound.ready();
    await sound.stop();
    const failing = launch({ FAULTY_DISK_FAIL: which });
    await failing.ready();
    load = new HistoryLoad({
      address: `unix:${socket}`,
      seed,
      producers: 3,
      workers: 2,
      payloadBytesMax: 2000,
      backlogMax: 50_000,
    });
    await load.start();
    const exit = await failing.exited;
    const { sent } = load;
    cutPower(dataDir, store, "lost", new SeededRandom(seed));
    const next = launch({});
    await next.ready();
    await load.stop();
    const verdict = checkHistory(await load.drain());
    await next.stop();
    assert.doesNotMatch(next.stderr, /"level":"(error|fatal)"/, "the restart is clean");
    return { ...verdict, exit, stderr: failing.stderr, sent };
  } finally {
    await load?.abandon();
    await server?.dispose();
    rmSync(directory, { recursive: true, force: true });
  }
}
