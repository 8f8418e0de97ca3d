// What a benchmark question is: its words, budget and settings, the load that one thread makes of it, and how its jobs
// are counted back. It never measures anything itself. Implemented by one file per question; used by run.ts and
// load_thread.ts.

import type { LoadConnection } from "./load_connection.js";

export type QuestionId = "e1" | "l1" | "u1" | "p1" | "p2" | "groups";

/** What `capstan bench` may be asked: the questions of one load each, and those of several. */
export type BenchId = QuestionId | "b1" | "b2";

/** The load as it is printed beside the result. Counts are over all threads. */
export interface Settings {
  readonly connections: number;
  readonly batchJobs: number;
  readonly payloadBytes: number;
  /** Calls under way on one connection. */
  readonly outstandingPerConnection: number;
  /** Groups that the jobs are spread over. */
  readonly groups?: number;
}

/** On the reference machine: a throughput, two latencies, a share of another throughput, or a restart. */
export type Budget =
  | { readonly unit: "ratio"; readonly must: number; readonly goal: number }
  | { readonly unit: "restart"; readonly must: RestartBudget; readonly goal: RestartBudget }
  | { readonly unit: "jobs/s"; readonly must: number; readonly goal: number }
  | { readonly unit: "ms"; readonly must: readonly [number, number]; readonly goal: readonly [number, number] };

export interface RestartBudget {
  readonly seconds: number;
  readonly rssBytes: number;
}

/** What the load threads did over the whole run, warm-up included. */
export interface Totals {
  /** Jobs whose enqueue was answered "ok". */
  enqueued: number;
  /** Jobs whose ack was accepted. */
  acked: number;
}

/** What the server says of the queue when all answers are in. */
export interface QueueCounts {
  readonly ready: number;
  readonly leased: number;
  readonly ackedTotal: number;
}

export interface Question {
  readonly id: QuestionId;
  readonly title: string;
  readonly hypothesis: string;
  readonly budget: Budget;
  readonly settings: Settings;
  /** More would change what is asked. */
  readonly threadsMax: number;
  /** Which of the recorded latencies is `latencyMs` of the result. */
  readonly latency: string;
  /** Which total is the throughput. */
  readonly counts: keyof Totals;
  /** Makes the load of one thread; resolves when it is over and every answer is in. */
  load(context: LoadContext): Promise<void>;
  /**
   * Each way in which the server's counts differ from what was answered. The counts are against what lay in the queue
   * before: `queued` jobs, of which a worker may have taken some.
   */
  differences(totals: Totals, queue: QueueCounts, queued?: number): string[];
}

/** What a load thread gives to a question. */
export interface LoadContext {
  readonly settings: Settings;
  readonly queue: string;
  /** This thread's part of `settings.connections`. */
  readonly connections: number;
  connect(): Promise<LoadConnection>;
  /** Resolves when every thread is connected. */
  begin(): Promise<void>;
  /** True once no new work is to begin. */
  isOver(): boolean;
  /** Adds to this thread's totals. */
  add(total: keyof Totals, jobs: number): void;
  /** Over all threads, as far as they have said. */
  sum(total: keyof Totals): number;
  /** Keeps a latency, if the measured time has begun and is not over. */
  record(latency: string, tookMs: number): void;
}

/** Every answered job must be found ready: for questions that only enqueue. */
export function allReady(totals: Totals, queue: QueueCounts): string[] {
  return queue.ready === totals.enqueued
    ? []
    : [`${totals.enqueued} jobs were acknowledged, but ${queue.ready} are ready`];
}

/** Every answered job must be gone by an ack, or one that lay there before in its place. */
export function allAcked(totals: Totals, queue: QueueCounts, queued = 0): string[] {
  const found: string[] = [];
  const more = totals.acked - totals.enqueued;
  if (more < 0 || more > queued) {
    found.push(`${totals.enqueued} jobs were enqueued, but ${totals.acked} acks accepted`);
  }
  if (queue.ackedTotal !== totals.acked) {
    found.push(`${totals.acked} acks were accepted, but the queue counts ${queue.ackedTotal}`);
  }
  if (queue.ready !== -more || queue.leased !== 0) {
    found.push(`${queue.ready} jobs more than before are ready and ${queue.leased} leased, and not ${-more} and none`);
  }
  return found;
}
