// The memory budget: one limit over several workers,
// taken in grains, given back whole.

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { createSharedBudget, grainBytes, MemoryBudget } from "../../src/server/memory_budget.js";
import { MiB } from "../../src/units.js";

describe("the memory budget", () => {
  it("is one for all workers", () => {
    const shared = createSharedBudget();
    const one = new MemoryBudget(shared, 10 * grainBytes);
    const other = new MemoryBudget(shared, 10 * grainBytes);
    assert.ok(one.tryTake(7 * grainBytes));
    assert.ok(!other.tryTake(4 * grainBytes));
    assert.equal(other.usedBytes, 0, "what was refused is not counted");
    assert.ok(other.tryTake(3 * grainBytes));
    assert.ok(one.isAbove(0.9));
    one.give(7 * grainBytes);
    assert.ok(other.tryTake(2 * grainBytes));
    one.close();
    other.close();
    assert.equal(new Int32Array(shared)[0], 0);
  });

  it("counts what exists already even beyond the limit, and then refuses until enough is back", () => {
    const budget = new MemoryBudget(createSharedBudget(), 4 * grainBytes);
    budget.take(6 * grainBytes);
    assert.ok(!budget.tryTake(grainBytes));
    budget.give(6 * grainBytes);
    assert.ok(budget.tryTake(grainBytes));
  });

  it("keeps a part for those that ask for little", () => {
    const budget = new MemoryBudget(createSharedBudget(), 100 * MiB);
    let large = 0;
    while (budget.tryTake(10 * MiB)) large++;
    assert.equal(large, 6);
    let fetches = 0;
    while (budget.tryTakeFetch(10 * MiB)) fetches++;
    assert.equal(fetches, 2, "what is enqueued does not keep out who takes it away");
    let small = 0;
    while (budget.tryTake(MiB)) small++;
    assert.equal(small, 20);
    const tight = new MemoryBudget(createSharedBudget(), 20 * MiB);
    assert.ok(tight.tryTake(17 * MiB), "a single large one fits however small the budget is");
  });

  it("refuses to be given back more than was taken", () => {
    const budget = new MemoryBudget(createSharedBudget(), grainBytes);
    budget.take(10);
    assert.throws(() => budget.give(11), /more memory was given back/);
  });

  it("grants at least what is used and at most the limit, whatever the order", () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(fc.nat(1), fc.integer({ min: -900_000, max: 900_000 }))), (steps) => {
        const shared = createSharedBudget();
        const granted = new Int32Array(shared);
        const budgets = [new MemoryBudget(shared, 8 * grainBytes), new MemoryBudget(shared, 8 * grainBytes)];
        const used = [0, 0];
        for (const [which, bytes] of steps) {
          const budget = budgets[which] as MemoryBudget;
          if (bytes >= 0) {
            if (budget.tryTake(bytes)) used[which] = (used[which] ?? 0) + bytes;
          } else {
            const back = Math.min(-bytes, used[which] ?? 0);
            budget.give(back);
            used[which] = (used[which] ?? 0) - back;
          }
          assert.ok((granted[0] ?? 0) <= 8);
          assert.ok((granted[0] ?? 0) * grainBytes >= (used[0] ?? 0) + (used[1] ?? 0));
        }
      }),
    );
  });
});
