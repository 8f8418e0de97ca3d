// A clock that moves when a test says so. Owns its timers; they
// fire in the order of their instants within `advance`.

import type { Clock, Timer } from "../../src/clock.js";

interface Pending {
  atMs: number;
  fire: () => void;
}

export class FakeClock implements Clock {
  private now = 1000;
  private timers: Pending[] = [];

  nowMs(): number {
    return this.now;
  }

  get timerCount(): number {
    return this.timers.length;
  }

  after(delayMs: number, fire: () => void): Timer {
    const pending = { atMs: this.now + Math.max(0, delayMs), fire };
    this.timers.push(pending);
    return {
      cancel: () => {
        this.timers = this.timers.filter((one) => one !== pending);
      },
    };
  }

  advance(ms: number): void {
    const until = this.now + ms;
    for (;;) {
      const next = this.timers.filter((one) => one.atMs <= until).sort((a, b) => a.atMs - b.atMs)[0];
      if (next === undefined) break;
      this.timers = this.timers.filter((one) => one !== next);
      this.now = Math.max(this.now, next.atMs);
      next.fire();
    }
    this.now = until;
  }
}
