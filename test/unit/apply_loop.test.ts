// The apply loop's batching: at once when idle, by itself when loaded, within the bounds of an entry, fair between writes
// and fetches, and refusals that reach every caller.

import assert from "node:assert/strict";
import { beforeEach, describe, it } from "node:test";
import { ErrorCode } from "../../src/generated/error_codes.js";
import { ApplyLoop, type ApplyLoopOptions, type WriteSource } from "../../src/server/apply_loop.js";
import { Fetches } from "../../src/server/fetches.js";
import { createSharedBudget, MemoryBudget } from "../../src/server/memory_budget.js";
import { MiB } from "../../src/units.js";
import { FakeClock } from "../support/fake_clock.js";
import { FakeNative } from "../support/fake_native.js";

let native: FakeNative;
let clock: FakeClock;
let fetches: Fetches;
let loop: ApplyLoop;
let turns: number;
let source: WriteSource;

function make(change: Partial<ApplyLoopOptions> = {}): void {
  native = new FakeNative();
  clock = new FakeClock();
  turns = 0;
  source = { largeMark: 0 };
  const wakeTurn = (): void => {
    turns++;
  };
  const budget = new MemoryBudget(createSharedBudget(), 64 * MiB);
  fetches = new Fetches({ native, worker: 7, clock, budget, fetchesMax: 1000, wakeTurn });
  loop = new ApplyLoop({
    native,
    worker: 7,
    fetches,
    clock,
    inflightMax: 4,
    entryBytesMax: 1000,
    entryCommandsMax: 10,
    entryJobsMax: 100,
    writesMax: 50,
    flushWindowMs: 0,
    wakeTurn,
    ...change,
  });
}

