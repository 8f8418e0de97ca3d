// Owns: one lease while commands run under it: extends it at a third of its time, knows until when it is surely held, and
// says once when it is lost. Never runs or ends a command. Called by worker.ts.
//
// The deadline is counted from when a request was sent, by this machine's stopwatch: the server counts from later, so a
// lease that is held here is held there. Cut off from the server, the worker ends its commands before another worker may
// have their jobs.

import { CapstanError, type Extended, type WriteOptions } from "../../client/index.js";

export interface LeaseTarget {
  extend(lease: string, leaseMs: number, options: WriteOptions): Promise<Extended>;
}

const share = 1 / 3;
const retryMsMax = 1_000;
/** Timers of Node hold no longer time. */
const timerMsMax = 2 ** 31 - 1;

export class HeldLease {
  isLost = false;
  private deadlineMs: number;
  private extendTimer: NodeJS.Timeout | undefined;
  private deadlineTimer: NodeJS.Timeout | undefined;
  private readonly abandoned = new AbortController();
  private isClosed = false;

  constructor(
    private readonly target: LeaseTarget,
    readonly lease: string,
    private readonly leaseMs: number,
    private readonly lost: (reason: string) => void,
    sinceMs = performance.now(),
  ) {
    this.deadlineMs = sinceMs + leaseMs;
    this.extendIn(leaseMs * share);
    this.watchDeadline();
  }

  /** How long it is surely held from now. */
  get leftMs(): number {
    return Math.max(0, this.deadlineMs - performance.now());
  }

  /** No command runs under it any more. */
  close(): void {
    this.isClosed = true;
    clearTimeout(this.extendTimer);
    clearTimeout(this.deadlineTimer);
    this.abandoned.abort();
  }

  lose(reason: string): void {
    if (this.isLost || this.isClosed) return;
    this.isLost = true;
    this.close();
    this.lost(reason);
  }

  private extendIn(ms: number): void {
    if (this.isClosed) return;
    this.extendTimer = setTimeout(() => void this.extend(), Math.min(timerMsMax, Math.max(1, ms)));
  }

  /** Its own timer, so that an extension that is under way or tried again cannot put it off. */
  private watchDeadline(): void {
    clearTimeout(this.deadlineTimer);
    if (this.isClosed) return;
    this.deadlineTimer = setTimeout(
      () => {
        if (this.leftMs <= 0) this.lose("the lease could not be extended in time");
        else this.watchDeadline();
      },
      Math.min(timerMsMax, Math.ceil(this.leftMs)),
    );
  }

  private async extend(): Promise<void> {
    const sentMs = performance.now();
    try {
      const timeoutMs = Math.min(timerMsMax, Math.max(1, Math.ceil(this.leftMs)));
      const { openJobs, leaseMs } = await this.target.extend(this.lease, this.leaseMs, {
        timeoutMs,
        signal: this.abandoned.signal,
      });
      if (this.isClosed) return;
      if (openJobs === 0) {
        this.lose("the server knows no open job of the lease");
        return;
      }
      this.deadlineMs = sentMs + leaseMs;
      this.watchDeadline();
      this.extendIn(leaseMs * share);
    } catch (error) {
      if (this.isClosed) return;
      if (!(error instanceof CapstanError)) throw error;
      if (error.code === "leaseLost" || error.code === "notFound") this.lose("the server says that the lease is over");
      else this.extendIn(Math.min(retryMsMax, this.leftMs * share));
    }
  }
}
