// What the direct decoder reads of a hot answer is what the library reads of the same frame, for any answer; and what the
// client makes of a cold answer is what the server put into it, also when the frame has several segments or comes of a
// server that knows fewer fields.

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import * as capnp from "capnp-ts";
import { MultiSegmentArena } from "capnp-ts/src/serialization/arena/multi-segment-arena.js";
import * as rpc from "capnp-ts/src/std/rpc.capnp.js";
import fc from "fast-check";
import { CapstanError } from "../../src/client/index.js";
import * as operations from "../../src/client/operations.js";
import type { Attempts, ExchangeResult, Extended, Grant, JobInfo, QueueInfo, Settled } from "../../src/client/types.js";
import { readMessage } from "../../src/client/wire/decode.js";
import { MessageReader } from "../../src/client/wire/reader.js";
import * as schema from "../../src/generated/capstan.capnp.js";
import { errorNames } from "../../src/generated/error_codes.js";
import { returnFrame, setData } from "../support/rpc_server.js";

class Wrapper extends capnp.Struct {
  static override readonly _capnp = { displayName: "Wrapper", id: "0", size: new capnp.ObjectSize(0, 1) };
}

const text = fc.string({ unit: "grapheme", maxLength: 20 });
const bytes = fc.uint8Array({ maxLength: 200 });
const id = fc.uint8Array({ minLength: 16, maxLength: 16 });
const uint64 = fc.nat({ max: Number.MAX_SAFE_INTEGER });
const uint32 = fc.nat({ max: 0xffff_ffff });
const queues = ["first", "second", "third"];
const headers = fc.array(fc.record({ name: text, value: bytes }), { maxLength: 3 });

const job = fc.record({
  id,
  payload: bytes,
  queueIndex: fc.nat({ max: queues.length - 1 }),
  priority: fc.nat({ max: 255 }),
  attempt: uint32,
  maxAttempts: fc.oneof(uint32, fc.constant(0xffff_ffff)),
  enqueuedMs: fc.maxSafeInteger(),
  group: text,
  headers,
  contentType: text,
});
const grant = fc.option(
  fc.record({
    lease: id,
    token: fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }),
    leaseMs: uint64,
    jobs: fc.array(job, { maxLength: 5 }),
  }),
);
const refusals = fc.array(fc.record({ index: uint32, code: fc.nat({ max: 60 }) }), { maxLength: 5 });
const settled = fc.record({ accepted: uint32, refused: refusals });
const extended = fc.record({ openJobs: uint32, leaseMs: uint64 });

type Generated<T> = T extends fc.Arbitrary<infer Value> ? Value : never;
type HeaderValues = readonly { readonly name: string; readonly value: Uint8Array }[];

function setHeaders(init: (count: number) => capnp.List<schema.Header>, values: HeaderValues): void {
  if (values.length === 0) return;
  const list = init(values.length);
  values.forEach((value, index) => {
    const to = list.get(index);
    to.setName(value.name);
    setData(to.initValue(value.value.length), value.value);
  });
}

function setGrant(to: schema.FetchResponse, value: Generated<typeof grant>): void {
  if (value === null) return;
  setData(to.initLease(16), value.lease);
  to.setToken(value.token);
  to.setLeaseMs(BigInt(value.leaseMs));
  const list = to.initJobs(value.jobs.length);
  value.jobs.forEach((from, index) => {
    const at = list.get(index);
    setData(at.initId(16), from.id);
    setData(at.initPayload(from.payload.length), from.payload);
    at.setQueueIndex(from.queueIndex);
    at.setPriority(from.priority);
    at.setAttempt(from.attempt);
    at.setMaxAttempts(from.maxAttempts);
    at.setEnqueuedMs(BigInt(from.enqueuedMs));
    at.setGroup(from.group);
    setHeaders((count) => at.initHeaders(count), from.headers);
    at.setContentType(from.contentType);
  });
}

function setSettled(to: schema.SettleResponse, value: Generated<typeof settled>): void {
  to.setAccepted(value.accepted);
  const list = to.initRefused(value.refused.length);
  value.refused.forEach((refusal, index) => {
    list.get(index).setIndex(refusal.index);
    list.get(index).setCode(refusal.code);
  });
}

function setIds(to: capnp.List<capnp.Data>, ids: readonly Uint8Array[]): void {
  ids.forEach((value, index) => {
    const data = to.get(index);
    capnp.List.initList(capnp.ListElementSize.BYTE, value.length, data);
    setData(data, value);
  });
}

