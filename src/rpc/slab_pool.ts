// Buffers into which the addon encodes replies, used again once every socket has taken its part. Owns the slabs of one
// worker; never encodes. Called by the turn of a worker; a slab's `written` is given to sockets as write callback.

import { assert } from "../assert.js";

export class Slab {
  readonly bytes: Buffer;
  /** Writes that have not called back, and the turn that fills the slab. */
  private users = 0;

  /** Bound once, so that a write costs no closure. An error counts as taken: the socket is gone then. */
  readonly written: (error?: Error | null) => void;

  constructor(bytesMax: number, free: (slab: Slab) => void) {
    // Not from Node's shared pool, and never zeroed: only written parts are sent.
    this.bytes = Buffer.allocUnsafeSlow(bytesMax);
    this.written = () => {
      assert(this.users > 0, "a slab is given back once for each use");
      this.users--;
      if (this.users === 0) free(this);
    };
  }

  use(): void {
    this.users++;
  }
}

export class SlabPool {
  private readonly free: Slab[] = [];
  private made = 0;
  private readonly giveBack = (slab: Slab): void => {
    this.free.push(slab);
  };

  constructor(
    private readonly slabBytes: number,
    private readonly slabsMax: number,
  ) {}

  /** Slabs that wait for sockets or are being filled. */
  get inUse(): number {
    return this.made - this.free.length;
  }

  get madeBytes(): number {
    return this.made * this.slabBytes;
  }

  /** Whether so many slabs wait for sockets that writes must be copies. One is always left for the turn itself. */
  get isScarce(): boolean {
    return this.inUse >= this.slabsMax;
  }

  /** A slab for this turn, in use once by the caller, who ends with `written()`. */
  take(): Slab {
    const slab = this.free.pop() ?? this.make();
    slab.use();
    return slab;
  }

  private make(): Slab {
    // While slabs are scarce every write is a copy, so one more than the limit is all that can be made.
    assert(this.made <= this.slabsMax, "slabs are bounded", { made: this.made, slabsMax: this.slabsMax });
    this.made++;
    return new Slab(this.slabBytes, this.giveBack);
  }
}
