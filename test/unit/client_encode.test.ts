// The direct encoder of the client writes the bytes that the library writes, for any request: the library's frame is
// built here field by field, from the same random values, and compared byte for byte.

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type * as capnp from "capnp-ts";
import { Message } from "capnp-ts";
import * as rpc from "capnp-ts/src/std/rpc.capnp.js";
import fc from "fast-check";
import type { ExchangeRequest, FailedJob, FetchParameters, JobIds, NewJob } from "../../src/client/types.js";
import * as encode from "../../src/client/wire/encode.js";
import { beginCall, type CallTarget, writeFinish } from "../../src/client/wire/rpc.js";
import { FrameWriter } from "../../src/client/wire/writer.js";
import * as schema from "../../src/generated/capstan.capnp.js";
import { JobQueue, type JobQueueMethod } from "../../src/generated/protocol.js";
import { callFrame, setData } from "../support/rpc_server.js";

const text = fc.string({ unit: "grapheme", maxLength: 20 });
const name = fc.string({ unit: "grapheme", minLength: 1, maxLength: 20 });
const bytes = fc.uint8Array({ maxLength: 300 });
const id = fc.uint8Array({ minLength: 16, maxLength: 16 }).map((value) => Buffer.from(value).toString("hex"));
const whole = fc.nat({ max: Number.MAX_SAFE_INTEGER });
const uint32 = fc.nat({ max: 0xffff_ffff });
const target: fc.Arbitrary<CallTarget> = fc.oneof(
  uint32.map((importedCap) => ({ importedCap })),
  uint32.map((question) => ({ question })),
);

const job: fc.Arbitrary<NewJob> = fc.record(
  {
    payload: fc.oneof(bytes, text),
    delayMs: whole,
    runAtMs: whole,
    priority: fc.nat({ max: 15 }),
    maxAttempts: fc.oneof(fc.integer({ min: 1, max: 1000 }), fc.constant("unlimited" as const)),
    group: text,
    headers: fc.dictionary(name, fc.oneof(bytes, text), { maxKeys: 3, noNullPrototype: true }),
    contentType: text,
  },
  { requiredKeys: ["payload"] },
);

const requestId: fc.Arbitrary<encode.RequestFields | null> = fc.option(
  fc.record({
    session: fc.bigInt({ min: 0n, max: 0xffff_ffff_ffff_ffffn }),
    sequence: whole,
    lowestUnanswered: whole,
    receivedAbove: fc.array(whole, { maxLength: 5 }),
    idempotencyKey: text,
  }),
);

const ids: fc.Arbitrary<JobIds> = fc.oneof(fc.constant("all" as const), fc.array(id, { maxLength: 5 }));
const failed: fc.Arbitrary<FailedJob> = fc.record(
  { id, reason: text, retryDelayMs: whole, dead: fc.boolean() },
  { requiredKeys: ["id"] },
);
const fetchParameters: fc.Arbitrary<FetchParameters> = fc.record(
  { jobsMax: uint32, bytesMax: uint32, leaseMs: whole, waitMs: whole, worker: text },
  { requiredKeys: [] },
);
const exchange: fc.Arbitrary<ExchangeRequest> = fc.record(
  {
    requireAcks: fc.boolean(),
    acks: fc.array(fc.record({ lease: id, ids }), { maxLength: 3 }),
    fails: fc.array(fc.record({ lease: id, jobs: fc.array(failed, { minLength: 1, maxLength: 3 }) }), { maxLength: 2 }),
    releases: fc.array(fc.record({ lease: id, ids }), { maxLength: 2 }),
    extends: fc.array(fc.record({ lease: id, leaseMs: whole }), { maxLength: 2 }),
    enqueues: fc.array(fc.record({ queue: name, jobs: fc.array(job, { minLength: 1, maxLength: 3 }) }), {
      maxLength: 2,
    }),
    fetch: fc
      .tuple(fetchParameters, fc.array(name, { minLength: 1, maxLength: 3 }))
      .map(([parameters, queues]) => ({ ...parameters, queues })),
  },
  { requiredKeys: [] },
);