// --- What the library reads ---

function byLibrary<T extends capnp.Struct>(frame: Buffer, type: capnp.StructCtor<T>): T {
  const message = new capnp.Message(frame, false);
  const results = message.getRoot(rpc.Message).getReturn().getResults();
  return capnp.Struct.getStruct(0, type, capnp.Struct.getStruct(0, Wrapper, results));
}

function hex(data: capnp.Data): string {
  return Buffer.from(data.toArrayBuffer()).toString("hex");
}

function plain(data: capnp.Data): Uint8Array {
  return new Uint8Array(data.toArrayBuffer());
}

function attempts(number: number): Attempts {
  return number === 0xffff_ffff ? "unlimited" : number;
}

function headersBy(list: capnp.List<schema.Header>): Record<string, Uint8Array> {
  return Object.fromEntries(list.map((header) => [header.getName(), plain(header.getValue())]));
}

function grantBy(from: schema.FetchResponse): Grant | null {
  if (hex(from.getLease()) === "") return null;
  return {
    lease: hex(from.getLease()),
    token: from.getToken(),
    leaseMs: Number(from.getLeaseMs()),
    jobs: from.getJobs().map((at) => ({
      id: hex(at.getId()),
      queue: queues[at.getQueueIndex()] as string,
      payload: plain(at.getPayload()),
      priority: at.getPriority(),
      attempt: at.getAttempt(),
      maxAttempts: attempts(at.getMaxAttempts()),
      enqueuedMs: Number(at.getEnqueuedMs()),
      group: at.getGroup(),
      headers: headersBy(at.getHeaders()),
      contentType: at.getContentType(),
    })),
  };
}

function settledBy(from: schema.SettleResponse): Settled {
  const refused = from.getRefused().map((refusal) => ({
    index: refusal.getIndex(),
    code: errorNames[refusal.getCode()] ?? ("unknown" as const),
  }));
  return { accepted: from.getAccepted(), refused };
}

function extendedBy(from: schema.ExtendResponse): Extended {
  return { openJobs: from.getOpenJobs(), leaseMs: Number(from.getLeaseMs()) };
}

function idsBy(from: schema.EnqueueResponse): string[] {
  return from.getIds().map(hex);
}

function decoded<T>(operation: Pick<operations.Operation<T>, "decode">, frame: Buffer): T {
  const reader = MessageReader.of(frame);
  const message = readMessage(reader);
  assert.ok(message.kind === "return");
  return operation.decode(reader, message.outcome);
}

/** Headers have no prototype and payloads are views: equal in content is what counts. */
function same(actual: unknown, expected: unknown): void {
  assert.deepEqual(comparable(actual), comparable(expected));
}

function comparable(value: unknown): unknown {
  if (value instanceof Uint8Array) return Buffer.from(value).toString("hex");
  if (Array.isArray(value)) return value.map(comparable);
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([name, of]) => [name, comparable(of)]));
}

const lease = "ee".repeat(16);

