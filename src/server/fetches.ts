// The fetches of one worker from their arrival to their last answer: the poll coalescer and those that are parked. Owns
// one small object a fetch, its deadline and the reservation of its reply; the addon owns the request itself. Never
// decides which jobs a fetch gets: that is a function of the stored state. Called by the router (add), the apply loop
// (take, entryDone, refuse) and the events of the addon (empty, wake, dropped).
//
//                 add                take                 entryDone
//     (arrival) ──────▶ pending ──────────────▶ proposed ───────────▶ (answered)
//                          ▲                       │ empty
//                          │ wake, or the queue    ▼
//                          └─────────────────── parked ─────────────▶ (answered empty at its deadline,
//                            moved meanwhile                           or shuttingDown)
//
// The reply's bytes are reserved only while a fetch is proposed; the addon counts request and reply bytes together when
// a call ends, so leaving by any other way than an entry takes the reservation first.

import { assert } from "../assert.js";
import type { Clock } from "../clock.js";
import { ErrorCode } from "../generated/error_codes.js";
import type { Native } from "../native.js";
import { Deadlines, type Due } from "./deadlines.js";
import type { MemoryBudget } from "./memory_budget.js";

/** `waitMs` of a call that waits without end. */
export const waitsForever = 0xffff_ffff;

const State = {
  pending: 0,
  proposed: 1,
  parked: 2,
  /** It ended while it stood in the list of pending ones, which passes over it. */
  gone: 3,
} as const;
type State = (typeof State)[keyof typeof State];

interface Fetch extends Due {
  handle: number;
  jobs: number;
  replyBytes: number;
  state: State;
  /** Of the entry that carries it while it is proposed. */
  ticket: number;
}

export interface FetchesOptions {
  native: Pick<Native, "park" | "expire" | "answer" | "shutdownCalls">;
  worker: number;
  clock: Clock;
  budget: MemoryBudget;
  fetchesMax: number;
  /** Something was done outside a turn (a deadline): replies wait to be collected. */
  wakeTurn: () => void;
}

/** In use by others, this share of the memory for requests is given back some time: replies are taken or cut off. */
const aloneShareMax = 0.5;

/** Retry hints, in milliseconds. */
const retryAfterFullMs = 1000;
const retryAfterStopMs = 1000;

export class Fetches {
  private readonly native: FetchesOptions["native"];
  private readonly worker: number;
  private readonly clock: Clock;
  private readonly budget: MemoryBudget;
  private readonly options: FetchesOptions;
  private readonly byHandle = new Map<number, Fetch>();
  private readonly deadlines: Deadlines<Fetch>;
  /** Pending ones from `pendingHead` on, in order; what is before it was taken. */
  private pending: Fetch[] = [];
  private pendingHead = 0;
  private proposedCount = 0;
  private stopping = false;

  constructor(options: FetchesOptions) {
    this.options = options;
    this.native = options.native;
    this.worker = options.worker;
    this.clock = options.clock;
    this.budget = options.budget;
    this.deadlines = new Deadlines(options.clock, () => this.expireDue());
  }

  /** Fetches that are not answered yet. */
  get openCount(): number {
    return this.byHandle.size;
  }

  get pendingCount(): number {
    return this.pending.length - this.pendingHead;
  }

  get parkedWithDeadlineCount(): number {
    return this.deadlines.size;
  }

  add(handle: number, jobs: number, replyBytes: number, waitMs: number): void {
    assert(!this.byHandle.has(handle), "a handle names one open call", { handle });
    if (this.stopping) {
      this.refuseUnreserved(handle, replyBytes, ErrorCode.shuttingDown, retryAfterStopMs);
      return;
    }
    // What is gone still stands in the list until it is passed over, so both counts are bounded.
    if (this.byHandle.size >= this.options.fetchesMax || this.pendingCount >= this.options.fetchesMax) {
      this.refuseUnreserved(handle, replyBytes, ErrorCode.busy, retryAfterFullMs);
      return;
    }
    const fetch: Fetch = {
      handle,
      jobs,
      replyBytes,
      state: State.pending,
      ticket: 0,
      dueMs: waitMs === waitsForever ? Number.POSITIVE_INFINITY : this.clock.nowMs() + waitMs,
      heapIndex: -1,
    };
    this.byHandle.set(handle, fetch);
    this.pending.push(fetch);
  }

  /** Moves pending fetches into `handles` from `at` on, up to `countMax` of them and `jobsMax` jobs (one at least);
   *  returns how many. They count as proposed and their replies are reserved. */
  take(handles: Uint32Array, at: number, countMax: number, jobsMax: number): number {
    let count = 0;
    let jobs = 0;
    while (count < countMax && this.pendingHead < this.pending.length) {
      const fetch = this.pending[this.pendingHead] as Fetch;
      if (fetch.state !== State.gone) {
        if (count > 0 && jobs + fetch.jobs > jobsMax) break;
        // Without memory for the reply it waits for replies on their way; the first one goes where little is in use, since
        // then it can only be too large.
        if (!this.budget.tryTakeFetch(fetch.replyBytes)) {
          if (this.proposedCount > 0 || this.budget.isAbove(aloneShareMax)) break;
          this.budget.take(fetch.replyBytes);
        }
        fetch.state = State.proposed;
        this.proposedCount++;
        jobs += fetch.jobs;
        handles[at + count++] = fetch.handle;
      }
      this.pendingHead++;
    }
    this.trimPending();
    return count;
  }