function ours(
  question: number,
  to: CallTarget,
  method: JobQueueMethod,
  write: (writer: FrameWriter, pointerAt: number) => void,
): Buffer {
  const writer = new FrameWriter();
  // Dirty memory, and a frame in front: neither may show.
  writeFinish(writer, 0xffff_ffff, true);
  const before = writer.length;
  write(writer, beginCall(writer, question, to, JobQueue.methods[method]));
  writer.end();
  return writer.take().subarray(before);
}

function same(
  to: CallTarget,
  question: number,
  method: JobQueueMethod,
  write: (writer: FrameWriter, pointerAt: number) => void,
  library: () => Buffer,
): void {
  assert.deepEqual(ours(question, to, method, write), library());
}

function bytesOf(value: Uint8Array | string): Uint8Array {
  return typeof value === "string" ? Buffer.from(value) : value;
}

function fillRequestId(init: () => schema.RequestId, fields: encode.RequestFields | null): void {
  if (fields === null) return;
  const request = init();
  request.setSession(fields.session);
  request.setSequence(BigInt(fields.sequence));
  request.setLowestUnanswered(BigInt(fields.lowestUnanswered));
  if (fields.receivedAbove.length > 0) {
    const list = request.initReceivedAbove(fields.receivedAbove.length);
    fields.receivedAbove.forEach((sequence, index) => {
      list.set(index, BigInt(sequence));
    });
  }
  if (fields.idempotencyKey !== "") request.setIdempotencyKey(fields.idempotencyKey);
}

function fillIds(list: capnp.List<capnp.Data>, values: readonly string[]): void {
  values.forEach((value, index) => {
    // An element of a list of data is set by copying it from another message.
    const data = new Message().initRoot(schema.Header).initValue(value.length / 2);
    setData(data, Buffer.from(value, "hex"));
    list.set(index, data);
  });
}

function fillJobs(list: capnp.List<schema.NewJob>, jobs: readonly NewJob[]): void {
  jobs.forEach((value, index) => {
    const to = list.get(index);
    const payload = bytesOf(value.payload);
    if (payload.length > 0) setData(to.initPayload(payload.length), payload);
    to.setDelayMs(BigInt(value.delayMs ?? 0));
    to.setRunAtMs(BigInt(value.runAtMs ?? 0));
    to.setPriority(value.priority ?? 0);
    to.setMaxAttempts(value.maxAttempts === "unlimited" ? 0xffff_ffff : (value.maxAttempts ?? 0));
    if (value.group) to.setGroup(value.group);
    const headers = Object.entries(value.headers ?? {});
    if (headers.length > 0) {
      const headerList = to.initHeaders(headers.length);
      headers.forEach(([headerName, headerValue], at) => {
        const header = headerList.get(at);
        header.setName(headerName);
        const content = bytesOf(headerValue);
        if (content.length > 0) setData(header.initValue(content.length), content);
      });
    }
    if (value.contentType) to.setContentType(value.contentType);
  });
}

function fillEnqueue(
  to: schema.EnqueueRequest,
  fields: encode.RequestFields | null,
  queue: string,
  jobs: NewJob[],
): void {
  fillRequestId(() => to.initRequest(), fields);
  to.setQueue(queue);
  fillJobs(to.initJobs(jobs.length), jobs);
}

function fillFetch(
  to: schema.FetchRequest,
  fields: encode.RequestFields | null,
  queues: readonly string[],
  parameters: FetchParameters,
): void {
  fillRequestId(() => to.initRequest(), fields);
  const list = to.initQueues(queues.length);
  queues.forEach((queue, index) => {
    list.set(index, queue);
  });
  to.setJobsMax(parameters.jobsMax ?? 0);
  to.setBytesMax(parameters.bytesMax ?? 0);
  to.setLeaseMs(BigInt(parameters.leaseMs ?? 0));
  to.setWaitMs(BigInt(parameters.waitMs ?? 0));
  if (parameters.worker) to.setWorker(parameters.worker);
}