describe("the direct decoder reads what the library reads", { timeout: 120_000 }, () => {
  it("enqueue", () => {
    fc.assert(
      fc.property(fc.array(id, { minLength: 1, maxLength: 20 }), (ids) => {
        const frame = returnFrame(3, schema.EnqueueResponse, (to) => setIds(to.initIds(ids.length), ids));
        const jobs = ids.map(() => ({ payload: "" }));
        same(decoded(operations.enqueue("q", jobs), frame), idsBy(byLibrary(frame, schema.EnqueueResponse)));
      }),
    );
  });

  it("fetch", () => {
    fc.assert(
      fc.property(grant, (value) => {
        const frame = returnFrame(3, schema.FetchResponse, (to) => setGrant(to, value));
        same(decoded(operations.fetch(queues, {}), frame), grantBy(byLibrary(frame, schema.FetchResponse)));
      }),
    );
  });

  it("ack, fail and release", () => {
    fc.assert(
      fc.property(settled, (value) => {
        const frame = returnFrame(3, schema.SettleResponse, (to) => setSettled(to, value));
        const expected = settledBy(byLibrary(frame, schema.SettleResponse));
        same(decoded(operations.ack(lease, "all"), frame), expected);
        same(decoded(operations.release(lease, "all"), frame), expected);
        same(decoded(operations.fail(lease, []), frame), expected);
      }),
    );
  });

  it("extend", () => {
    fc.assert(
      fc.property(extended, (value) => {
        const frame = returnFrame(3, schema.ExtendResponse, (to) => {
          to.setOpenJobs(value.openJobs);
          to.setLeaseMs(BigInt(value.leaseMs));
        });
        same(decoded(operations.extend(lease, 1), frame), extendedBy(byLibrary(frame, schema.ExtendResponse)));
      }),
    );
  });

  it("exchange", () => {
    const list = fc.array(settled, { maxLength: 3 });
    const enqueues = fc.array(fc.array(id, { maxLength: 3 }), { maxLength: 3 });
    const extend = fc.array(extended, { maxLength: 3 });
    fc.assert(
      fc.property(list, list, list, extend, enqueues, grant, (acks, fails, releases, extensions, ids, granted) => {
        const frame = returnFrame(3, schema.ExchangeResponse, (to) => {
          for (const [values, init] of [
            [acks, (count: number) => to.initAcks(count)],
            [fails, (count: number) => to.initFails(count)],
            [releases, (count: number) => to.initReleases(count)],
          ] as const) {
            const at = init(values.length);
            values.forEach((value, index) => {
              setSettled(at.get(index), value);
            });
          }
          const extendList = to.initExtends(extensions.length);
          extensions.forEach((value, index) => {
            extendList.get(index).setOpenJobs(value.openJobs);
            extendList.get(index).setLeaseMs(BigInt(value.leaseMs));
          });
          const enqueueList = to.initEnqueues(ids.length);
          ids.forEach((of, index) => {
            setIds(enqueueList.get(index).initIds(of.length), of);
          });
          setGrant(to.initFetch(), granted);
        });
        const read = byLibrary(frame, schema.ExchangeResponse);
        const ok = { error: null };
        const expected: ExchangeResult = {
          acks: read.getAcks().map((at) => ({ ...settledBy(at), ...ok })),
          fails: read.getFails().map((at) => ({ ...settledBy(at), ...ok })),
          releases: read.getReleases().map((at) => ({ ...settledBy(at), ...ok })),
          extends: read.getExtends().map((at) => ({ ...extendedBy(at), ...ok })),
          enqueues: read.getEnqueues().map((at) => ({ ids: idsBy(at), ...ok })),
          fetch: { grant: grantBy(read.getFetch()), error: null },
        };
        const request = {
          acks: acks.map(() => ({ lease, ids: "all" as const })),
          fails: fails.map(() => ({ lease, jobs: [] })),
          releases: releases.map(() => ({ lease, ids: "all" as const })),
          extends: extensions.map(() => ({ lease, leaseMs: 1 })),
          enqueues: ids.map(() => ({ queue: "q", jobs: [{ payload: "" }] })),
          fetch: { queues },
        };
        same(decoded(operations.exchange(request), frame), expected);
      }),
    );
  });

  it("a status that is not ok, with any text", () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 65_535 }), uint32, text, text, (code, retryAfterMs, message, field) => {
        const fill = (to: { initStatus(): schema.Status }) => {
          const status = to.initStatus();
          status.setCode(code);
          status.setRetryAfterMs(retryAfterMs);
          status.setMessage(message);
          status.setField(field);
        };
        const hot = refusal(() => decoded(operations.extend(lease, 1), returnFrame(3, schema.ExtendResponse, fill)));
        const cold = refusal(() => decoded(operations.getOperation(1), returnFrame(3, schema.OperationResponse, fill)));
        for (const error of [hot, cold]) {
          assert.equal(error.code, errorNames[code] ?? "unknown");
          assert.equal(error.number, code);
          assert.equal(error.retryAfterMs, retryAfterMs);
          assert.equal(error.field, field);
          if (message !== "") assert.equal(error.message, message);
        }
      }),
    );
  });
});

const queueInfo: fc.Arbitrary<QueueInfo> = fc.record({
  name: text,
  settings: fc.record({
    paused: fc.boolean(),
    maxAttempts: fc.oneof(fc.nat({ max: 1_000 }), fc.constant("unlimited" as const)),
    backoffBaseMs: uint64,
    backoffFactorPercent: uint32,
    backoffMaxMs: uint64,
    backoffJitterPercent: uint32,
    deadKeepMs: uint64,
    groupQuantum: uint32,
  }),
  ready: uint64,
  leased: uint64,
  scheduled: uint64,
  dead: uint64,
  groups: uint64,
  enqueuedTotal: uint64,
  ackedTotal: uint64,
  failedTotal: uint64,
  expiredTotal: uint64,
  deadTotal: uint64,
  bytes: uint64,
  deleting: fc.boolean(),
});

