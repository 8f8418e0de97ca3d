// A thread that makes load: runs its part of a question and keeps what it saw. Owns the thread's connections and
// histograms. It decides neither when to begin nor when to stop: run.ts does, through shared memory. Started by
// load_threads.ts as a worker thread.

import { parentPort, workerData } from "node:worker_threads";
import { Histogram } from "./histogram.js";
import { LoadConnection } from "./load_connection.js";
import { type LoadData, type LoadMessage, phases, slotOf } from "./load_shared.js";
import type { LoadContext } from "./question.js";
import { questions } from "./questions.js";

function contextOf(data: LoadData, histograms: Map<string, Histogram>): LoadContext {
  const shared = new Int32Array(data.shared);
  return {
    settings: data.settings,
    queue: data.queue,
    connections: data.connections,
    connect: () => LoadConnection.open(data.address),
    begin: () =>
      new Promise((resolve) => {
        // The one message that ever comes.
        parentPort?.once("message", resolve);
        parentPort?.postMessage({ kind: "connected" } satisfies LoadMessage);
      }),
    isOver: () => Atomics.load(shared, 0) === phases.over,
    add: (total, jobs) => {
      Atomics.add(shared, slotOf(data.number, total), jobs);
    },
    sum: (total) => {
      let sum = 0;
      for (let thread = 0; thread < data.threads; thread++) sum += Atomics.load(shared, slotOf(thread, total));
      return sum;
    },
    record: (latency, tookMs) => {
      if (Atomics.load(shared, 0) !== phases.measuring) return;
      let histogram = histograms.get(latency);
      if (histogram === undefined) {
        histogram = new Histogram();
        histograms.set(latency, histogram);
      }
      histogram.record(tookMs);
    },
  };
}

const data = workerData as LoadData;
const histograms = new Map<string, Histogram>();
await questions[data.question].load(contextOf(data, histograms));
parentPort?.postMessage({
  kind: "over",
  histograms: Object.fromEntries([...histograms].map(([name, { counts }]) => [name, counts])),
} satisfies LoadMessage);