function fillSettle(
  to: schema.AckRequest | schema.ReleaseRequest,
  fields: encode.RequestFields | null,
  lease: string,
  named: JobIds,
): void {
  fillRequestId(() => to.initRequest(), fields);
  setData(to.initLease(16), Buffer.from(lease, "hex"));
  if (named === "all") to.setAll(true);
  else fillIds(to.initIds(named.length), named);
}

function fillFail(
  to: schema.FailRequest,
  fields: encode.RequestFields | null,
  lease: string,
  jobs: readonly FailedJob[],
): void {
  fillRequestId(() => to.initRequest(), fields);
  setData(to.initLease(16), Buffer.from(lease, "hex"));
  const list = to.initJobs(jobs.length);
  jobs.forEach((value, index) => {
    const at = list.get(index);
    setData(at.initId(16), Buffer.from(value.id, "hex"));
    if (value.reason) at.setReason(value.reason);
    at.setRetryDelayMs(BigInt(value.retryDelayMs ?? 0));
    at.setDead(value.dead === true);
  });
}

function fillExtend(
  to: schema.ExtendRequest,
  fields: encode.RequestFields | null,
  lease: string,
  leaseMs: number,
): void {
  fillRequestId(() => to.initRequest(), fields);
  setData(to.initLease(16), Buffer.from(lease, "hex"));
  to.setLeaseMs(BigInt(leaseMs));
}

function fillExchange(to: schema.ExchangeRequest, fields: encode.RequestFields | null, parts: ExchangeRequest): void {
  fillRequestId(() => to.initRequest(), fields);
  to.setRequireAcks(parts.requireAcks === true);
  each(
    parts.acks,
    (count) => to.initAcks(count),
    (at, part) => fillSettle(at, null, part.lease, part.ids),
  );
  each(
    parts.fails,
    (count) => to.initFails(count),
    (at, part) => fillFail(at, null, part.lease, part.jobs),
  );
  each(
    parts.releases,
    (count) => to.initReleases(count),
    (at, part) => fillSettle(at, null, part.lease, part.ids),
  );
  each(
    parts.extends,
    (count) => to.initExtends(count),
    (at, part) => fillExtend(at, null, part.lease, part.leaseMs),
  );
  each(
    parts.enqueues,
    (count) => to.initEnqueues(count),
    (at, part) => fillEnqueue(at, null, part.queue, [...part.jobs]),
  );
  if (parts.fetch) fillFetch(to.initFetch(), null, parts.fetch.queues as readonly string[], parts.fetch);
}

function each<Part, Struct>(
  parts: readonly Part[] | undefined,
  init: (count: number) => capnp.List<Struct>,
  fill: (at: Struct, part: Part) => void,
): void {
  if (!parts || parts.length === 0) return;
  const list = init(parts.length);
  parts.forEach((part, index) => {
    fill(list.get(index), part);
  });
}

