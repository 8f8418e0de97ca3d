// Fetches from arrival to answer: batching, parking, wakes, deadlines, cancellation, and that memory is neither lost nor
// given back twice on any way.

import assert from "node:assert/strict";
import { beforeEach, describe, it } from "node:test";
import { ErrorCode } from "../../src/generated/error_codes.js";
import { Fetches, waitsForever } from "../../src/server/fetches.js";
import { createSharedBudget, MemoryBudget } from "../../src/server/memory_budget.js";
import { MiB } from "../../src/units.js";
import { FakeClock } from "../support/fake_clock.js";
import { FakeNative } from "../support/fake_native.js";

const replyBytes = 4 * MiB;
let native: FakeNative;
let clock: FakeClock;
let budget: MemoryBudget;
let fetches: Fetches;
let turns: number;
const handles = new Uint32Array(4096);

function make(fetchesMax = 100, budgetBytes = 64 * MiB): void {
  native = new FakeNative();
  clock = new FakeClock();
  budget = new MemoryBudget(createSharedBudget(), budgetBytes);
  turns = 0;
  fetches = new Fetches({ native, worker: 7, clock, budget, fetchesMax, wakeTurn: () => turns++ });
}

/** Takes all pending fetches into an entry; returns their handles. */
function propose(ticket: number): number[] {
  const count = fetches.take(handles, 0, 4096, 1_000_000);
  fetches.proposed(handles, 0, count, ticket);
  return [...handles.subarray(0, count)];
}

/** As the addon counts it when a call ends: its reply, since requests weigh nothing in these tests. */
function answered(count = 1): void {
  budget.give(count * replyBytes);
}

