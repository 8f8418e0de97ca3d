// What a run says at its end: the one object of `--json`, and how the figures of a load become it. Owns the shape, which
// recorded results rely on; measures nothing. Made by run.ts, backlog.ts and restart.ts, read by table.ts and results.ts.

import type { Floor } from "./floor.js";
import type { Histogram } from "./histogram.js";
import type { MachineFacts } from "./machine.js";
import type { Measured } from "./measure.js";
import type { BenchId, Budget, Question, QueueCounts, Settings, Totals } from "./question.js";

/** In milliseconds. */
export interface Percentiles {
  readonly p50: number;
  readonly p99: number;
  readonly p999: number;
}

export interface RunSettings extends Settings {
  readonly threads: number;
  readonly warmUpSeconds: number;
  readonly sync: string;
  readonly serverFlags: readonly string[];
  /** Jobs that lay in the queue before, or that were restarted with. */
  readonly queuedJobs?: number;
}

export interface Result {
  readonly bench: BenchId;
  readonly title: string;
  readonly jobsPerSecond: number;
  /** Null without a floor. */
  readonly floorJobsPerSecond: number | null;
  readonly latencyMs: Percentiles;
  /** By what was timed: a call of one kind, or a job's way. */
  readonly latencies: Readonly<Record<string, Percentiles & { readonly count: number }>>;
  readonly seconds: number;
  /** Within the measured time; the server's is null with one that was not started by the run. */
  readonly cpuSeconds: { readonly server: number | null; readonly client: number };
  /** Over the server's life. */
  readonly peakRssBytes: { readonly server: number | null };
  /** Within the measured time: what the server caused to be written to storage, and the payloads enqueued meanwhile. */
  readonly writtenBytes: { readonly server: number | null; readonly payload: number };
  readonly writeAmplification: number | null;
  readonly machine: MachineFacts;
  readonly settings: RunSettings;
  readonly budget: Budget;
  readonly isWithinBudget: boolean;
  readonly floor: Floor | null;
  readonly counted: Totals & QueueCounts;
  /** Of b1. */
  readonly backlog?: Backlog;
  /** Of b2. */
  readonly restart?: Restart;
}

/** Jobs a second with a long queue and with an empty one, and the one through the other. */
export interface Backlog {
  readonly e1: Ratio;
  readonly l1: Ratio;
}

export interface Ratio {
  readonly empty: number;
  readonly queued: number;
  readonly ratio: number;
}

/** From the start of the process to its ready line, and what is resident then. */
export interface Restart {
  readonly afterStop: Readiness;
  readonly afterKill: Readiness;
}

export interface Readiness {
  readonly seconds: number;
  readonly rssBytes: number;
}

export function percentilesOf(histogram: Histogram): Percentiles & { readonly count: number } {
  return {
    count: histogram.count,
    p50: histogram.percentile(0.5),
    p99: histogram.percentile(0.99),
    p999: histogram.percentile(0.999),
  };
}

const none: Percentiles = { p50: 0, p99: 0, p999: 0 };

/** The part of a result that one load gives. */
export function resultOf(
  question: Question,
  measured: Measured,
  around: { readonly machine: MachineFacts; readonly floor: Floor | undefined; readonly settings: RunSettings },
): Result {
  const latencies = Object.fromEntries(
    [...measured.histograms].map(([name, histogram]) => [name, percentilesOf(histogram)]),
  );
  const { p50, p99, p999 } = latencies[question.latency] ?? none;
  const jobsPerSecond = measured.jobs / measured.seconds;
  const payload = measured.enqueued * question.settings.payloadBytes;
  const written = measured.serverWrittenBytes;
  return {
    bench: question.id,
    title: question.title,
    jobsPerSecond: Math.round(jobsPerSecond),
    floorJobsPerSecond: around.floor === undefined ? null : Math.round(around.floor.jobsPerSecond),
    latencyMs: { p50, p99, p999 },
    latencies,
    seconds: measured.seconds,
    cpuSeconds: { server: measured.serverCpuSeconds ?? null, client: measured.clientCpuSeconds },
    peakRssBytes: { server: measured.serverPeakRssBytes ?? null },
    writtenBytes: { server: written ?? null, payload },
    writeAmplification: written === undefined || payload === 0 ? null : written / payload,
    machine: around.machine,
    settings: around.settings,
    budget: question.budget,
    isWithinBudget: isWithin(question.budget, jobsPerSecond, p50, p99),
    floor: around.floor ?? null,
    counted: measured.counted,
  };
}

function isWithin(budget: Budget, jobsPerSecond: number, p50: number, p99: number): boolean {
  if (budget.unit === "jobs/s") return jobsPerSecond >= budget.must;
  if (budget.unit === "ms") return p50 <= budget.must[0] && p99 <= budget.must[1];
  throw new Error(`a load is not judged by ${budget.unit}`);
}
