// What the threads of a load share with the one that leads them: what each is told at its start, what it says, and the
// memory in which the phase and the totals lie. Owns the layout of that memory, never the memory itself. Used by
// load_threads.ts and load_thread.ts.

import type { QuestionId, Settings, Totals } from "./question.js";

export interface LoadData {
  readonly question: QuestionId;
  readonly address: string;
  readonly queue: string;
  readonly settings: Settings;
  readonly connections: number;
  /** Which of the threads this is, and how many there are. */
  readonly number: number;
  readonly threads: number;
  /** Int32: the phase, then for each thread its totals. */
  readonly shared: SharedArrayBuffer;
}

export type LoadMessage =
  | { readonly kind: "connected" }
  /** What was recorded since the last sample, or since the measured time began. */
  | { readonly kind: "sample"; readonly histograms: Readonly<Record<string, Uint32Array>> }
  | { readonly kind: "over"; readonly histograms: Readonly<Record<string, Uint32Array>> };

/** What a thread is told. */
export type LoadOrder = "begin" | "sample";

export const phases = { connecting: 0, warmUp: 1, measuring: 2, over: 3 } as const;

/** Where the totals of a thread begin; jobs of an hour at full speed fit into 31 bits. */
export const totalSlots: Readonly<Record<keyof Totals, number>> = { enqueued: 0, acked: 1 };

export function slotOf(thread: number, total: keyof Totals): number {
  return 1 + thread * 2 + totalSlots[total];
}