describe("the direct encoder writes what the library writes", { timeout: 60_000 }, () => {
  it("enqueue", () => {
    const jobs = fc.array(job, { minLength: 1, maxLength: 20 });
    fc.assert(
      fc.property(target, uint32, requestId, name, jobs, (to, question, fields, queue, list) => {
        same(
          to,
          question,
          "enqueue",
          (writer, at) => encode.writeEnqueue(writer, at, fields, queue, list),
          () => callFrame(question, to, "enqueue", schema.EnqueueRequest, (at) => fillEnqueue(at, fields, queue, list)),
        );
      }),
    );
  });

  it("enqueue of a large payload", () => {
    const list = [{ payload: new Uint8Array(3 << 20).fill(7) }, { payload: "x".repeat(100_000) }];
    same(
      { importedCap: 1 },
      2,
      "enqueue",
      (writer, at) => encode.writeEnqueue(writer, at, null, "q", list),
      () =>
        callFrame(2, { importedCap: 1 }, "enqueue", schema.EnqueueRequest, (at) => fillEnqueue(at, null, "q", list)),
    );
  });

  it("fetch", () => {
    const queues = fc.array(name, { minLength: 1, maxLength: 5 });
    fc.assert(
      fc.property(target, uint32, requestId, queues, fetchParameters, (to, question, fields, list, parameters) => {
        same(
          to,
          question,
          "fetch",
          (writer, at) => encode.writeFetch(writer, at, fields, list, parameters),
          () => callFrame(question, to, "fetch", schema.FetchRequest, (at) => fillFetch(at, fields, list, parameters)),
        );
      }),
    );
  });

  it("ack and release", () => {
    fc.assert(
      fc.property(target, uint32, requestId, id, ids, (to, question, fields, lease, named) => {
        same(
          to,
          question,
          "ack",
          (writer, at) => encode.writeAck(writer, at, fields, lease, named),
          () => callFrame(question, to, "ack", schema.AckRequest, (at) => fillSettle(at, fields, lease, named)),
        );
        same(
          to,
          question,
          "release",
          (writer, at) => encode.writeRelease(writer, at, fields, lease, named),
          () => callFrame(question, to, "release", schema.ReleaseRequest, (at) => fillSettle(at, fields, lease, named)),
        );
      }),
    );
  });

  it("fail and extend", () => {
    const jobs = fc.array(failed, { minLength: 1, maxLength: 5 });
    fc.assert(
      fc.property(target, uint32, requestId, id, jobs, whole, (to, question, fields, lease, list, leaseMs) => {
        same(
          to,
          question,
          "fail",
          (writer, at) => encode.writeFail(writer, at, fields, lease, list),
          () => callFrame(question, to, "fail", schema.FailRequest, (at) => fillFail(at, fields, lease, list)),
        );
        same(
          to,
          question,
          "extend",
          (writer, at) => encode.writeExtend(writer, at, fields, lease, leaseMs),
          () => callFrame(question, to, "extend", schema.ExtendRequest, (at) => fillExtend(at, fields, lease, leaseMs)),
        );
      }),
    );
  });

  it("exchange", () => {
    fc.assert(
      fc.property(target, uint32, requestId, exchange, (to, question, fields, parts) => {
        same(
          to,
          question,
          "exchange",
          (writer, at) => encode.writeExchange(writer, at, fields, parts),
          () => callFrame(question, to, "exchange", schema.ExchangeRequest, (at) => fillExchange(at, fields, parts)),
        );
      }),
    );
  });

  it("finish", () => {
    fc.assert(
      fc.property(uint32, fc.boolean(), (question, keeps) => {
        const writer = new FrameWriter();
        writeFinish(writer, question, keeps);
        const message = new Message();
        const finish = message.initRoot(rpc.Message).initFinish();
        finish.setQuestionId(question);
        finish.setReleaseResultCaps(!keeps);
        assert.deepEqual(writer.take(), Buffer.from(message.toArrayBuffer()));
      }),
    );
  });
});

describe("the frame writer", { timeout: 60_000 }, () => {
  it("refuses a request that is larger than a frame, and takes the next one", () => {
    const writer = new FrameWriter();
    const tooLarge = [{ payload: new Uint8Array(33 << 20) }];
    const pointerAt = beginCall(writer, 1, { importedCap: 0 }, 0);
    assert.throws(() => encode.writeEnqueue(writer, pointerAt, null, "q", tooLarge), { code: "tooLarge" });
    writer.drop();
    assert.equal(writer.length, 0);
    writeFinish(writer, 1, false);
    assert.equal(writer.take().readUInt32LE(4), 4);
  });

  it("writes clean frames into memory that was used before", () => {
    const writer = new FrameWriter();
    const jobs = [{ payload: new Uint8Array(500).fill(0xff) }];
    for (let round = 0; round < 3; round++) {
      encode.writeEnqueue(writer, beginCall(writer, 1, { importedCap: 0 }, 0), null, "queue", jobs);
      writer.end();
      writer.recycle(writer.take());
    }
    encode.writeFetch(writer, beginCall(writer, 1, { importedCap: 0 }, 1), null, ["q"], {});
    writer.end();
    const expected = callFrame(1, { importedCap: 0 }, "fetch", schema.FetchRequest, (at) =>
      fillFetch(at, null, ["q"], {}),
    );
    assert.deepEqual(writer.take(), expected);
  });
});
