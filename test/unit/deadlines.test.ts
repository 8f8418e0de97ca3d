// Deadlines: the order of a heap with removals,
// against a sorted list; one timer for all.

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { Deadlines, type Due } from "../../src/server/deadlines.js";
import { FakeClock } from "../support/fake_clock.js";

interface Item extends Due {
  name: number;
}

describe("deadlines", () => {
  it("fire in order, whatever was added and removed", () => {
    const step = fc.oneof(
      fc.record({ kind: fc.constant("add" as const), inMs: fc.integer({ min: 0, max: 50 }) }),
      fc.record({ kind: fc.constant("remove" as const), which: fc.nat() }),
      fc.record({ kind: fc.constant("advance" as const), ms: fc.integer({ min: 0, max: 20 }) }),
    );
    fc.assert(
      fc.property(fc.array(step, { maxLength: 200 }), (steps) => {
        const clock = new FakeClock();
        const fired: number[] = [];
        const deadlines = new Deadlines<Item>(clock, () => {
          for (let item = deadlines.popDue(clock.nowMs()); item !== undefined; item = deadlines.popDue(clock.nowMs())) {
            assert.equal(item.heapIndex, -1);
            assert.ok(item.dueMs <= clock.nowMs());
            fired.push(item.name);
          }
        });
        let waiting: Item[] = [];
        const expected = new Set<number>();
        let name = 0;
        for (const one of steps) {
          if (one.kind === "add") {
            const item = { name: name++, dueMs: clock.nowMs() + one.inMs, heapIndex: -1 };
            waiting.push(item);
            deadlines.add(item);
          } else if (one.kind === "remove" && waiting.length > 0) {
            const item = waiting[one.which % waiting.length] as Item;
            waiting = waiting.filter((other) => other !== item);
            deadlines.remove(item);
            deadlines.remove(item);
          } else if (one.kind === "advance") {
            clock.advance(one.ms);
            for (const item of waiting) if (item.dueMs <= clock.nowMs()) expected.add(item.name);
            waiting = waiting.filter((item) => item.dueMs > clock.nowMs());
          }
          assert.equal(deadlines.size, waiting.length + (expected.size - fired.length));
          assert.deepEqual(new Set(fired), expected);
          assert.ok(clock.timerCount <= 1);
        }
      }),
    );
  });

  it("move the one timer forward when an earlier one comes", () => {
    const clock = new FakeClock();
    let fires = 0;
    const deadlines = new Deadlines<Item>(clock, () => {
      fires++;
      deadlines.popDue(clock.nowMs());
    });
    deadlines.add({ name: 1, dueMs: clock.nowMs() + 100, heapIndex: -1 });
    deadlines.add({ name: 2, dueMs: clock.nowMs() + 10, heapIndex: -1 });
    assert.equal(clock.timerCount, 1);
    clock.advance(10);
    assert.equal(fires, 1);
    clock.advance(90);
    assert.equal(fires, 2);
    assert.equal(clock.timerCount, 0);
  });
});