describe("the apply loop", () => {
  beforeEach(() => make());

  it("proposes at once when idle and gathers while inflightMax entries are under way", () => {
    for (let handle = 1; handle <= 4; handle++) {
      loop.addWrite(handle, 10, 1, source);
      loop.flush();
    }
    assert.deepEqual(native.entries, [[1], [2], [3], [4]]);
    for (let handle = 5; handle <= 8; handle++) {
      loop.addWrite(handle, 10, 1, source);
      loop.flush();
    }
    assert.equal(native.entries.length, 4);
    assert.equal(loop.inflight, 4);
    loop.entryDone(2);
    loop.flush();
    assert.deepEqual(native.entries[4], [5, 6, 7, 8]);
  });

  it("lets others pass one large command at a time, yet never calls of the same source", () => {
    const other = { largeMark: 0 };
    loop.addWrite(1, 5000, 1, source);
    loop.addWrite(2, 5000, 1, source);
    loop.addWrite(3, 10, 1, source);
    loop.addWrite(4, 10, 1, other);
    loop.flush();
    assert.deepEqual(native.entries, [[1], [4]]);
    loop.addWrite(5, 10, 1, other);
    loop.flush();
    assert.deepEqual(native.entries[2], [5]);
    loop.entryDone(1);
    loop.flush();
    assert.deepEqual(native.entries.slice(3), [[2], [3]], "behind what its source sent before");
    loop.entryDone(4);
    loop.addWrite(6, 10, 1, source);
    loop.flush();
    assert.deepEqual(native.entries[5], [6], "nothing of it waits among the large ones");
  });

  it("lets a large command leave others as much time as it took, where there are others", () => {
    const other = { largeMark: 0 };
    for (const handle of [1, 2, 3]) loop.addWrite(handle, 5000, 1, source);
    loop.flush();
    clock.advance(40);
    loop.entryDone(1);
    loop.flush();
    assert.deepEqual(native.entries, [[1], [2]], "nobody else was there");
    loop.addWrite(4, 10, 1, other);
    loop.flush();
    clock.advance(40);
    loop.entryDone(2);
    loop.flush();
    assert.deepEqual(native.entries.slice(2), [[4]]);
    clock.advance(39);
    loop.flush();
    assert.equal(native.entries.length, 3);
    const before = turns;
    clock.advance(1);
    assert.equal(turns, before + 1, "the end of the pause is a turn");
    loop.flush();
    assert.deepEqual(native.entries[3], [3]);
  });

  it("bounds an entry in bytes, commands and jobs, yet a larger command goes alone", () => {
    for (const [handle, bytes] of [
      [1, 600],
      [2, 600],
      [3, 5000],
      [4, 100],
    ] as const) {
      loop.addWrite(handle, bytes, 1, source);
    }
    loop.flush();
    assert.deepEqual(native.entries, [[1], [2], [3], [4]]);

    make();
    for (let handle = 1; handle <= 25; handle++) loop.addWrite(handle, 1, 1, source);
    loop.flush();
    assert.deepEqual(
      native.entries.map((entry) => entry.length),
      [10, 10, 5],
    );

    make();
    for (let handle = 1; handle <= 3; handle++) loop.addWrite(handle, 1, 60, source);
    loop.flush();
    assert.deepEqual(native.entries, [[1], [2], [3]]);
  });

  it("gives writes and fetches half of an entry each when both wait", () => {
    for (let handle = 1; handle <= 20; handle++) loop.addWrite(handle, 1, 1, source);
    for (let handle = 101; handle <= 103; handle++) fetches.add(handle, 1, 0, 0);
    loop.flush();
    assert.deepEqual(native.entries[0], [1, 2, 3, 4, 5, 101, 102, 103]);
    assert.equal(native.entries[1]?.length, 10, "alone, writes take all of it");
  });

  it("takes parked fetches along with the writes that will serve them", () => {
    fetches.add(101, 1, 0, 1000);
    loop.flush();
    fetches.empty(101);
    loop.entryDone(native.lastTicket);
    assert.ok(native.parked.has(101));
    native.wakesEarly.push(101);
    loop.addWrite(1, 1, 1, source);
    loop.flush();
    assert.deepEqual(native.entries, [[101], [1, 101]]);
    loop.entryDone(native.lastTicket);
    assert.equal(fetches.openCount, 0);
  });

  it("tells the fetches of an entry that it is done", () => {
    fetches.add(1, 1, 0, 1000);
    fetches.add(2, 1, 0, 1000);
    loop.flush();
    fetches.empty(2);
    loop.entryDone(native.lastTicket);
    assert.equal(fetches.openCount, 1, "the one that came out empty is parked");
    assert.equal(loop.inflight, 0);
  });

  it("answers every call of a refused entry with its code and a hint", () => {
    native.refusals.push(ErrorCode.diskFull);
    loop.addWrite(1, 1, 1, source);
    fetches.add(2, 1, 0, 0);
    loop.flush();
    assert.deepEqual(native.answers, [
      { handle: 1, code: ErrorCode.diskFull, retryAfterMs: 5000 },
      { handle: 2, code: ErrorCode.diskFull, retryAfterMs: 5000 },
    ]);
    assert.equal(loop.inflight, 0);
    assert.equal(fetches.openCount, 0);
  });

  it("goes on when all calls of an entry were dropped", () => {
    native.refusals.push(0);
    loop.addWrite(1, 1, 1, source);
    loop.flush();
    loop.addWrite(2, 1, 1, source);
    loop.flush();
    assert.deepEqual(native.entries, [[1], [2]]);
    assert.equal(loop.inflight, 1);
  });

  it("refuses more than it may hold", () => {
    for (let handle = 1; handle <= 50; handle++) assert.ok(loop.addWrite(handle, 1, 1, source));
    assert.equal(loop.addWrite(51, 1, 1, source), false);
  });

  it("keeps the order of calls through growth and wrap-around of its queue", () => {
    make({ writesMax: 100_000, inflightMax: 1, entryCommandsMax: 7, entryJobsMax: 1_000_000, entryBytesMax: MiB });
    let next = 1;
    for (let round = 0; round < 300; round++) {
      for (let index = 0; index < 9; index++) loop.addWrite(next++, 1, 1, source);
      loop.flush();
      loop.entryDone(native.lastTicket);
    }
    const seen = native.entries.flat();
    assert.deepEqual(
      seen,
      seen.map((_, index) => index + 1),
    );
    assert.equal(seen.length, 2100);
  });

  it("with the benchmark's window proposes only when it is over", () => {
    make({ flushWindowMs: 5 });
    loop.addWrite(1, 1, 1, source);
    loop.flush();
    loop.addWrite(2, 1, 1, source);
    loop.flush();
    assert.deepEqual(native.entries, []);
    clock.advance(5);
    assert.equal(turns, 1);
    loop.flush();
    assert.deepEqual(native.entries, [[1, 2]]);
  });
});
