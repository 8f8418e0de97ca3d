// Deadlines of one thread: a binary heap over one timer. Owns the order, not the things that fall due; they carry their
// own place in the heap, so that one can be taken out again without a search. Called by the fetches of a worker.

import { assert } from "../assert.js";
import { type Clock, type Timer, timerMsMax } from "../clock.js";

/** What can wait for a deadline. `heapIndex` belongs to the heap; -1: not in it. */
export interface Due {
  dueMs: number;
  heapIndex: number;
}

export class Deadlines<Item extends Due> {
  private readonly heap: Item[] = [];
  private timer: Timer | undefined;
  private timerAtMs = Number.POSITIVE_INFINITY;

  /** `fire` is called from a timer; it takes what is due with `popDue`. */
  constructor(
    private readonly clock: Clock,
    private readonly fire: () => void,
  ) {}

  get size(): number {
    return this.heap.length;
  }

  add(item: Item): void {
    assert(item.heapIndex === -1, "an item waits for one deadline at a time", { heapIndex: item.heapIndex });
    item.heapIndex = this.heap.length;
    this.heap.push(item);
    this.rise(item);
    this.arm();
  }

  /** Harmless when the item does not wait. */
  remove(item: Item): void {
    const at = item.heapIndex;
    if (at === -1) return;
    item.heapIndex = -1;
    const last = this.heap.pop();
    if (last === undefined || last === item) return;
    last.heapIndex = at;
    this.heap[at] = last;
    this.rise(last);
    this.sink(last);
    // The timer stays: firing early finds nothing due and arms it anew.
  }

  /** The earliest item whose deadline has passed, taken out; undefined when there is none. */
  popDue(nowMs: number): Item | undefined {
    const first = this.heap[0];
    if (first === undefined || first.dueMs > nowMs) return undefined;
    this.remove(first);
    return first;
  }

  close(): void {
    this.timer?.cancel();
    this.timer = undefined;
    this.timerAtMs = Number.POSITIVE_INFINITY;
  }

  private arm(): void {
    const first = this.heap[0];
    if (first === undefined || first.dueMs >= this.timerAtMs) return;
    this.timer?.cancel();
    this.timerAtMs = first.dueMs;
    this.timer = this.clock.after(Math.min(timerMsMax, first.dueMs - this.clock.nowMs()), () => {
      this.timer = undefined;
      this.timerAtMs = Number.POSITIVE_INFINITY;
      this.fire();
      this.arm();
    });
  }

  private rise(item: Item): void {
    let at = item.heapIndex;
    while (at > 0) {
      const parentAt = (at - 1) >> 1;
      const parent = this.heap[parentAt] as Item;
      if (parent.dueMs <= item.dueMs) break;
      this.heap[at] = parent;
      parent.heapIndex = at;
      at = parentAt;
    }
    this.heap[at] = item;
    item.heapIndex = at;
  }

  private sink(item: Item): void {
    const size = this.heap.length;
    let at = item.heapIndex;
    for (;;) {
      let childAt = 2 * at + 1;
      if (childAt >= size) break;
      if (childAt + 1 < size && (this.heap[childAt + 1] as Item).dueMs < (this.heap[childAt] as Item).dueMs) childAt++;
      const child = this.heap[childAt] as Item;
      if (child.dueMs >= item.dueMs) break;
      this.heap[at] = child;
      child.heapIndex = at;
      at = childAt;
    }
    this.heap[at] = item;
    item.heapIndex = at;
  }
}
