// A thread that makes load: runs its part of a question and keeps what it saw. Owns the thread's connections and
// histograms. It decides neither when to begin nor when to stop: run.ts does, through shared memory. Started by
// load_threads.ts as a worker thread.

import { parentPort, workerData } from "node:worker_threads";
import { Histogram } from "./histogram.js";
import { LoadConnection } from "./load_connection.js";
import { type LoadData, type LoadMessage, type LoadOrder, phases, slotOf } from "./load_shared.js";
import type { LoadContext } from "./question.js";
import { questions } from "./questions.js";

type Histograms = Map<string, Histogram>;

/** Over the whole measured time, and since the last sample. */
interface Latencies {
  readonly all: Histograms;
  sample: Histograms;
}

function contextOf(data: LoadData, latencies: Latencies): LoadContext {
  const shared = new Int32Array(data.shared);
  return {
    settings: data.settings,
    queue: data.queue,
    connections: data.connections,
    connect: () => LoadConnection.open(data.address),
    begin: () =>
      new Promise((resolve) => {
        parentPort?.on("message", (order: LoadOrder) => {
          if (order === "begin") {
            // From here on the sockets keep the thread alive, and nothing else is to.
            parentPort?.unref();
            resolve();
            return;
          }
          parentPort?.postMessage({ kind: "sample", histograms: countsOf(latencies.sample) } satisfies LoadMessage);
          latencies.sample = new Map();
        });
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
      histogramOf(latencies.all, latency).record(tookMs);
      histogramOf(latencies.sample, latency).record(tookMs);
    },
  };
}

function histogramOf(histograms: Histograms, latency: string): Histogram {
  let histogram = histograms.get(latency);
  if (histogram === undefined) {
    histogram = new Histogram();
    histograms.set(latency, histogram);
  }
  return histogram;
}

function countsOf(histograms: Histograms): Record<string, Uint32Array> {
  return Object.fromEntries([...histograms].map(([name, { counts }]) => [name, counts]));
}

const data = workerData as LoadData;
const latencies: Latencies = { all: new Map(), sample: new Map() };
await questions[data.question].load(contextOf(data, latencies));
parentPort?.postMessage({ kind: "over", histograms: countsOf(latencies.all) } satisfies LoadMessage);