const states = ["ready", "leased", "scheduled", "dead", "done"] as const;
const jobInfo: fc.Arbitrary<JobInfo> = fc.record({
  id: id.map((value) => Buffer.from(value).toString("hex")),
  queue: text,
  state: fc.constantFrom(...states),
  priority: fc.nat({ max: 255 }),
  group: text,
  attempts: uint32,
  maxAttempts: fc.oneof(fc.nat({ max: 1_000 }), fc.constant("unlimited" as const)),
  enqueuedMs: fc.maxSafeInteger(),
  dueInMs: uint64,
  deadMs: fc.maxSafeInteger(),
  lastError: text,
  headers: fc.dictionary(text, bytes, { maxKeys: 3 }),
  contentType: text,
  payload: bytes,
  payloadBytes: uint64,
  worker: text,
});

function number(value: Attempts): number {
  return value === "unlimited" ? 0xffff_ffff : value;
}

function setQueueInfo(to: schema.QueueInfo, value: QueueInfo): void {
  to.setName(value.name);
  const settings = to.initSettings();
  settings.setPaused(value.settings.paused);
  settings.setMaxAttempts(number(value.settings.maxAttempts));
  settings.setBackoffBaseMs(BigInt(value.settings.backoffBaseMs));
  settings.setBackoffFactorPercent(value.settings.backoffFactorPercent);
  settings.setBackoffMaxMs(BigInt(value.settings.backoffMaxMs));
  settings.setBackoffJitterPercent(value.settings.backoffJitterPercent);
  settings.setDeadKeepMs(BigInt(value.settings.deadKeepMs));
  settings.setGroupQuantum(value.settings.groupQuantum);
  to.setReady(BigInt(value.ready));
  to.setLeased(BigInt(value.leased));
  to.setScheduled(BigInt(value.scheduled));
  to.setDead(BigInt(value.dead));
  to.setGroups(BigInt(value.groups));
  to.setEnqueuedTotal(BigInt(value.enqueuedTotal));
  to.setAckedTotal(BigInt(value.ackedTotal));
  to.setFailedTotal(BigInt(value.failedTotal));
  to.setExpiredTotal(BigInt(value.expiredTotal));
  to.setDeadTotal(BigInt(value.deadTotal));
  to.setBytes(BigInt(value.bytes));
  to.setDeleting(value.deleting);
}

function setJobInfo(to: schema.JobInfo, value: JobInfo): void {
  setData(to.initId(16), Buffer.from(value.id, "hex"));
  to.setQueue(value.queue);
  to.setState(states.indexOf(value.state));
  to.setPriority(value.priority);
  to.setGroup(value.group);
  to.setAttempts(value.attempts);
  to.setMaxAttempts(number(value.maxAttempts));
  to.setEnqueuedMs(BigInt(value.enqueuedMs));
  to.setDueInMs(BigInt(value.dueInMs));
  to.setDeadMs(BigInt(value.deadMs));
  to.setLastError(value.lastError);
  const entries = Object.entries(value.headers).map(([name, of]) => ({ name, value: of }));
  setHeaders((count) => to.initHeaders(count), entries);
  to.setContentType(value.contentType);
  setData(to.initPayload(value.payload.length), value.payload);
  to.setPayloadBytes(BigInt(value.payloadBytes));
  to.setWorker(value.worker);
}

