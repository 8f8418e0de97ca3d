// The listener workers as the main thread sees them: starts, stops and watches their threads. Owns the threads and what
// they share (the memory budget, the signs of life). Never touches a socket. Called by main.ts.

import { Worker } from "node:worker_threads";
import type { Config } from "../config.js";
import { requestBytesMax } from "../config_load.js";
import { createSharedBudget } from "../server/memory_budget.js";
import type { FromWorker, ToWorker, WorkerStart } from "./messages.js";

export interface WorkerPoolOptions {
  config: Config;
  version: string;
  stateChanged: (bits: number) => void;
  /** A thread died although nobody stopped it: a fault of ours. */
  failed: (number: number, error: Error) => void;
}

/** A sign of life comes each second; a loop that owes two of them hangs. */
const silentMsMax = 2500;

interface Listener {
  thread: Worker;
  started: Promise<void>;
  stopped: Promise<void>;
}

export class WorkerPool {
  private readonly listeners: Listener[];
  private readonly heartbeats: Int32Array;
  private readonly lastBeats: { beat: number; seenMs: number }[] = [];

  constructor(private readonly options: WorkerPoolOptions) {
    const { config } = options;
    const heartbeats = new SharedArrayBuffer(4 * config.workers);
    this.heartbeats = new Int32Array(heartbeats);
    const budget = createSharedBudget();
    this.listeners = Array.from({ length: config.workers }, (_, index) =>
      this.start({
        number: index + 1,
        config,
        version: options.version,
        requestBytesMax: requestBytesMax(config),
        budget,
        heartbeats,
      }),
    );
  }

  /** Resolves when every worker takes connections. */
  async started(): Promise<void> {
    await Promise.all(this.listeners.map((listener) => listener.started));
  }

  /** Tells every worker to stop; resolves when all their connections are closed and their threads have ended. */
  async stop(): Promise<void> {
    this.tell({ kind: "stop" });
    await Promise.all(this.listeners.map((listener) => listener.stopped));
  }

  /** Cuts what is left of the connections; `stop` then resolves soon. */
  cut(): void {
    this.tell({ kind: "cut" });
  }

  setLogLevel(level: string): void {
    this.tell({ kind: "logLevel", level });
  }

  /** Whether every event loop has turned lately, however often this is asked. */
  isAlive(nowMs = performance.now()): boolean {
    for (let index = 0; index < this.listeners.length; index++) {
      const beat = Atomics.load(this.heartbeats, index);
      const last = this.lastBeats[index];
      if (last?.beat !== beat) this.lastBeats[index] = { beat, seenMs: nowMs };
    }
    return this.lastBeats.every(({ seenMs }) => nowMs - seenMs <= silentMsMax);
  }

  private tell(message: ToWorker): void {
    for (const listener of this.listeners) listener.thread.postMessage(message);
  }

  private start(workerData: WorkerStart): Listener {
    const { number } = workerData;
    const thread = new Worker(new URL("./listener_thread.js", import.meta.url), {
      workerData,
      name: `listener ${number}`,
    });
    const started = deferred();
    const stopped = deferred();
    let hasStopped = false;
    thread.on("message", (message: FromWorker) => {
      switch (message.kind) {
        case "started":
          return started.resolve();
        case "state":
          return this.options.stateChanged(message.bits);
        case "stopped":
          hasStopped = true;
      }
    });
    thread.on("error", (error: Error) => this.options.failed(number, error));
    thread.on("exit", (code) => {
      if (!hasStopped) this.options.failed(number, new Error(`the thread ended by itself with code ${code}`));
      stopped.resolve();
    });
    return { thread, started: started.promise, stopped: stopped.promise };
  }
}

function deferred(): { promise: Promise<void>; resolve: () => void } {
  let resolve: () => void = () => {};
  const promise = new Promise<void>((settle) => {
    resolve = settle;
  });
  return { promise, resolve };
}
