// Makes log entries of the calls of one worker: group commit without a timer. Owns the calls that wait for an entry and
// the entries under way; never their bytes. Called by the router (addWrite), by every turn of the worker (flush) and
// when an entry has its results (entryDone).
//
//     writes   [ ........ ]──┐   flush, while fewer than inflightMax
//                            ├──▶ entry ──▶ entry ──▶ entry   (under way) ──▶ entryDone
//     fetches  [ ........ ]──┘                 ▲
//     large    [ ........ ]────────────────────┘  one at a time
//
// A command larger than an entry's bytes goes alone, and others pass it while one such entry is under way: else a
// client of megabytes would fill the pipe before everybody. Where others did pass it, the next one leaves them the pipe
// for as long as it took. Calls of one source keep their order all the same.
//
// Parked fetches that the writes of an entry will serve go along in it: one fsync for the job and for its lease.
//
// An idle server proposes a call at once; a loaded one gathers the next entry while the last ones are under way. When
// both kinds wait, each gets half of an entry, so that neither starves the other.

import { assert } from "../assert.js";
import type { Clock, Timer } from "../clock.js";
import { ErrorCode } from "../generated/error_codes.js";
import type { Native } from "../native.js";
import type { Fetches } from "./fetches.js";
import { HandleQueue } from "./handle_queue.js";

export interface ApplyLoopOptions {
  native: Pick<Native, "propose" | "answer" | "wakeEarly">;
  worker: number;
  fetches: Fetches;
  clock: Clock;
  inflightMax: number;
  entryBytesMax: number;
  entryCommandsMax: number;
  entryJobsMax: number;
  writesMax: number;
  /** Benchmarks only; 0: none. */
  flushWindowMs: number;
  /** The window is over: flush in a turn. */
  wakeTurn: () => void;
}

/** Whose calls keep their order: a connection. */
export interface WriteSource {
  /** Its last call among the large ones, counted from the first that ever was there; 0: none. */
  largeMark: number;
}

interface EntryUnderWay {
  ticket: number;
  isLarge: boolean;
  /** The fetches among its commands. */
  handles: Uint32Array;
  fetchCount: number;
}

/** Sent with refusals that end by themselves, in milliseconds. */
const retryAfterMs: ReadonlyMap<number, number> = new Map([
  [ErrorCode.busy, 50],
  [ErrorCode.diskFull, 5000],
  [ErrorCode.notLeader, 500],
  [ErrorCode.shuttingDown, 1000],
]);

/** The longest time that a large command leaves to others. */
const pauseMsMax = 1000;

/** One shard. With several, calls gather by shard, and a fetch over many asks one after another. */
const shard = 0;

export class ApplyLoop {
  private readonly options: ApplyLoopOptions;
  private readonly writes: HandleQueue;
  /** Larger than an entry, or behind a larger one of the same source. */
  private readonly large: HandleQueue;
  private largePushed = 0;
  private largeIsUnderWay = false;
  private largeSinceMs = 0;
  private largeNotBeforeMs = 0;
  private othersPassed = false;
  private largePause: Timer | undefined;
  private writesPushed = 0;
  /** Writes that were there when the first large one came to its place go before it, so that order is kept. */
  private writesFirst = 0;
  private readonly underWay: EntryUnderWay[] = [];
  /** Objects of earlier entries, for the next ones. */
  private readonly spare: EntryUnderWay[] = [];
  private readonly handles: Uint32Array;
  private readonly woken: Uint32Array;
  private window: Timer | undefined;
  private windowIsOver = false;

  constructor(options: ApplyLoopOptions) {
    this.options = options;
    this.writes = new HandleQueue(options.writesMax);
    this.large = new HandleQueue(options.writesMax);
    this.handles = new Uint32Array(options.entryCommandsMax);
    this.woken = new Uint32Array(options.entryCommandsMax);
  }

  get inflight(): number {
    return this.underWay.length;
  }

  get waiting(): number {
    return this.writes.length + this.large.length + this.options.fetches.pendingCount;
  }

  /** False when too many wait: the caller answers busy. */
  addWrite(handle: number, bytes: number, jobs: number, source: WriteSource): boolean {
    const largeTaken = this.largePushed - this.large.length;
    if (bytes <= this.options.entryBytesMax && source.largeMark <= largeTaken) {
      if (!this.writes.push(handle, bytes, jobs)) return false;
      this.writesPushed++;
      return true;
    }
    if (!this.large.push(handle, bytes, jobs)) return false;
    source.largeMark = ++this.largePushed;
    if (this.large.length === 1) this.writesFirst = this.writesPushed;
    return true;
  }

  /** Proposes entries until inflightMax are under way or nothing waits. */
  flush(): void {
    if (this.options.flushWindowMs > 0 && !this.windowPassed()) return;
    while (this.underWay.length < this.options.inflightMax && this.waiting > 0) {
      if (!this.proposeOne()) break;
    }
  }

  entryDone(ticket: number): void {
    const at = this.underWay.findIndex((entry) => entry.ticket === ticket);
    assert(at !== -1, "only an entry under way can be done", { ticket });
    const entry = this.underWay[at] as EntryUnderWay;
    // Order does not matter among entries under way.
    if (entry.isLarge) this.largeDone();
    const last = this.underWay.pop() as EntryUnderWay;
    if (last !== entry) this.underWay[at] = last;
    for (let index = 0; index < entry.fetchCount; index++) {
      this.options.fetches.entryDone(entry.handles[index] as number, ticket);
    }
    this.spare.push(entry);
  }