describe("a cold answer is read as it was written", { timeout: 120_000 }, () => {
  it("queues", () => {
    fc.assert(
      fc.property(fc.array(queueInfo, { maxLength: 4 }), text, uint64, (list, next, index) => {
        const frame = returnFrame(3, schema.ListQueuesResponse, (to) => {
          const at = to.initQueues(list.length);
          list.forEach((value, i) => {
            setQueueInfo(at.get(i), value);
          });
          to.setNext(next);
          to.setAppliedIndex(BigInt(index));
        });
        same(decoded(operations.listQueues({}), frame), { queues: list, next, appliedIndex: index });
        const [first] = list;
        if (first === undefined) return;
        const one = returnFrame(3, schema.QueueResponse, (to) => setQueueInfo(to.initQueue(), first));
        same(decoded(operations.getQueue("q"), one), first);
      }),
    );
  });

  it("jobs", () => {
    fc.assert(
      fc.property(fc.array(jobInfo, { maxLength: 4 }), bytes, uint64, (list, next, index) => {
        const frame = returnFrame(3, schema.JobsResponse, (to) => {
          const at = to.initJobs(list.length);
          list.forEach((value, i) => {
            setJobInfo(at.get(i), value);
          });
          setData(to.initNext(next.length), next);
          to.setAppliedIndex(BigInt(index));
        });
        const expected = { jobs: list, next: Buffer.from(next).toString("hex"), appliedIndex: index };
        same(decoded(operations.peek("q", {}), frame), expected);
        const [first] = list;
        if (first === undefined) return;
        const one = returnFrame(3, schema.JobResponse, (to) => setJobInfo(to.initJob(), first));
        same(decoded(operations.getJob(lease, {}), one), first);
      }),
    );
  });

  it("a page of a thousand jobs with headers and payloads", () => {
    const [value] = fc.sample(jobInfo, { numRuns: 1, seed: 7 });
    assert.ok(value);
    const whole = { ...value, headers: { a: Buffer.alloc(40), b: Buffer.alloc(40) }, payload: Buffer.alloc(200, 1) };
    const frame = returnFrame(3, schema.JobsResponse, (to) => {
      const at = to.initJobs(1_000);
      for (let i = 0; i < 1_000; i++) setJobInfo(at.get(i), whole);
    });
    const page = decoded(operations.peek("q", {}), frame);
    assert.equal(page.jobs.length, 1_000);
    same(page.jobs[999], whole);
  });

  it("an error text that was cut in the middle of a character is still read", () => {
    const frame = returnFrame(3, schema.JobResponse, (to) => to.initJob().setLastError("failed: é"));
    const at = frame.indexOf("failed: ") + 9;
    frame[at] = 0;
    const pointer = frame.indexOf(Buffer.from([(11 << 3) | 2, 0, 0, 0]));
    frame.writeUInt32LE((10 << 3) | 2, pointer);
    assert.equal(decoded(operations.getJob(lease, {}), frame).lastError, "failed: \ufffd");
  });

  it("an older server's list, whose structs have fewer fields, reads the others as absent", () => {
    class OldQueue extends capnp.Struct {
      static override readonly _capnp = { displayName: "OldQueue", id: "0", size: new capnp.ObjectSize(16, 1) };
    }
    class OldResponse extends capnp.Struct {
      static override readonly _capnp = { displayName: "OldResponse", id: "0", size: new capnp.ObjectSize(0, 2) };
    }
    const frame = returnFrame(3, OldResponse, (to) => {
      const list = capnp.Struct.initList(1, capnp.CompositeList(OldQueue), 3, to);
      for (let i = 0; i < 3; i++) {
        capnp.Struct.setText(0, `queue ${i}`, list.get(i));
        capnp.Struct.setUint64(0, BigInt(i), list.get(i));
      }
    });
    const page = decoded(operations.listQueues({}), frame);
    assert.deepEqual(
      page.queues.map((queue) => [queue.name, queue.ready, queue.dead, queue.bytes, queue.settings.maxAttempts]),
      [0, 1, 2].map((i) => [`queue ${i}`, i, 0, 0, 0]),
    );
    assert.equal(page.appliedIndex, 0);
  });

  it("an answer in several segments", () => {
    const message = new capnp.Message(new MultiSegmentArena());
    const answer = message.initRoot(rpc.Message).initReturn();
    const results = capnp.Struct.initStructAt(0, Wrapper, answer.initResults());
    const response = capnp.Struct.initStructAt(0, schema.ListQueuesResponse, results);
    const list = response.initQueues(40);
    for (let i = 0; i < 40; i++) list.get(i).setName(`a queue with a rather long name ${i}`.padEnd(300, "."));
    const frame = Buffer.from(message.toArrayBuffer());
    assert.ok(frame.readUInt32LE(0) > 0, "one segment only");
    const page = decoded(operations.listQueues({}), frame);
    assert.deepEqual(
      page.queues.map((queue) => queue.name),
      Array.from({ length: 40 }, (_, i) => `a queue with a rather long name ${i}`.padEnd(300, ".")),
    );
  });
});

function refusal(read: () => unknown): CapstanError {
  try {
    read();
  } catch (error) {
    assert.ok(error instanceof CapstanError);
    return error;
  }
  return assert.fail("nothing was refused");
}