describe("fetches", () => {
  beforeEach(() => make());

  it("are proposed together, in the order of arrival, each with its reply reserved", () => {
    for (const handle of [5, 3, 9]) fetches.add(handle, 1, replyBytes, 0);
    assert.equal(budget.usedBytes, 0);
    assert.deepEqual(propose(1), [5, 3, 9]);
    assert.equal(budget.usedBytes, 3 * replyBytes);
    for (const handle of [5, 3, 9]) fetches.entryDone(handle, 1);
    answered(3);
    assert.equal(fetches.openCount, 0);
    assert.equal(budget.usedBytes, 0);
  });

  it("respect the bounds of an entry, but one always goes", () => {
    fetches.add(1, 500, 0, 0);
    fetches.add(2, 500, 0, 0);
    assert.equal(fetches.take(handles, 0, 10, 100), 1);
    assert.equal(fetches.take(handles, 0, 10, 100), 1);
    assert.equal(fetches.take(handles, 0, 10, 100), 0);
  });

  it("wait for memory while other replies are on their way", () => {
    make(100, 9 * MiB);
    for (const handle of [1, 2, 3]) fetches.add(handle, 1, replyBytes, 0);
    assert.deepEqual(propose(1), [1, 2]);
    assert.deepEqual(propose(2), []);
    fetches.entryDone(1, 1);
    fetches.entryDone(2, 1);
    assert.deepEqual(propose(2), [], "their replies are not taken yet");
    answered();
    assert.deepEqual(propose(2), [3]);
    answered(2);
    assert.equal(budget.usedBytes, 0);
  });

  it("go without when they are too large by themselves", () => {
    make(100, 3 * MiB);
    for (const handle of [1, 2]) fetches.add(handle, 1, replyBytes, 0);
    assert.deepEqual(propose(1), [1]);
    assert.deepEqual(propose(2), [], "one at a time");
    fetches.entryDone(1, 1);
    assert.deepEqual(propose(2), [], "not before its reply is taken");
    answered();
    assert.deepEqual(propose(2), [2]);
  });

  it("park when they come out empty, holding no reply, and go again when woken", () => {
    fetches.add(1, 1, replyBytes, 1000);
    propose(1);
    fetches.empty(1);
    fetches.entryDone(1, 1);
    assert.ok(native.parked.has(1));
    assert.equal(budget.usedBytes, 0);
    assert.equal(fetches.openCount, 1);
    fetches.wake(1);
    assert.equal(fetches.parkedWithDeadlineCount, 0);
    assert.deepEqual(propose(2), [1]);
    assert.equal(budget.usedBytes, replyBytes);
  });

  it("try again at once when the queue moved before they slept", () => {
    fetches.add(1, 1, replyBytes, 1000);
    propose(1);
    native.parkFails.add(1);
    fetches.empty(1);
    fetches.entryDone(1, 1);
    assert.deepEqual(propose(2), [1]);
  });

  it("end at their own deadline, to the millisecond", () => {
    for (const [handle, waitMs] of [
      [1, 300],
      [2, 100],
      [3, 200],
    ] as const) {
      fetches.add(handle, 1, replyBytes, waitMs);
    }
    propose(1);
    for (const handle of [1, 2, 3]) fetches.empty(handle);
    clock.advance(99);
    assert.deepEqual(native.expired, []);
    clock.advance(1);
    assert.deepEqual(native.expired, [2]);
    assert.equal(turns, 1, "the answer waits to be collected");
    clock.advance(200);
    assert.deepEqual(native.expired, [2, 3, 1]);
    answered(3);
    assert.equal(budget.usedBytes, 0);
    assert.equal(clock.timerCount, 0);
  });

  it("that wait without end arm no timer", () => {
    fetches.add(1, 1, replyBytes, waitsForever);
    propose(1);
    fetches.empty(1);
    assert.equal(clock.timerCount, 0);
    assert.ok(native.parked.has(1));
  });

  it("whose deadline passed while they were proposed end without parking", () => {
    fetches.add(1, 1, replyBytes, 50);
    propose(1);
    clock.advance(60);
    fetches.empty(1);
    assert.deepEqual(native.expired, [1]);
    assert.ok(!native.parked.has(1));
    answered();
    assert.equal(budget.usedBytes, 0);
    assert.equal(fetches.openCount, 0);
  });

  it("whose wake crosses their deadline get one more chance", () => {
    fetches.add(1, 1, replyBytes, 50);
    propose(1);
    fetches.empty(1);
    native.wakesUnderWay.add(1);
    clock.advance(50);
    assert.deepEqual(native.expired, []);
    fetches.wake(1);
    assert.deepEqual(propose(2), [1]);
    native.wakesUnderWay.delete(1);
    fetches.empty(1);
    assert.deepEqual(native.expired, [1]);
    answered();
    assert.equal(budget.usedBytes, 0);
  });

  it("given up by their client leave from every state with the memory in balance", () => {
    fetches.add(1, 1, replyBytes, 1000); // pending
    fetches.dropped(1);
    answered();
    fetches.add(2, 1, replyBytes, 1000); // proposed
    assert.deepEqual(propose(1), [2]);
    fetches.dropped(2);
    answered();
    fetches.add(3, 1, replyBytes, 1000); // parked
    propose(2);
    fetches.empty(3);
    fetches.dropped(3);
    answered();
    assert.equal(budget.usedBytes, 0);
    assert.equal(fetches.openCount, 0);
    assert.equal(fetches.parkedWithDeadlineCount, 0);
    fetches.wake(3);
    fetches.empty(2);
    fetches.entryDone(2, 1);
    assert.deepEqual(propose(3), []);
  });

  it("beyond the limit are busy, and those given up while pending count until they are passed over", () => {
    make(2);
    fetches.add(1, 1, replyBytes, 0);
    fetches.add(2, 1, replyBytes, 0);
    fetches.add(3, 1, replyBytes, 0);
    assert.deepEqual(native.answers, [{ handle: 3, code: ErrorCode.busy, retryAfterMs: 1000 }]);
    answered();
    fetches.dropped(1);
    answered();
    fetches.add(4, 1, replyBytes, 0);
    assert.equal(native.answers.length, 2, "a client that calls and gives up in a loop cannot grow the list");
    answered();
    assert.deepEqual(propose(1), [2]);
    fetches.add(5, 1, replyBytes, 0);
    assert.equal(native.answers.length, 2);
  });

  it("end with shuttingDown at a stop: pending and parked at once, proposed ones when they come out empty", () => {
    for (const handle of [1, 2]) fetches.add(handle, 1, replyBytes, 1000);
    propose(1);
    fetches.empty(1);
    fetches.add(3, 1, replyBytes, 1000);
    fetches.stop();
    assert.deepEqual(native.log, ["shutdownCalls"]);
    assert.deepEqual(
      native.answers.map((answer) => answer.handle),
      [3],
    );
    fetches.empty(2);
    fetches.add(4, 1, replyBytes, 0);
    assert.deepEqual(
      native.answers.map((answer) => [answer.handle, answer.code]),
      [
        [3, ErrorCode.shuttingDown],
        [2, ErrorCode.shuttingDown],
        [4, ErrorCode.shuttingDown],
      ],
    );
    answered(4);
    assert.equal(budget.usedBytes, 0);
    assert.equal(fetches.openCount, 0);
    assert.equal(fetches.parkedWithDeadlineCount, 0);
  });
});
