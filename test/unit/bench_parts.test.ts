// What a benchmark's result rests on: that its frames say what they should, that answers are read right however their
// writer laid them out, that percentiles are right, and that jobs which do not add up are noticed. The frames are judged
// by the library's reader, which shares nothing with bench/.

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import * as capnp from "capnp-ts";
import { frameBytes, readAnswer, response } from "../../bench/answers.js";
import { ackFrame, enqueueFrame, fetchFrame, finishFrame, writeGroup } from "../../bench/frames.js";
import { Histogram } from "../../bench/histogram.js";
import type { QueueCounts } from "../../bench/question.js";
import { isQuestionId, questions } from "../../bench/questions.js";
import { AckRequest, EnqueueRequest, FetchRequest } from "../../src/generated/capstan.capnp.js";

const WORD = 8;
const target = { question: 7, capability: 3 };

/** A message whose root is what the params of a call point at. */
function requestOf<T extends capnp.Struct>(frame: Buffer, type: capnp.StructCtor<T>): T {
  // Message ▸ Call ▸ Payload ▸ params ▸ req: the pointer at each step is followed by hand.
  const follow = (at: number) => at + WORD + (frame.readInt32LE(at) >> 2) * WORD;
  const dataBytes = (at: number) => frame.readUInt16LE(at + 4) * WORD;
  const pointer = (at: number, index: number) => follow(at) + dataBytes(at) + index * WORD;
  const call = pointer(WORD, 0);
  const payload = pointer(call, 1);
  const params = pointer(payload, 0);
  const req = pointer(params, 0);
  const copy = Buffer.from(frame);
  copy.writeInt32LE(((follow(req) - 2 * WORD) / WORD) * 4, WORD);
  copy.writeUInt32LE(frame.readUInt32LE(req + 4), WORD + 4);
  return new capnp.Message(new Uint8Array(copy), false).getRoot(type);
}

/** One segment: words given as bytes. */
function message(words: Buffer): Buffer {
  const head = Buffer.alloc(WORD);
  head.writeUInt32LE(words.length / WORD, 4);
  return Buffer.concat([head, words]);
}

function structPointer(words: number, dataWords: number, pointers: number): Buffer {
  const bytes = Buffer.alloc(WORD);
  bytes.writeInt32LE(words * 4, 0);
  bytes.writeUInt16LE(dataWords, 4);
  bytes.writeUInt16LE(pointers, 6);
  return bytes;
}

/** A Return to question 9 whose response is a SettleResponse with this status code and this many accepted. */
function returnFrame(code: number, accepted: number): Buffer {
  const kind = Buffer.alloc(WORD);
  kind.writeUInt16LE(3);
  const answer = Buffer.alloc(2 * WORD);
  answer.writeUInt32LE(9);
  const settled = Buffer.alloc(WORD);
  settled.writeUInt32LE(accepted);
  const status = Buffer.alloc(WORD);
  status.writeUInt16LE(code);
  return message(
    Buffer.concat([
      structPointer(0, 1, 1),
      kind,
      structPointer(0, 2, 1),
      answer,
      structPointer(0, 0, 2),
      structPointer(1, 0, 1),
      Buffer.alloc(WORD),
      structPointer(0, 1, 2),
      settled,
      structPointer(1, 1, 2),
      Buffer.alloc(WORD),
      status,
      Buffer.alloc(2 * WORD),
    ]),
  );
}

/** The same message with everything but the root pointer in a second segment, behind a far pointer. */
function farAway(frame: Buffer): Buffer {
  const head = Buffer.alloc(2 * WORD);
  head.writeUInt32LE(1);
  head.writeUInt32LE(1, 4);
  head.writeUInt32LE(frame.length / WORD - 1, 8);
  const far = Buffer.alloc(WORD);
  far.writeUInt32LE(2);
  far.writeUInt32LE(1, 4);
  return Buffer.concat([head, far, frame.subarray(WORD)]);
}

describe("the frames of a load", () => {
  it("carry the queue and every payload of an enqueue, and say where payloads lie", () => {
    const payloads = [Buffer.from("one"), Buffer.alloc(256, 7), Buffer.alloc(0)];
    const { frame, payloadsAt, groupsAt } = enqueueFrame(target, "mail", payloads, true);
    groupsAt.forEach((at, index) => {
      writeGroup(frame, at, 41 + index);
    });
    const request = requestOf(frame, EnqueueRequest);
    assert.deepEqual(
      request.getJobs().map((job) => job.getGroup()),
      ["0000041", "0000042", "0000043"],
    );
    assert.equal(request.getQueue(), "mail");
    assert.deepEqual(
      request.getJobs().map((job) => Buffer.from(job.getPayload().toUint8Array())),
      payloads,
    );
    payloads.forEach((payload, index) => {
      const at = payloadsAt[index] ?? assert.fail("no place");
      assert.deepEqual(frame.subarray(at, at + payload.length), payload);
    });
    assert.equal(frameBytes(frame, 0), frame.length);
  });

  it("carry what a fetch and an ack ask for", () => {
    const fetch = requestOf(fetchFrame(target, "mail", 64, 100), FetchRequest);
    assert.deepEqual([fetch.getJobsMax(), Number(fetch.getWaitMs()), fetch.getQueues().get(0)], [64, 100, "mail"]);
    const { frame, leaseAt } = ackFrame(target);
    frame.fill(5, leaseAt, leaseAt + 16);
    const ack = requestOf(frame, AckRequest);
    assert.ok(ack.getAll());
    assert.deepEqual(Buffer.from(ack.getLease().toUint8Array()), Buffer.alloc(16, 5));
  });
});

