// The judge of histories is judged: for each promise, histories that break it are refused by its number, and sound ones,
// with operations of unknown outcome among them, are accepted. Pure; nothing is started.

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type {
  EnqueueOperation,
  ExtendOperation,
  FetchOperation,
  History,
  HistoryOperation,
  SettleOperation,
} from "../support/history.js";
import { checkHistory } from "../support/history_check.js";

const lane = { client: "p1", queue: "q", priority: 0, group: "" };

function enqueue(from: number, to: number, keys: string[], ids = keys, more: Partial<EnqueueOperation> = {}) {
  const times = { invokedMs: from, completedMs: to };
  return { kind: "enqueue", ...lane, ...times, outcome: "ok", isReady: true, keys, ids, ...more } as EnqueueOperation;
}

/** Jobs as `id` or `id:attempt`; a job's key is its id. */
function fetch(from: number, to: number, token: number, jobs: string[], more: Partial<FetchOperation> = {}) {
  const delivered = jobs.map((word) => {
    const [id, attempt] = word.split(":") as [string, string | undefined];
    return { id, key: id, attempt: Number(attempt ?? 1) };
  });
  return {
    ...{ kind: "fetch", client: "w1", queue: "q", invokedMs: from, completedMs: to, outcome: "ok", jobs: delivered },
    ...{ lease: `lease ${token}`, token: BigInt(token), leaseMs: 1000, ...more },
  } as FetchOperation;
}

function settle(kind: SettleOperation["kind"], from: number, to: number, token: number, ids: string[], taken = ids) {
  const times = { invokedMs: from, completedMs: to };
  const operation = { kind, client: "w1", ...times, outcome: "ok", lease: `lease ${token}`, ids, accepted: taken };
  return operation as SettleOperation;
}

function unknown(operation: HistoryOperation): HistoryOperation {
  return operation.kind === "enqueue"
    ? { ...operation, outcome: "unknown", ids: [] }
    : { ...operation, outcome: "unknown" };
}

function extended(from: number, to: number, token: number, leaseMs: number): ExtendOperation {
  const times = { invokedMs: from, completedMs: to };
  return { kind: "extend", client: "w1", ...times, outcome: "ok", lease: `lease ${token}`, leaseMs };
}

function history(...operations: HistoryOperation[]): History {
  return { operations, dead: [] };
}

const ab = enqueue(0, 1, ["a", "b"]);

const broken: Record<1 | 2 | 3 | 4, Record<string, History>> = {
  1: {
    "a job answered ok is never seen": history(ab, fetch(2, 3, 1, ["a"])),
    "a job is carried out twice": history(
      enqueue(0, 1, ["a"]),
      fetch(2, 3, 1, ["a"]),
      fetch(4, 5, 2, ["b"], { jobs: [{ id: "b", key: "a", attempt: 1 }] }),
    ),
    "a job is delivered under another id": history(enqueue(0, 1, ["a"], ["x"]), fetch(2, 3, 1, ["a"])),
    "a job is delivered that nobody sent": history(fetch(2, 3, 1, ["a"])),
    "a refused job is delivered": history(enqueue(0, 1, ["a"], [], { outcome: "refused" }), fetch(2, 3, 1, ["a"])),
    "half of a command is carried out": history(unknown(ab), fetch(2, 3, 1, ["a"])),
  },
  2: {
    "two live leases": history(ab, fetch(2, 3, 1, ["a", "b"]), fetch(500, 501, 2, ["a:2"])),
    "two live leases after an extension": history(
      ab,
      fetch(2, 3, 1, ["a", "b"]),
      extended(800, 801, 1, 1000),
      fetch(1500, 1501, 2, ["a:2"]),
    ),
    "one token twice": history(ab, fetch(2, 3, 1, ["a", "b"]), fetch(2500, 2501, 1, ["a:2"])),
    "a token that shrinks": history(ab, fetch(2, 3, 9, ["a", "b"]), fetch(2500, 2501, 8, ["a:2"])),
    "an ack under an older token is taken": history(
      ab,
      fetch(2, 3, 1, ["a", "b"]),
      fetch(2500, 2501, 2, ["a:2"]),
      settle("ack", 2600, 2601, 1, ["a"]),
    ),
    "an ack is refused while its lease is live": history(
      ab,
      fetch(2, 3, 1, ["a", "b"]),
      settle("ack", 10, 11, 1, ["a", "b"], ["b"]),
    ),
  },
  3: {
    "an acked job comes again at once": history(
      ab,
      fetch(2, 3, 1, ["a", "b"]),
      settle("ack", 4, 5, 1, ["a"]),
      fetch(6, 7, 2, ["a"]),
    ),
    "an acked job comes again after its lease": history(
      ab,
      fetch(2, 3, 1, ["a", "b"]),
      settle("ack", 4, 5, 1, ["a", "b"]),
      fetch(9000, 9001, 2, ["b:2"]),
    ),
  },
  4: {
    "a later job is delivered first": history(ab, fetch(2, 3, 1, ["b"]), fetch(4, 5, 2, ["a"])),
    "a later job is delivered first within one grant": history(ab, fetch(2, 3, 1, ["b", "a"])),
    "ids do not follow the commits": history(
      enqueue(0, 1, ["b"]),
      enqueue(2, 3, ["a"]),
      fetch(4, 5, 1, ["a"]),
      fetch(6, 7, 2, ["b"]),
    ),
    "ids of one command fall": history(enqueue(0, 1, ["b", "a"]), fetch(4, 5, 1, ["a", "b"])),
  },
};

