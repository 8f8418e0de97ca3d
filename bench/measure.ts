// One load on one queue of a server that runs: connected, warmed up, measured, counted back. Owns the load's threads; the
// server and its directory are the caller's. It never judges: figures go out as they are. Called by run.ts, backlog.ts,
// restart.ts and long.ts.

import { setTimeout as pause } from "node:timers/promises";
import { layouts } from "../src/generated/layouts.js";
import type { ChildServer } from "./child_server.js";
import { getQueueFrame } from "./frames.js";
import type { Histogram } from "./histogram.js";
import { LoadConnection } from "./load_connection.js";
import { LoadThreads } from "./load_threads.js";
import type { Question, QueueCounts, Totals } from "./question.js";

export interface Load {
  readonly question: Question;
  readonly address: string;
  /** Where it is the run's own: its cost is measured, and its end ends the load. */
  readonly server?: ChildServer | undefined;
  readonly queue: string;
  readonly threads: number;
  readonly warmUpSeconds: number;
  readonly seconds: number;
  /** What lies in the queue before the load and is to lie there after it. */
  readonly before?: QueueCounts | undefined;
  readonly progress: (line: string) => void;
  readonly signal?: AbortSignal | undefined;
}

export interface Measured {
  readonly seconds: number;
  /** Of the question's own count, within the measured time; `enqueued` likewise. */
  readonly jobs: number;
  readonly enqueued: number;
  readonly histograms: ReadonlyMap<string, Histogram>;
  readonly clientCpuSeconds: number;
  readonly serverCpuSeconds: number | undefined;
  readonly serverPeakRssBytes: number | undefined;
  readonly serverWrittenBytes: number | undefined;
  readonly counted: Totals & QueueCounts;
}

export class CountMismatch extends Error {
  override readonly name = "CountMismatch";
}

export const emptyQueue: QueueCounts = { ready: 0, leased: 0, ackedTotal: 0 };

const progressMs = 1000;

export async function measure(load: Load): Promise<Measured> {
  return withThreads(load, async (threads, whileAlive, signal) => {
    const { question, server } = load;
    const watched = { ...load, signal };
    await whileAlive(watch(watched, threads, load.warmUpSeconds, "warming up"));
    threads.measure();
    const start = snapshot(threads, server);
    await whileAlive(watch(watched, threads, load.seconds, "measuring"));
    const end = snapshot(threads, server);
    const histograms = await whileAlive(threads.finish());
    load.progress("counting back");
    const counted = await countBack(load, threads.totals());
    const difference = (of: (snapshot: Snapshot) => number | undefined): number | undefined => {
      const [from, to] = [of(start), of(end)];
      return from === undefined || to === undefined ? undefined : to - from;
    };
    return {
      seconds: (end.atMs - start.atMs) / 1000,
      jobs: end.totals[question.counts] - start.totals[question.counts],
      enqueued: end.totals.enqueued - start.totals.enqueued,
      histograms,
      clientCpuSeconds: end.clientCpuSeconds - start.clientCpuSeconds,
      serverCpuSeconds: difference((at) => at.serverCpuSeconds),
      serverPeakRssBytes: server?.peakRssBytes(),
      serverWrittenBytes: difference((at) => at.serverWrittenBytes),
      counted,
    };
  });
}

/** Runs `body` while the threads load; whatever ends early, a thread, the server or the signal, ends it with them. */
export async function withThreads<T>(
  load: Load,
  body: (threads: LoadThreads, whileAlive: <R>(promise: Promise<R>) => Promise<R>, signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const threads = new LoadThreads(load.question, load.address, load.queue, load.threads);
  const end = new AbortController();
  const signal = AbortSignal.any([end.signal, ...(load.signal === undefined ? [] : [load.signal])]);
  const ends: Promise<never>[] = [aborted(signal), ...(load.server === undefined ? [] : [load.server.failed])];
  const whileAlive = <R>(promise: Promise<R>): Promise<R> => Promise.race([threads.orFailed(promise), ...ends]);
  try {
    await whileAlive(threads.begin());
    return await body(threads, whileAlive, signal);
  } finally {
    // Whatever failed, nobody is to go on watching.
    end.abort();
    await threads.close();
  }
}

/** Throws unless the queue holds what was there before and what the load says it left. */
export async function countBack(load: Load, totals: Totals): Promise<Totals & QueueCounts> {
  const before = load.before ?? emptyQueue;
  const found = await countsOf(load.address, load.queue);
  const counted = {
    ...totals,
    ready: found.ready - before.ready,
    leased: found.leased - before.leased,
    ackedTotal: found.ackedTotal - before.ackedTotal,
  };
  const differences = load.question.differences(counted, counted, before.ready);
  if (differences.length > 0) throw new CountMismatch(differences.join("; "));
  return counted;
}

export async function countsOf(address: string, queue: string): Promise<QueueCounts> {
  const connection = await LoadConnection.open(address);
  const { fields } = layouts.QueueInfo;
  try {
    return await connection.ask(
      (target) => getQueueFrame(target, queue),
      (response) => {
        const info = response.struct(layouts.QueueResponse.fields.queue.offset);
        if (info === undefined) throw new Error(`the server says nothing of the queue ${queue}`);
        return {
          ready: info.uint64(fields.ready.offset),
          leased: info.uint64(fields.leased.offset),
          ackedTotal: info.uint64(fields.ackedTotal.offset),
        };
      },
    );
  } finally {
    connection.close();
  }
}

export function aborted(signal: AbortSignal): Promise<never> {
  const promise = new Promise<never>((_, reject) => {
    if (signal.aborted) reject(signal.reason);
    else signal.addEventListener("abort", () => reject(signal.reason), { once: true });
  });
  promise.catch(() => {});
  return promise;
}

/** Says once a second how fast it goes. */
async function watch(load: Load, threads: LoadThreads, seconds: number, what: string): Promise<void> {
  const { counts } = load.question;
  const endMs = performance.now() + seconds * 1000;
  let last = { atMs: performance.now(), jobs: threads.totals()[counts] };
  for (;;) {
    const leftMs = endMs - performance.now();
    if (leftMs <= 0) return;
    await pause(Math.min(progressMs, leftMs), undefined, { signal: load.signal });
    const now = { atMs: performance.now(), jobs: threads.totals()[counts] };
    const rate = ((now.jobs - last.jobs) / (now.atMs - last.atMs)) * 1000;
    load.progress(`${what}: ${Math.round(rate)} jobs/s, ${Math.max(0, Math.ceil(leftMs / 1000 - 1))} s left`);
    last = now;
  }
}

interface Snapshot {
  readonly atMs: number;
  readonly totals: Totals;
  readonly clientCpuSeconds: number;
  readonly serverCpuSeconds: number | undefined;
  readonly serverWrittenBytes: number | undefined;
}

function snapshot(threads: LoadThreads, server: ChildServer | undefined): Snapshot {
  // Of this process and all its threads.
  const { user, system } = process.cpuUsage();
  return {
    atMs: performance.now(),
    totals: threads.totals(),
    clientCpuSeconds: (user + system) / 1e6,
    serverCpuSeconds: server?.cpuSeconds(),
    serverWrittenBytes: server?.writtenBytes(),
  };
}
