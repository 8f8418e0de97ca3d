// The entry point of a listener worker's thread: takes what the main thread gave it, runs one ListenerWorker, and does
// as it is told. Owns nothing else. Started by worker_pool.ts; never imported.

import { parentPort, workerData } from "node:worker_threads";
import { assert } from "../assert.js";
import { systemClock } from "../clock.js";
import { createLogger } from "../log.js";
import { native } from "../native.js";
import { ListenerWorker } from "./listener_worker.js";
import type { FromWorker, ToWorker, WorkerStart } from "./messages.js";

assert(parentPort !== null, "a listener worker runs in a thread of its own");
const port = parentPort;
const start = workerData as WorkerStart;
const tell = (message: FromWorker): void => port.postMessage(message);
const heartbeats = new Int32Array(start.heartbeats);
const log = createLogger({
  level: start.config.logLevel,
  format: start.config.logFormat,
  thread: `listener ${start.number}`,
});

const worker = new ListenerWorker({
  native,
  config: start.config,
  version: start.version,
  clock: systemClock,
  log,
  budget: start.budget,
  requestBytesMax: start.requestBytesMax,
  alive: () => Atomics.add(heartbeats, start.number - 1, 1),
  stateChanged: (bits) => tell({ kind: "state", bits }),
  stopped: () => {
    tell({ kind: "stopped" });
    // Nothing keeps the thread any more.
    port.close();
  },
});

port.on("message", (message: ToWorker) => {
  switch (message.kind) {
    case "stop":
      return worker.stop();
    case "cut":
      return worker.cut();
    case "logLevel":
      log.level = message.level;
  }
});
tell({ kind: "started" });
