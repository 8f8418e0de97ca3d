// The delays between tries: they double up to their bound, and jitter never makes one longer than its step or shorter
// than half of it.

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { Backoff } from "../../src/client/backoff.js";

describe("back-off", () => {
  it("doubles from its base to its bound, and begins anew after a success", () => {
    const backoff = new Backoff({ baseMs: 10, maxMs: 70 }, () => 1);
    assert.deepEqual([backoff.next(), backoff.next(), backoff.next(), backoff.next()], [10, 20, 40, 70]);
    backoff.reset();
    assert.equal(backoff.next(), 10);
    assert.equal(backoff.delay(2), 40);
  });

  it("stays between half a step and the step, however many failures", () => {
    const random = fc.double({ min: 0, max: 1, noNaN: true });
    fc.assert(
      fc.property(random, fc.nat({ max: 10_000 }), (value, times) => {
        const delayMs = new Backoff({ baseMs: 5, maxMs: 1000 }, () => value).delay(times);
        const stepMs = Math.min(1000, 5 * 2 ** Math.min(times, 30));
        assert.ok(delayMs >= stepMs / 2 && delayMs <= stepMs, `${delayMs} of ${stepMs}`);
      }),
    );
  });
});
