// Random numbers that a seed repeats (mulberry32), for tests whose run shall be the same again as far as the machine
// allows. Owns its state; not for secrets.

export class SeededRandom {
  private state: number;

  constructor(seed: number) {
    this.state = seed >>> 0;
  }

  /** 0 to below 1. */
  next(): number {
    this.state = (this.state + 0x6d2b79f5) >>> 0;
    let mixed = this.state;
    mixed = Math.imul(mixed ^ (mixed >>> 15), mixed | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  }

  /** A whole number of `from` to `to`, both included. */
  between(from: number, to: number): number {
    return from + this.below(to - from + 1);
  }

  /** A whole number below `bound`. */
  below(bound: number): number {
    return Math.floor(this.next() * bound);
  }

  bytes(count: number): Buffer {
    const made = Buffer.alloc(count);
    for (let at = 0; at < count; at++) made[at] = this.below(256);
    return made;
  }

  chance(share: number): boolean {
    return this.next() < share;
  }
}