  /** The entry that `take` filled is under way as `ticket`. */
  proposed(handles: Uint32Array, at: number, count: number, ticket: number): void {
    for (let index = at; index < at + count; index++) {
      const fetch = this.byHandle.get(handles[index] as number);
      if (fetch !== undefined) fetch.ticket = ticket;
    }
  }

  /** The entry that `take` filled was refused. */
  refuse(handle: number, code: number, retryAfterMs: number): void {
    const fetch = this.byHandle.get(handle);
    if (fetch === undefined) return;
    this.finish(fetch);
    this.native.answer(this.worker, handle, code, retryAfterMs);
  }

  /** A fetch of the entry that did not come out empty has its answer. */
  entryDone(handle: number, ticket: number): void {
    const fetch = this.byHandle.get(handle);
    if (fetch !== undefined && fetch.state === State.proposed && fetch.ticket === ticket) this.finish(fetch);
  }

  /** A waiting fetch found nothing. */
  empty(handle: number): void {
    const fetch = this.byHandle.get(handle);
    if (fetch === undefined) return;
    assert(fetch.state === State.proposed, "only a proposed fetch can come out empty", { handle, state: fetch.state });
    if (this.stopping) {
      this.finish(fetch);
      this.native.answer(this.worker, handle, ErrorCode.shuttingDown, retryAfterStopMs);
      return;
    }
    // Its reply stays reserved when it is answered at once, so the deadline is looked at first.
    if (this.clock.nowMs() >= fetch.dueMs && this.native.expire(this.worker, handle)) {
      this.finish(fetch);
      return;
    }
    this.proposedCount--;
    this.budget.give(fetch.replyBytes);
    if (this.native.park(this.worker, handle)) {
      fetch.state = State.parked;
      if (fetch.dueMs !== Number.POSITIVE_INFINITY) this.deadlines.add(fetch);
    } else {
      fetch.state = State.pending;
      this.pending.push(fetch);
    }
  }

  /** A parked fetch may succeed now. */
  wake(handle: number): void {
    const fetch = this.byHandle.get(handle);
    if (fetch === undefined || fetch.state !== State.parked) return;
    this.deadlines.remove(fetch);
    fetch.state = State.pending;
    this.pending.push(fetch);
  }

  /** The addon gave the call up: canceled, or its connection is gone. It counts the reply as given back. */
  dropped(handle: number): void {
    const fetch = this.byHandle.get(handle);
    if (fetch === undefined) return;
    if (fetch.state === State.proposed) {
      this.proposedCount--;
    } else {
      this.budget.take(fetch.replyBytes);
      this.deadlines.remove(fetch);
      fetch.state = State.gone;
    }
    this.byHandle.delete(handle);
  }

  /** From now on nobody waits: all but the proposed ones end with shuttingDown, and those when they come out empty. */
  stop(): void {
    this.stopping = true;
    for (const fetch of [...this.byHandle.values()]) {
      if (fetch.state === State.proposed) continue;
      this.deadlines.remove(fetch);
      this.budget.take(fetch.replyBytes);
      this.byHandle.delete(fetch.handle);
      if (fetch.state === State.pending) {
        this.native.answer(this.worker, fetch.handle, ErrorCode.shuttingDown, retryAfterStopMs);
      }
      fetch.state = State.gone;
    }
    this.native.shutdownCalls(this.worker);
  }

  close(): void {
    this.deadlines.close();
  }

  private expireDue(): void {
    const now = this.clock.nowMs();
    for (;;) {
      const fetch = this.deadlines.popDue(now);
      if (fetch === undefined) break;
      // False: a wake is under way. The fetch gets its last chance, and `empty` then sees the deadline.
      if (!this.native.expire(this.worker, fetch.handle)) continue;
      this.budget.take(fetch.replyBytes);
      this.byHandle.delete(fetch.handle);
    }
    this.options.wakeTurn();
  }

  /** A proposed fetch is over, its reply reserved. */
  private finish(fetch: Fetch): void {
    this.proposedCount--;
    this.byHandle.delete(fetch.handle);
  }

  private refuseUnreserved(handle: number, replyBytes: number, code: number, retryAfterMs: number): void {
    this.budget.take(replyBytes);
    this.native.answer(this.worker, handle, code, retryAfterMs);
  }

  private trimPending(): void {
    if (this.pendingHead === this.pending.length) {
      this.pending.length = 0;
      this.pendingHead = 0;
    } else if (this.pendingHead > 1024 && this.pendingHead * 2 > this.pending.length) {
      this.pending = this.pending.slice(this.pendingHead);
      this.pendingHead = 0;
    }
  }
}
