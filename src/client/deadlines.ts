// Owns: the one timer of a client that ends calls whose time is over. It is armed for the earliest deadline known, so a
// call that ends in time costs no timer of its own. Never settles a call itself. Called by the link.

import type { Call } from "./call.js";

type AnyCall = Call<unknown>;

/** Node's timers hold no more; the sweep then arms the next. */
const timerMsMax = 2 ** 31 - 1;

export class Deadlines {
  private readonly live: ReadonlySet<AnyCall>;
  private readonly expired: (call: AnyCall) => void;
  private timer: NodeJS.Timeout | null = null;
  private armedMs = Number.POSITIVE_INFINITY;

  /** `live` holds the calls that have not ended; it is the owner's. */
  constructor(live: ReadonlySet<AnyCall>, expired: (call: AnyCall) => void) {
    this.live = live;
    this.expired = expired;
  }

  add(call: AnyCall): void {
    if (call.deadlineMs < this.armedMs) this.arm(call.deadlineMs);
  }

  /** Nothing is outstanding: the timer must not keep the process alive. */
  clear(): void {
    if (this.timer !== null) clearTimeout(this.timer);
    this.timer = null;
    this.armedMs = Number.POSITIVE_INFINITY;
  }

  private arm(deadlineMs: number): void {
    this.clear();
    this.armedMs = deadlineMs;
    const delayMs = Math.max(1, Math.ceil(deadlineMs - performance.now()));
    this.timer = setTimeout(() => this.sweep(), Math.min(delayMs, timerMsMax));
  }

  private sweep(): void {
    this.clear();
    const nowMs = performance.now();
    let nextMs = Number.POSITIVE_INFINITY;
    for (const call of [...this.live]) {
      if (call.deadlineMs <= nowMs) this.expired(call);
      else nextMs = Math.min(nextMs, call.deadlineMs);
    }
    if (nextMs < this.armedMs) this.arm(nextMs);
  }
}
