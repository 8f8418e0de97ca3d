// Owns: how long to wait before the next try: doubling from a base to a bound, each delay with jitter so that many
// clients do not come back at once. Never waits itself. Called by the link between tries.

import type { BackoffOptions } from "./types.js";

const baseMsDefault = 50;
const maxMsDefault = 5_000;

export class Backoff {
  private readonly baseMs: number;
  private readonly maxMs: number;
  private readonly random: () => number;
  private failures = 0;

  /** `random` gives numbers from 0 to 1; a seam for tests. */
  constructor(options: BackoffOptions = {}, random: () => number = Math.random) {
    this.baseMs = options.baseMs ?? baseMsDefault;
    this.maxMs = options.maxMs ?? maxMsDefault;
    this.random = random;
  }

  /** The delay before the next try: between half of the present step and the whole of it. */
  next(): number {
    const step = this.step(this.failures);
    this.failures++;
    return step / 2 + (step / 2) * this.random();
  }

  /** A delay for a call that was refused `times` times, apart from the connection's own failures. */
  delay(times: number): number {
    const step = this.step(times);
    return step / 2 + (step / 2) * this.random();
  }

  reset(): void {
    this.failures = 0;
  }

  private step(failures: number): number {
    return Math.min(this.maxMs, this.baseMs * 2 ** Math.min(failures, 30));
  }
}
