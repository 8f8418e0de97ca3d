// The seam for time in the server's JavaScript: a monotonic clock and one-shot timers. Owns nothing; never read by what
// decides the stored state (entries carry the leader's stamps). Called by deadlines, sweeps and rate limits; unit tests
// give a clock of their own.

export interface Timer {
  /** Forgets the timer; harmless when it has fired. */
  cancel(): void;
}

export interface Clock {
  /** Milliseconds since some start, never going back; fractions count. */
  nowMs(): number;
  /** Calls `fire` once, not before `delayMs` milliseconds have passed. Does not keep the process alive. */
  after(delayMs: number, fire: () => void): Timer;
}

/** setTimeout takes a signed 32-bit number; a later instant is reached in several steps by the caller. */
export const timerMsMax = 2_147_483_647;

export const systemClock: Clock = {
  nowMs: () => performance.now(),
  after(delayMs, fire) {
    // Rounded up: a timer that fires early would find nothing due and spin.
    const timer = setTimeout(fire, Math.min(timerMsMax, Math.max(1, Math.ceil(delayMs))));
    timer.unref();
    return { cancel: () => clearTimeout(timer) };
  },
};
