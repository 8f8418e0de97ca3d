// One run of a question: floor, server, load, count, result. Owns the order of it all and the directory of the run,
// which is gone at the end. It never prints: progress goes to the caller. Called by the command line's `bench` verb.
//
//   directory ▶ floor ▶ server ready ▶ threads connected ▶ warm-up ▶ measured time ▶ last answers ▶ counted back
//
// Throughput is what was answered within the measured time; the counting covers the whole run.

import { randomBytes } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { layouts } from "../src/generated/layouts.js";
import { ChildServer } from "./child_server.js";
import { type Floor, measureFloor } from "./floor.js";
import { getQueueFrame } from "./frames.js";
import type { Histogram } from "./histogram.js";
import { LoadConnection } from "./load_connection.js";
import { LoadThreads } from "./load_threads.js";
import { fileSystemWarning, type MachineFacts, machineFacts } from "./machine.js";
import type { Budget, Question, QuestionId, QueueCounts, Settings, Totals } from "./question.js";
import { questions } from "./questions.js";

export interface RunOptions {
  readonly question: QuestionId;
  /** Measured time. */
  readonly seconds: number;
  readonly warmUpSeconds: number;
  /** An empty one beneath it holds the data of the run. */
  readonly directory: string;
  /** A server that runs already, instead of one of the run's own. */
  readonly address?: string | undefined;
  /** Flags of the run's own server. */
  readonly serverFlags: readonly string[];
  readonly threads: number;
  /** Of each of the floor's loops; 0 leaves the floor out. */
  readonly floorSeconds: number;
  /** For people; one line without its end. */
  readonly progress: (line: string) => void;
  readonly signal?: AbortSignal | undefined;
}

export interface Percentiles {
  readonly count: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly p999Ms: number;
}

export interface ServerCost {
  /** Within the measured time. */
  readonly cpuSeconds: number;
  readonly cpuMicrosecondsPerJob: number;
  readonly peakResidentBytes: number;
}

export interface Result {
  readonly bench: QuestionId;
  readonly title: string;
  readonly jobsPerSecond: number;
  readonly seconds: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly p999Ms: number;
  /** By what was timed: a call of one kind, or a job's way. */
  readonly latencies: Readonly<Record<string, Percentiles>>;
  readonly budget: Budget;
  readonly isWithinBudget: boolean;
  readonly settings: Settings & { readonly threads: number; readonly serverFlags: readonly string[] };
  readonly machine: MachineFacts;
  /** Absent with a server that was not started by the run. */
  readonly server?: ServerCost;
  readonly floor?: Floor;
  readonly counted: Totals & QueueCounts;
}

export class CountMismatch extends Error {
  override readonly name = "CountMismatch";
}

const progressMs = 1000;
const lastWordsMs = 500;

