// An exchange as people write it in JSON: what is refused with its place named, and what it becomes for the client. No
// server and no process.

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { parseExchange } from "../../src/cli/exchange_request.js";
import { exitCode, Failure } from "../../src/cli/exit_codes.js";

const lease = "ab".repeat(16);

describe("the description of an exchange", () => {
  const refusals: readonly (readonly [unknown, RegExp])[] = [
    [[], /must be an object/],
    [{ ack: [] }, /no field ack; it has .*acks/],
    [{ requireAcks: "yes" }, /requireAcks must be true or false/],
    [{ acks: {} }, /acks must be a list/],
    [{ acks: [{ lease, id: "x" }] }, /acks\[0\] has no field id/],
    [{ fails: [{ lease }] }, /fails\[0\]\.jobs is missing/],
    [{ fails: [{ lease, jobs: [{ id: lease, why: "" }] }] }, /fails\[0\]\.jobs\[0\] has no field why/],
    [{ fails: [{ lease, jobs: [{ id: lease, retryDelayMs: "soon" }] }] }, /retryDelayMs must be a number of mill/],
    [{ extends: [{ lease }] }, /extends\[0\]\.leaseMs is missing/],
    [{ enqueues: [{ queue: "q" }] }, /enqueues\[0\]\.jobs is missing/],
    [{ enqueues: [{ queue: "q", jobs: [{ payload: "x", prioritiy: 1 }] }] }, /has no field prioritiy/],
    [{ enqueues: [{ queue: "q", jobs: [{ payload: "%", payloadEncoding: "base64" }] }] }, /payload must be base64/],
    [{ enqueues: [{ queue: "q", jobs: [{ payload: "x", payloadEncoding: "hex" }] }] }, /must be base64/],
    [{ enqueues: [{ queue: "q", jobs: [{ payload: "x", runAt: "soon" }] }] }, /runAt must be an instant/],
    [{ enqueues: [{ queue: "q", jobs: [{ payload: "x", headers: { a: 1 } }] }] }, /headers\.a must be an object/],
    [{ fetch: { queue: "q" } }, /fetch has no field queue/],
  ];
  for (const [value, pattern] of refusals) {
    it(`refuses ${JSON.stringify(value)}`, () => {
      assert.throws(
        () => parseExchange(JSON.stringify(value)),
        (error: unknown) => {
          assert.ok(error instanceof Failure);
          assert.match(error.message, pattern);
          assert.equal(error.exitCode, exitCode.usage);
          return true;
        },
      );
    });
  }

  it("refuses what is no JSON", () => {
    assert.throws(() => parseExchange("{"), /no JSON/);
  });

  it("reads every part, durations as text among them", () => {
    const request = parseExchange(
      JSON.stringify({
        requireAcks: true,
        acks: [{ lease, ids: "all" }],
        fails: [{ lease, jobs: [{ id: lease, reason: "r", retryDelayMs: "10s" }] }],
        extends: [{ lease, leaseMs: "5m" }],
        enqueues: [
          {
            queue: "q",
            jobs: [
              { payload: "text", headers: { a: "1", b: { base64: "/w==" } }, runAt: "2027-01-31T08:00:00Z" },
              { payload: "/w==", payloadEncoding: "base64", delayMs: 5 },
            ],
          },
        ],
        fetch: { queues: ["q"], jobsMax: 2, leaseMs: 1000, waitMs: "1s" },
      }),
    );
    assert.deepEqual(request.acks, [{ lease, ids: "all" }]);
    assert.equal(request.fails?.[0]?.jobs[0]?.retryDelayMs, 10_000);
    assert.deepEqual(request.extends, [{ lease, leaseMs: 300_000 }]);
    const jobs = request.enqueues?.[0]?.jobs ?? [];
    assert.equal(jobs[0]?.runAtMs, Date.UTC(2027, 0, 31, 8));
    assert.deepEqual(jobs[0]?.headers, { a: "1", b: Buffer.from([0xff]) });
    assert.deepEqual(jobs[1]?.payload, Buffer.from([0xff]));
    assert.equal(jobs[1]?.delayMs, 5);
    assert.equal(request.fetch?.waitMs, 1_000);
    assert.equal(request.fetch?.leaseMs, 1_000);
  });
});
