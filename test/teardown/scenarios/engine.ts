// A process that opens the engine on a directory and ends in one way. Words: the directory, then
//   while-opening  process.exit after so many turns of the event loop, the next word, whatever the engine has come to
//   end, exit, throw  without engineClose
//   in-worker  opened by a thread that is gone at the end       again  close and open several times
// Run by the tests of this folder's parent.

import assert from "node:assert/strict";
import { once } from "node:events";
import { setImmediate } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { isMainThread, Worker, workerData } from "node:worker_threads";
import { native } from "../../../src/native.js";
import { codecLimits, engineOptions } from "../../../src/server/limits.js";
import { configOn, openEngine } from "../../support/addon_scenario.js";

const [dataDir = "", way = "", turns = "0"] = isMainThread ? process.argv.slice(2) : (workerData as string[]);

switch (way) {
  case "while-opening":
    void native.engineOpen(engineOptions(configOn(dataDir)), () => {});
    for (let turn = 0; turn < Number(turns); turn++) await setImmediate();
    process.exit(5);
    break;
  case "in-worker":
    if (isMainThread) {
      const worker = new Worker(fileURLToPath(import.meta.url), { workerData: [dataDir, way] });
      assert.deepEqual(await once(worker, "exit"), [0]);
      process.stdout.write("thread gone\n");
    } else {
      await openEngine(dataDir);
      // Neither of them is closed: the thread ends as it is.
      native.workerOpen(codecLimits(configOn(dataDir)), () => {});
    }
    break;
  case "again":
    for (let round = 0; round < 3; round++) {
      await openEngine(dataDir);
      const worker = native.workerOpen(codecLimits(configOn(dataDir)), () => {});
      await assert.rejects(native.engineClose(), { code: "workersOpen" });
      native.workerClose(worker);
      await native.engineClose();
      process.stdout.write(`closed ${round}\n`);
    }
    break;
  default: {
    await openEngine(dataDir);
    native.workerOpen(codecLimits(configOn(dataDir)), () => {});
    process.stdout.write("open\n");
    if (way === "exit") process.exit(6);
    if (way === "throw") throw new Error("thrown on purpose");
    assert.equal(way, "end");
  }
}
