// Where calls go, and what is refused
// before it costs anything.

import assert from "node:assert/strict";
import { beforeEach, describe, it } from "node:test";
import { CallClass, callWords } from "../../src/generated/boundary.js";
import { ErrorCode } from "../../src/generated/error_codes.js";
import { ApplyLoop } from "../../src/server/apply_loop.js";
import { Fetches } from "../../src/server/fetches.js";
import { createSharedBudget, grainBytes, MemoryBudget } from "../../src/server/memory_budget.js";
import { anyone, type Caller, Router } from "../../src/server/router.js";
import { FakeClock } from "../support/fake_clock.js";
import { type FakeCall, FakeNative, writeCalls } from "../support/fake_native.js";

let native: FakeNative;
let budget: MemoryBudget;
let fetches: Fetches;
let applyLoop: ApplyLoop;
let router: Router;
const calls = new Uint32Array(64 * callWords);

function route(records: FakeCall[], caller: Caller = anyone): number {
  return router.route(calls, writeCalls(records, calls), caller, { largeMark: 0 });
}

describe("the router", () => {
  beforeEach(() => {
    native = new FakeNative();
    budget = new MemoryBudget(createSharedBudget(), 4 * grainBytes);
    const common = { native, worker: 7, clock: new FakeClock(), budget, wakeTurn: () => {} };
    fetches = new Fetches({ ...common, fetchesMax: 10 });
    applyLoop = new ApplyLoop({
      ...common,
      fetches,
      inflightMax: 4,
      entryBytesMax: 1e6,
      entryCommandsMax: 100,
      entryJobsMax: 100,
      writesMax: 2,
      flushWindowMs: 0,
    });
    router = new Router({ ...common, applyLoop, fetches, version: "1.2.3" });
  });

  it("sends each class its way", () => {
    const opened = route([
      { handle: 1 },
      { handle: 2, class: CallClass.fetch, waitMs: 100 },
      { handle: 3, class: CallClass.read },
      { handle: 4, class: CallClass.info },
      { handle: 9, class: CallClass.canceled },
    ]);
    assert.equal(opened, 4, "what was given up is no call");
    assert.equal(applyLoop.waiting, 2);
    assert.equal(fetches.openCount, 1);
    assert.deepEqual(native.reads, [3]);
    assert.deepEqual(native.infos, [4]);
    assert.equal(budget.usedBytes, 3 * 150 + 100, "a fetch's reply is reserved later");
  });

  it("answers busy with a hint when memory is short, and counts what the answer gives back", () => {
    route([{ handle: 1, bytes: 5 * grainBytes }]);
    assert.equal(native.answers[0]?.code, ErrorCode.busy);
    assert.ok((native.answers[0]?.retryAfterMs ?? 0) > 0);
    assert.equal(applyLoop.waiting, 0);
    budget.give(5 * grainBytes + 50);
    assert.equal(budget.usedBytes, 0);
  });

  it("answers busy when too many calls wait", () => {
    route([{ handle: 1 }, { handle: 2 }, { handle: 3 }]);
    assert.deepEqual(
      native.answers.map((answer) => [answer.handle, answer.code]),
      [[3, ErrorCode.busy]],
    );
  });

  it("passes on what the readers refuse", () => {
    native.readResult = -ErrorCode.notLeader;
    route([{ handle: 3, class: CallClass.read }]);
    assert.equal(native.answers[0]?.code, ErrorCode.notLeader);
  });

  it("asks what the caller may do", () => {
    const nobody: Caller = { allows: (method) => (method === 1 ? ErrorCode.forbidden : ErrorCode.ok) };
    route([{ handle: 1, method: 1 }, { handle: 2 }], nobody);
    assert.deepEqual(
      native.answers.map((answer) => [answer.handle, answer.code]),
      [[1, ErrorCode.forbidden]],
    );
    assert.equal(applyLoop.waiting, 1);
  });

  it("refuses everything that comes after the stop", () => {
    router.stop();
    assert.equal(route([{ handle: 1 }, { handle: 2, class: CallClass.fetch }]), 2);
    assert.deepEqual(
      native.answers.map((answer) => answer.code),
      [ErrorCode.shuttingDown, ErrorCode.shuttingDown],
    );
    budget.give(300);
    assert.equal(budget.usedBytes, 0);
  });
});