export async function run(options: RunOptions): Promise<Result> {
  const directory = mkdtempSync(join(options.directory, "capstan-bench-"));
  try {
    const machine = machineFacts(directory);
    const warning = fileSystemWarning(machine.fileSystem);
    if (warning !== undefined) options.progress(`warning: ${warning}`);
    const floor = await floorOf(options, directory);
    const server = options.address === undefined ? await startServer(options, directory) : undefined;
    const address = options.address ?? server?.address ?? "";
    try {
      const measured = await measure(options, address, server);
      return { ...measured, machine, ...(floor === undefined ? {} : { floor }) };
    } catch (error) {
      // A server that dies closes its connections first; why it died says more than that.
      await Promise.race([server?.failed, pause(lastWordsMs)]);
      throw error;
    } finally {
      await server?.stop();
    }
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

async function floorOf(options: RunOptions, directory: string): Promise<Floor | undefined> {
  if (options.floorSeconds === 0) return undefined;
  options.progress("measuring the floor");
  const floor = await measureFloor(directory, options.floorSeconds);
  if (floor === undefined) options.progress("warning: no floor, since build/Release/bench_floor is not built");
  options.signal?.throwIfAborted();
  return floor;
}

function startServer(options: RunOptions, directory: string): Promise<ChildServer> {
  options.progress("starting a server");
  return ChildServer.start(join(directory, "data"), options.serverFlags);
}

async function measure(
  options: RunOptions,
  address: string,
  server: ChildServer | undefined,
): Promise<Omit<Result, "machine" | "floor">> {
  const question = questions[options.question];
  const threads = Math.min(options.threads, question.threadsMax);
  const queue = `bench-${question.id}-${randomBytes(6).toString("hex")}`;
  const load = new LoadThreads(question, address, queue, threads);
  const end = new AbortController();
  const signal = AbortSignal.any([end.signal, ...(options.signal === undefined ? [] : [options.signal])]);
  const ends: Promise<never>[] = [aborted(signal), ...(server === undefined ? [] : [server.failed])];
  const whileAlive = <T>(promise: Promise<T>): Promise<T> => Promise.race([load.orFailed(promise), ...ends]);
  try {
    await whileAlive(load.begin());
    await whileAlive(watch({ ...options, signal }, question, load, options.warmUpSeconds, "warming up"));
    load.measure();
    const start = snapshot(question, load, server);
    await whileAlive(watch({ ...options, signal }, question, load, options.seconds, "measuring"));
    const last = snapshot(question, load, server);
    const histograms = await whileAlive(load.finish());
    options.progress("counting back");
    const counted = { ...load.totals(), ...(await countsOf(address, queue)) };
    const differences = question.differences(counted, counted);
    if (differences.length > 0) throw new CountMismatch(differences.join("; "));
    return resultOf(options, { question, threads, start, end: last, histograms, counted, server });
  } finally {
    // Whatever failed, nobody is to go on watching.
    end.abort();
    await load.close();
  }
}

function aborted(signal: AbortSignal): Promise<never> {
  const promise = new Promise<never>((_, reject) => {
    if (signal.aborted) reject(signal.reason);
    else signal.addEventListener("abort", () => reject(signal.reason), { once: true });
  });
  promise.catch(() => {});
  return promise;
}

/** Says once a second how fast it goes. */
async function watch(
  options: RunOptions,
  question: Question,
  load: LoadThreads,
  seconds: number,
  what: string,
): Promise<void> {
  const endMs = performance.now() + seconds * 1000;
  let last = snapshot(question, load, undefined);
  for (;;) {
    const leftMs = endMs - performance.now();
    if (leftMs <= 0) return;
    await pause(Math.min(progressMs, leftMs), undefined, { signal: options.signal });
    const now = snapshot(question, load, undefined);
    const rate = ((now.jobs - last.jobs) / (now.atMs - last.atMs)) * 1000;
    options.progress(`${what}: ${Math.round(rate)} jobs/s, ${Math.max(0, Math.ceil(leftMs / 1000 - 1))} s left`);
    last = now;
  }
}

interface Snapshot {
  readonly atMs: number;
  readonly jobs: number;
  readonly cpuSeconds: number;
}

function snapshot(question: Question, load: LoadThreads, server: ChildServer | undefined): Snapshot {
  const cpuSeconds = server?.cpuSeconds() ?? 0;
  return { atMs: performance.now(), jobs: load.totals()[question.counts], cpuSeconds };
}

async function countsOf(address: string, queue: string): Promise<QueueCounts> {
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

function resultOf(
  options: RunOptions,
  run: {
    question: Question;
    threads: number;
    start: Snapshot;
    end: Snapshot;
    histograms: Map<string, Histogram>;
    counted: Totals & QueueCounts;
    server: ChildServer | undefined;
  },
): Omit<Result, "machine" | "floor"> {
  const { question, start, end, server } = run;
  const seconds = (end.atMs - start.atMs) / 1000;
  const jobs = end.jobs - start.jobs;
  const latencies = Object.fromEntries([...run.histograms].map(([name, histogram]) => [name, percentiles(histogram)]));
  const { p50Ms, p99Ms, p999Ms } = latencies[question.latency] ?? { p50Ms: 0, p99Ms: 0, p999Ms: 0 };
  const jobsPerSecond = jobs / seconds;
  const cpuSeconds = end.cpuSeconds - start.cpuSeconds;
  return {
    bench: question.id,
    title: question.title,
    jobsPerSecond: Math.round(jobsPerSecond),
    seconds,
    p50Ms,
    p99Ms,
    p999Ms,
    latencies,
    budget: question.budget,
    isWithinBudget: isWithin(question.budget, jobsPerSecond, p50Ms, p99Ms),
    settings: { ...question.settings, threads: run.threads, serverFlags: options.serverFlags },
    ...(server === undefined
      ? {}
      : {
          server: {
            cpuSeconds,
            cpuMicrosecondsPerJob: (cpuSeconds / Math.max(1, jobs)) * 1e6,
            peakResidentBytes: server.peakResidentBytes(),
          },
        }),
    counted: run.counted,
  };
}

function percentiles(histogram: Histogram): Percentiles {
  return {
    count: histogram.count,
    p50Ms: histogram.percentile(0.5),
    p99Ms: histogram.percentile(0.99),
    p999Ms: histogram.percentile(0.999),
  };
}

function isWithin(budget: Budget, jobsPerSecond: number, p50Ms: number, p99Ms: number): boolean {
  if (budget.unit === "jobs/s") return jobsPerSecond >= budget.must;
  return p50Ms <= budget.must[0] && p99Ms <= budget.must[1];
}
