// A first-in, first-out queue of calls as columns of numbers, so that a waiting call costs no object. Owns handles only;
// the addon owns what they stand for. Called by the apply loop.

import { assert } from "../assert.js";

const firstCapacity = 256;

export class HandleQueue {
  private handles = new Uint32Array(firstCapacity);
  private bytesOf = new Uint32Array(firstCapacity);
  private jobsOf = new Uint32Array(firstCapacity);
  private head = 0;
  private count = 0;

  constructor(private readonly countMax: number) {}

  get length(): number {
    return this.count;
  }

  /** False when the queue is full: nothing was added. */
  push(handle: number, bytes: number, jobs: number): boolean {
    if (this.count === this.countMax) return false;
    if (this.count === this.handles.length) this.grow();
    const at = (this.head + this.count) & (this.handles.length - 1);
    this.handles[at] = handle;
    this.bytesOf[at] = bytes;
    this.jobsOf[at] = jobs;
    this.count++;
    return true;
  }

  get firstBytes(): number {
    return this.bytesOf[this.head] as number;
  }

  get firstJobs(): number {
    return this.jobsOf[this.head] as number;
  }

  shift(): number {
    assert(this.count > 0, "an empty queue has no first call");
    const handle = this.handles[this.head] as number;
    this.head = (this.head + 1) & (this.handles.length - 1);
    this.count--;
    return handle;
  }

  private grow(): void {
    this.handles = this.unrolled(this.handles);
    this.bytesOf = this.unrolled(this.bytesOf);
    this.jobsOf = this.unrolled(this.jobsOf);
    this.head = 0;
  }

  /** Twice as long, the first call at 0. The length stays a power of two. */
  private unrolled(column: Uint32Array<ArrayBuffer>): Uint32Array<ArrayBuffer> {
    const grown = new Uint32Array(column.length * 2);
    grown.set(column.subarray(this.head));
    grown.set(column.subarray(0, this.head), column.length - this.head);
    return grown;
  }
}
