// The bytes that requests of all listener workers may pin together: received frames, half-received ones, reserved and
// unsent replies. Owns a count shared by the workers; never the bytes themselves. Called by each worker's router,
// fetches and connections.
//
//   shared   [ granted to worker 0 | granted to worker 1 | … | free ]        whole grains, moved by Atomics
//   a worker [ used ........ | granted but unused ]                          plain numbers of its own thread
//
// Large requests may fill a part of it only: so those with megabytes never keep out the many that ask for little. Large
// replies of fetches may fill a little more: else what is enqueued would keep out who takes it away.
//
// A worker takes and returns grains only when its own use crosses one, so the hot path touches no shared memory.

import { assert } from "../assert.js";
import { KiB, MiB } from "../units.js";

/** Fine enough for a budget of 16 MiB, coarse enough that moving one is rare. */
export const grainBytes = 256 * KiB;

/** What is larger than a job of the largest default payload is large, and finds this share full already. */
export const largeBytesMin = 2 * MiB;
const largeRequestShareMax = 0.6;
const largeFetchShareMax = 0.85;

/** Grains that a worker keeps although it does not use them, so that a steady load does not move them to and fro. */
const keptGrains = 2;

/** A command of 16 MiB with what its frame adds. */
const largeGrainsMin = (20 * MiB) / grainBytes;

const grantedWord = 0;

export function createSharedBudget(): SharedArrayBuffer {
  return new SharedArrayBuffer(4);
}

export class MemoryBudget {
  private readonly shared: Int32Array;
  private readonly grainsMax: number;
  private readonly largeRequestGrainsMax: number;
  private readonly largeFetchGrainsMax: number;
  private grains = 0;
  private used = 0;

  constructor(shared: SharedArrayBuffer, bytesMax: number) {
    this.shared = new Int32Array(shared);
    this.grainsMax = Math.floor(bytesMax / grainBytes);
    // One that needs more than the share must still find room when nothing else is there.
    const alone = Math.min(this.grainsMax, largeGrainsMin);
    this.largeRequestGrainsMax = Math.max(Math.floor(this.grainsMax * largeRequestShareMax), alone);
    this.largeFetchGrainsMax = Math.max(Math.floor(this.grainsMax * largeFetchShareMax), alone);
    assert(this.grainsMax > 0, "a memory budget holds at least one grain", { bytesMax });
  }

  get usedBytes(): number {
    return this.used;
  }

  /** Counts `bytes` if they fit into what all workers may use; false: nothing was counted. */
  tryTake(bytes: number): boolean {
    return this.takeWithin(bytes, bytes > largeBytesMin ? this.largeRequestGrainsMax : this.grainsMax);
  }

  /** The same for the reply of a fetch. */
  tryTakeFetch(bytes: number): boolean {
    return this.takeWithin(bytes, bytes > largeBytesMin ? this.largeFetchGrainsMax : this.grainsMax);
  }

  /** Counts bytes that exist already, over the limit if need be. */
  take(bytes: number): void {
    this.used += bytes;
    if (this.used > this.grains * grainBytes)
      this.grow(Math.ceil(this.used / grainBytes) - this.grains, Number.POSITIVE_INFINITY);
  }

  give(bytes: number): void {
    this.used -= bytes;
    assert(this.used >= 0, "more memory was given back than taken", { used: this.used, bytes });
    const spare = this.grains - Math.ceil(this.used / grainBytes) - keptGrains;
    if (spare > keptGrains) this.shrink(spare);
  }

  /** Whether more than `share` of what all workers may use is granted. */
  isAbove(share: number): boolean {
    return Atomics.load(this.shared, grantedWord) > this.grainsMax * share;
  }

  /** A worker that ends gives back what it held. */
  close(): void {
    this.used = 0;
    this.shrink(this.grains);
  }

  private takeWithin(bytes: number, grainsMax: number): boolean {
    const used = this.used + bytes;
    if (used > this.grains * grainBytes && !this.grow(Math.ceil(used / grainBytes) - this.grains, grainsMax))
      return false;
    this.used = used;
    return true;
  }

  private grow(more: number, grainsMax: number): boolean {
    const granted = Atomics.add(this.shared, grantedWord, more) + more;
    if (granted > grainsMax) {
      Atomics.sub(this.shared, grantedWord, more);
      return false;
    }
    this.grains += more;
    return true;
  }

  private shrink(fewer: number): void {
    Atomics.sub(this.shared, grantedWord, fewer);
    this.grains -= fewer;
  }
}