const sound: Record<string, History> = {
  "a whole life": history(
    ab,
    fetch(2, 3, 1, ["a"]),
    fetch(4, 5, 2, ["b"]),
    settle("ack", 6, 7, 1, ["a"]),
    settle("fail", 6, 7, 2, ["b"]),
    fetch(8, 9, 3, ["b:2"]),
  ),
  "an unknown enqueue that was carried out, and one that was not": history(
    unknown(ab),
    unknown(enqueue(0, 1, ["c", "d"])),
    fetch(2, 3, 1, ["a", "b"]),
  ),
  "an unknown ack that was carried out": history(
    ab,
    fetch(2, 3, 1, ["a", "b"]),
    unknown(settle("ack", 4, 5, 1, ["a"], [])),
    settle("ack", 6, 7, 1, ["a", "b"], ["b"]),
  ),
  "an unknown ack that was not carried out": history(
    ab,
    fetch(2, 3, 1, ["a", "b"]),
    unknown(settle("ack", 4, 5, 1, ["a"], [])),
    fetch(1500, 1501, 2, ["a:2"]),
  ),
  "an unknown release that was carried out": history(
    ab,
    fetch(2, 3, 1, ["a", "b"]),
    unknown(settle("release", 4, 5, 1, ["a"], [])),
    fetch(6, 7, 2, ["a"]),
  ),
  "a fetch that was given up had the first job": history(
    ab,
    unknown(fetch(2, 3, 0, [])),
    fetch(4, 5, 2, ["b"]),
    fetch(6, 7, 3, ["a"]),
  ),
  "a fetch that began before the ack was answered": history(
    ab,
    fetch(2, 3, 1, ["a", "b"], { leaseMs: 100 }),
    fetch(90, 200, 2, ["a:2"]),
    settle("ack", 50, 95, 1, ["b"]),
  ),
  "concurrent grants of one entry": history(ab, fetch(2, 5, 2, ["a"]), fetch(2, 4, 1, ["b"])),
  "a delayed job is overtaken": history(
    enqueue(0, 1, ["a"], ["a"], { isReady: false }),
    enqueue(2, 3, ["b"]),
    fetch(4, 5, 1, ["b"]),
    fetch(99, 100, 2, ["a"]),
  ),
  "jobs of two lanes": history(
    enqueue(0, 1, ["a"]),
    enqueue(2, 3, ["b"], ["b"], { priority: 9 }),
    fetch(4, 5, 1, ["b"]),
    fetch(6, 7, 2, ["a"]),
  ),
  "a job that died": { operations: [enqueue(0, 1, ["a"])], dead: ["a"] },
};

describe("the judge of histories", () => {
  for (const [promise, histories] of Object.entries(broken)) {
    for (const [name, one] of Object.entries(histories)) {
      it(`refuses by promise ${promise}: ${name}`, () => {
        const { violations } = checkHistory(one);
        assert.deepEqual([...new Set(violations.map((found) => String(found.promise)))], [promise]);
        for (const { text } of violations) assert.match(text, new RegExp(`^promise ${promise}: `));
      });
    }
  }

  for (const [name, one] of Object.entries(sound)) {
    it(`accepts: ${name}`, () => assert.deepEqual(checkHistory(one).violations, []));
  }

  it("says how much it looked at", () => {
    const { checked } = checkHistory(sound["a whole life"] as History);
    assert.deepEqual(checked, {
      ...{ operations: 6, unknown: 0, jobsOk: 2, jobsUnknown: 0, jobsRefused: 0, deliveries: 3, dead: 0 },
      ...{ grantPairs: 1, acks: 1, deliveriesOfAcked: 1, lanes: 1, firstDeliveries: 2 },
    });
  });
});
