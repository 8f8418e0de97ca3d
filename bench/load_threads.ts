// The load of one run, over its threads: starts them, tells them when to begin and to stop, and adds up what they did.
// Owns the threads and the memory they share. It knows no question by itself and prints nothing. Called by run.ts.

import { once } from "node:events";
import { Worker } from "node:worker_threads";
import { Histogram } from "./histogram.js";
import { type LoadData, type LoadMessage, type LoadOrder, phases, slotOf } from "./load_shared.js";
import type { Question, Totals } from "./question.js";

const drainMsMax = 90_000;

interface LoadThread {
  readonly worker: Worker;
  readonly connected: Promise<void>;
  readonly over: Promise<Readonly<Record<string, Uint32Array>>>;
}

export class LoadThreads {
  /** Rejects when a thread fails; never resolves. */
  readonly failed: Promise<never>;
  private readonly shared: SharedArrayBuffer;
  private readonly words: Int32Array;
  private readonly threads: LoadThread[];
  private fail: (error: Error) => void = () => {};

  constructor(question: Question, address: string, queue: string, threads: number) {
    this.failed = new Promise((_, reject) => {
      this.fail = reject;
    });
    this.failed.catch(() => {});
    this.shared = new SharedArrayBuffer(4 * slotOf(threads, "enqueued"));
    this.words = new Int32Array(this.shared);
    this.threads = Array.from({ length: threads }, (_, number) =>
      this.start({
        question: question.id,
        address,
        queue,
        settings: question.settings,
        connections: partOf(question.settings.connections, number, threads),
        number,
        threads,
        shared: this.shared,
      }),
    );
  }

  /** Begins the warm-up once every thread is connected. */
  async begin(): Promise<void> {
    await this.orFailed(Promise.all(this.threads.map((thread) => thread.connected)));
    Atomics.store(this.words, 0, phases.warmUp);
    for (const { worker } of this.threads) worker.postMessage("begin" satisfies LoadOrder);
  }

  measure(): void {
    Atomics.store(this.words, 0, phases.measuring);
  }

  /** No new work from now on; resolves with the latencies when every answer is in. */
  async finish(): Promise<Map<string, Histogram>> {
    Atomics.store(this.words, 0, phases.over);
    const giveUp = setTimeout(
      () => this.fail(new Error(`answers were still missing ${drainMsMax / 1000} s after the end`)),
      drainMsMax,
    );
    try {
      return mergedOf(await this.orFailed(Promise.all(this.threads.map((thread) => thread.over))));
    } finally {
      clearTimeout(giveUp);
    }
  }

  /** The latencies since the last sample; one at a time, and only while the load is under way. */
  async sample(): Promise<Map<string, Histogram>> {
    const answers = this.threads.map(({ worker }) => messageOf(worker, "sample"));
    for (const { worker } of this.threads) worker.postMessage("sample" satisfies LoadOrder);
    return mergedOf((await this.orFailed(Promise.all(answers))).map(({ histograms }) => histograms));
  }

  totals(): Totals {
    const sum = (total: keyof Totals) =>
      this.threads.reduce((all, _, thread) => all + Atomics.load(this.words, slotOf(thread, total)), 0);
    return { enqueued: sum("enqueued"), acked: sum("acked") };
  }

  /** Ends the threads, wherever they are. */
  async close(): Promise<void> {
    await Promise.all(this.threads.map(({ worker }) => worker.terminate()));
  }

  orFailed<T>(promise: Promise<T>): Promise<T> {
    return Promise.race([promise, this.failed]);
  }

  private start(data: LoadData): LoadThread {
    const worker = new Worker(new URL("./load_thread.js", import.meta.url), { workerData: data });
    worker.on("error", (error: Error) => this.fail(error));
    worker.on("exit", (code) => {
      if (code !== 0) this.fail(new Error(`a load thread ended with ${code}`));
    });
    const over = messageOf(worker, "over").then(({ histograms }) => histograms);
    const connected = messageOf(worker, "connected").then(() => {});
    // What fails is told by `failed`.
    over.catch(() => {});
    connected.catch(() => {});
    return { worker, connected, over };
  }
}

async function messageOf<Kind extends LoadMessage["kind"]>(
  worker: Worker,
  kind: Kind,
): Promise<Extract<LoadMessage, { kind: Kind }>> {
  for (;;) {
    const [got] = (await once(worker, "message")) as [LoadMessage];
    if (got.kind === kind) return got as Extract<LoadMessage, { kind: Kind }>;
  }
}

function mergedOf(parts: readonly Readonly<Record<string, Uint32Array>>[]): Map<string, Histogram> {
  const merged = new Map<string, Histogram>();
  for (const histograms of parts) {
    for (const [name, counts] of Object.entries(histograms)) {
      const histogram = merged.get(name) ?? new Histogram();
      histogram.merge(counts);
      merged.set(name, histogram);
    }
  }
  return merged;
}

function partOf(whole: number, part: number, parts: number): number {
  return Math.floor((whole + parts - 1 - part) / parts);
}