describe("answers", () => {
  it("are known to be incomplete at every length short of the whole", () => {
    const frame = returnFrame(0, 64);
    for (let length = 0; length < frame.length; length++) {
      const known = frameBytes(frame.subarray(0, length), 0);
      assert.ok(known === 0 || known > length, `${length} bytes seem whole`);
    }
  });

  it("throw what the server refused, by its name", () => {
    const answer = readAnswer(returnFrame(5, 0), 0) ?? assert.fail("no answer");
    assert.throws(() => response(answer), /leaseLost/);
  });

  it("throw when a pointer leads nowhere", () => {
    const frame = returnFrame(0, 64);
    frame.writeInt32LE(1000 * 4, WORD);
    assert.throws(() => readAnswer(frame, 0), RangeError);
  });

  it("are read in one segment and over two", () => {
    for (const frame of [returnFrame(0, 64), farAway(returnFrame(0, 64))]) {
      assert.equal(frameBytes(frame, 0), frame.length);
      const answer = readAnswer(frame, 0) ?? assert.fail("no answer");
      assert.equal(answer.question, 9);
      assert.equal(response(answer).uint32(0), 64);
      assert.equal(response(answer).uint32(64), 0, "a field behind the struct's end is zero");
    }
  });

  it("are told from other messages", () => {
    assert.equal(readAnswer(finishFrame(1), 0), undefined);
  });
});

describe("a histogram", () => {
  it("gives percentiles within its precision, merged or not", () => {
    const all = new Histogram();
    const parts = [new Histogram(), new Histogram()];
    for (let number = 1; number <= 10_000; number++) {
      all.record(number / 10);
      parts[number % 2]?.record(number / 10);
    }
    const merged = new Histogram();
    for (const part of parts) merged.merge(part.counts);
    for (const share of [0.01, 0.5, 0.99, 1]) {
      const exact = share * 1000;
      const found = all.percentile(share);
      assert.ok(found >= exact && found <= exact * 1.017, `${found} for ${exact}`);
      assert.equal(merged.percentile(share), found);
    }
    assert.equal(merged.count, 10_000);
  });

  it("takes what is out of its range, and is zero when it is empty", () => {
    assert.equal(new Histogram().percentile(0.5), 0);
    const histogram = new Histogram();
    histogram.record(-1);
    histogram.record(1e12);
    assert.equal(histogram.percentile(0.5), 0);
    assert.ok(histogram.percentile(1) > 4_000_000);
  });
});

describe("counting back", () => {
  const empty: QueueCounts = { ready: 0, leased: 0, ackedTotal: 0 };

  it("notices a job too few and a job too many, for every question", () => {
    for (const question of Object.values(questions)) {
      const isEnqueue = question.counts === "enqueued";
      const good = isEnqueue ? { ...empty, ready: 10 } : { ...empty, ackedTotal: 10 };
      const totals = { enqueued: 10, acked: isEnqueue ? 0 : 10 };
      assert.deepEqual(question.differences(totals, good), [], question.id);
      const name = isEnqueue ? "ready" : "ackedTotal";
      for (const wrong of [9, 11]) {
        assert.notDeepEqual(question.differences(totals, { ...good, [name]: wrong }), [], question.id);
      }
    }
  });

  it("notices what was left behind", () => {
    const totals = { enqueued: 10, acked: 10 };
    const counts = { ...empty, ackedTotal: 10 };
    assert.notDeepEqual(
      questions.l1.differences({ enqueued: 10, acked: 11 }, { ...empty, ackedTotal: 11, ready: -1 }),
      [],
    );
    assert.deepEqual(
      questions.l1.differences({ enqueued: 10, acked: 11 }, { ...empty, ackedTotal: 11, ready: -1 }, 5),
      [],
      "what lay there before may be taken",
    );
    assert.notDeepEqual(questions.l1.differences(totals, { ...counts, leased: 1 }), []);
    assert.notDeepEqual(questions.l1.differences({ ...totals, acked: 9 }, { ...counts, ackedTotal: 9 }), []);
  });

  it("knows its questions", () => {
    assert.ok(isQuestionId("e1"));
    assert.ok(!isQuestionId("toString"));
    for (const [id, question] of Object.entries(questions)) assert.equal(question.id, id);
  });
});
