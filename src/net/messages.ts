// What the main thread and its listener workers say to each other. Owns the shapes only. Called by worker_pool.ts (main
// thread) and listener_thread.ts (worker).

import type { Config } from "../config.js";

/** Given to a worker when it starts; everything in it survives structured cloning. */
export interface WorkerStart {
  /** 1, 2, 3 … in names and logs. */
  number: number;
  config: Config;
  version: string;
  requestBytesMax: number;
  budget: SharedArrayBuffer;
  /** One Int32 a worker, raised once a second by the worker as a sign of life; by `number - 1`. */
  heartbeats: SharedArrayBuffer;
}

export type ToWorker =
  | { kind: "stop" }
  /** The time for a graceful stop is over: cut what is left. */
  | { kind: "cut" }
  | { kind: "logLevel"; level: string };

export type FromWorker =
  | { kind: "started" }
  /** EngineState bits, whenever they change. */
  | { kind: "state"; bits: number }
  | { kind: "stopped" };