  close(): void {
    this.window?.cancel();
    this.largePause?.cancel();
  }

  /** False when nothing could be taken: fetches that wait for memory. */
  private proposeOne(): boolean {
    if (this.mayTakeLarge()) return this.proposeLarge();
    const { fetches } = this.options;
    const fetchesWait = fetches.pendingCount > 0;
    const share = fetchesWait ? 2 : 1;
    const writeCount = this.takeWrites(
      this.writes,
      Math.ceil(this.options.entryCommandsMax / share),
      Math.ceil(this.options.entryJobsMax / share),
    );
    this.wakeEarly(writeCount);
    const fetchCount =
      fetches.pendingCount > 0
        ? fetches.take(
            this.handles,
            writeCount,
            this.options.entryCommandsMax - writeCount,
            Math.ceil(this.options.entryJobsMax / share),
          )
        : 0;
    if (writeCount + fetchCount === 0) return false;
    const isUnderWay = this.propose(writeCount, fetchCount, false);
    if (isUnderWay && this.largeIsUnderWay) this.othersPassed = true;
    return true;
  }

  /** The first of `handles`; false: the entry is not under way. */
  private propose(writeCount: number, fetchCount: number, isLarge: boolean): boolean {
    const { native, worker, fetches } = this.options;
    const count = writeCount + fetchCount;
    const ticket = native.propose(worker, shard, this.handles, count);
    if (ticket > 0) {
      fetches.proposed(this.handles, writeCount, fetchCount, ticket);
      this.remember(ticket, writeCount, fetchCount, isLarge);
    } else if (ticket < 0) {
      this.refuse(count, writeCount, -ticket);
    } else {
      // All of them were dropped meanwhile; their events tell the fetches.
    }
    return ticket > 0;
  }

  private wakeEarly(writeCount: number): void {
    const { native, worker, fetches } = this.options;
    if (writeCount === 0) return;
    const count = native.wakeEarly(worker, this.handles, writeCount, this.woken);
    for (let index = 0; index < count; index++) fetches.wake(this.woken[index] as number);
  }

  private mayTakeLarge(): boolean {
    if (this.large.length === 0 || this.writesPushed - this.writes.length < this.writesFirst) return false;
    if (this.large.firstBytes <= this.options.entryBytesMax) return true;
    return !this.largeIsUnderWay && !this.othersHaveTheirTime();
  }

  private othersHaveTheirTime(): boolean {
    const { clock, wakeTurn } = this.options;
    const leftMs = this.largeNotBeforeMs - clock.nowMs();
    if (leftMs <= 0) return false;
    this.largePause ??= clock.after(leftMs, () => {
      this.largePause = undefined;
      wakeTurn();
    });
    return true;
  }

  private largeDone(): void {
    this.largeIsUnderWay = false;
    const nowMs = this.options.clock.nowMs();
    if (this.othersPassed) this.largeNotBeforeMs = nowMs + Math.min(nowMs - this.largeSinceMs, pauseMsMax);
    this.othersPassed = false;
  }

  private proposeLarge(): boolean {
    const { entryBytesMax, entryCommandsMax, entryJobsMax } = this.options;
    const isLarge = this.large.firstBytes > entryBytesMax;
    const count = this.takeWrites(this.large, entryCommandsMax, entryJobsMax);
    this.writesFirst = this.writesPushed;
    if (this.propose(count, 0, isLarge) && isLarge) {
      this.largeIsUnderWay = true;
      this.largeSinceMs = this.options.clock.nowMs();
    }
    return true;
  }

  private takeWrites(from: HandleQueue, countMax: number, jobsMax: number): number {
    let count = 0;
    let bytes = 0;
    let jobs = 0;
    while (count < countMax && from.length > 0) {
      bytes += from.firstBytes;
      jobs += from.firstJobs;
      if (count > 0 && (bytes > this.options.entryBytesMax || jobs > jobsMax)) break;
      this.handles[count++] = from.shift();
    }
    return count;
  }

  private remember(ticket: number, fetchesAt: number, fetchCount: number, isLarge: boolean): void {
    const entry = this.spare.pop() ?? { ticket: 0, isLarge, handles: new Uint32Array(0), fetchCount: 0 };
    if (entry.handles.length < fetchCount) entry.handles = new Uint32Array(Math.max(64, fetchCount * 2));
    for (let index = 0; index < fetchCount; index++) {
      entry.handles[index] = this.handles[fetchesAt + index] as number;
    }
    entry.ticket = ticket;
    entry.isLarge = isLarge;
    entry.fetchCount = fetchCount;
    this.underWay.push(entry);
  }

  private refuse(count: number, writeCount: number, code: number): void {
    const { native, worker, fetches } = this.options;
    const waitMs = retryAfterMs.get(code) ?? 0;
    for (let index = 0; index < writeCount; index++) {
      native.answer(worker, this.handles[index] as number, code, waitMs);
    }
    for (let index = writeCount; index < count; index++) {
      fetches.refuse(this.handles[index] as number, code, waitMs);
    }
  }

  private windowPassed(): boolean {
    if (this.windowIsOver) {
      this.windowIsOver = false;
      return true;
    }
    if (this.waiting > 0 && this.window === undefined) {
      this.window = this.options.clock.after(this.options.flushWindowMs, () => {
        this.window = undefined;
        this.windowIsOver = true;
        this.options.wakeTurn();
      });
    }
    return false;
  }
}
