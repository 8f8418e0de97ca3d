// What clients did and saw, as plain data: one operation for each call, with when it was begun and answered, on one
// stopwatch for all clients. Owns the recording; judges nothing (history_check.ts does). Used by the fault tests.

import { CapstanError } from "../../src/client/index.js";

/** `unknown`: no answer, so it may or may not have been carried out, also later. Never taken as failed. */
export type Outcome = "ok" | "refused" | "unknown";

interface Operation {
  readonly client: string;
  readonly invokedMs: number;
  readonly completedMs: number;
  readonly outcome: Outcome;
}

/** All of its jobs in one command. */
export interface EnqueueOperation extends Operation {
  readonly kind: "enqueue";
  readonly queue: string;
  readonly priority: number;
  readonly group: string;
  /** False: delayed, so that its place in the lane is decided later. */
  readonly isReady: boolean;
  /** What the payloads begin with: unique in the whole history. */
  readonly keys: readonly string[];
  /** In the order of the keys; empty unless ok. */
  readonly ids: readonly string[];
}

export interface DeliveredJob {
  readonly id: string;
  readonly key: string;
  readonly attempt: number;
}

/** An ok without jobs has no lease. */
export interface FetchOperation extends Operation {
  readonly kind: "fetch";
  readonly queue: string;
  readonly lease: string;
  readonly token: bigint;
  readonly leaseMs: number;
  readonly jobs: readonly DeliveredJob[];
}

/** An ack, fail or release; an ok one says which ids were taken and which refused. */
export interface SettleOperation extends Operation {
  readonly kind: "ack" | "fail" | "release";
  readonly lease: string;
  readonly ids: readonly string[];
  readonly accepted: readonly string[];
}

export interface ExtendOperation extends Operation {
  readonly kind: "extend";
  readonly lease: string;
  readonly leaseMs: number;
}

export type HistoryOperation = EnqueueOperation | FetchOperation | SettleOperation | ExtendOperation;

export interface History {
  readonly operations: readonly HistoryOperation[];
  /** Keys of the jobs that lay dead when all was over. */
  readonly dead: readonly string[];
}

// These say that nothing was carried out; of any other failure that cannot be said.
const refusals = new Set([
  "invalidArgument",
  "tooLarge",
  "diskFull",
  "leaseLost",
  "notFound",
  "limitReached",
  "refused",
]);

export function outcomeOf(error: unknown): Outcome {
  if (!(error instanceof CapstanError)) throw error;
  return refusals.has(error.code) ? "refused" : "unknown";
}

export class Recorder {
  readonly operations: HistoryOperation[] = [];

  /** Carries `call` out and notes what `describe` makes of its value, or of its failure (undefined). */
  async record<T>(
    call: () => Promise<T>,
    describe: (value: T | undefined) => Unrecorded<HistoryOperation>,
  ): Promise<T | undefined> {
    const invokedMs = performance.now();
    let outcome: Outcome = "ok";
    let value: T | undefined;
    try {
      value = await call();
    } catch (error) {
      outcome = outcomeOf(error);
    }
    const times = { invokedMs, completedMs: performance.now(), outcome };
    this.operations.push({ ...describe(value), ...times } as HistoryOperation);
    return value;
  }
}

type Times = "invokedMs" | "completedMs" | "outcome";
type Unrecorded<T> = T extends unknown ? Omit<T, Times> : never;
