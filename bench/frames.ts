// Calls to the server as finished frames, made before the clock runs, so that the load generator is not what is
// measured. Owns nothing; knows the encoding of Cap'n Proto and the messages of its two-party RPC protocol that a load
// needs. It shares no code with the client, whose cost is a question of its own. Called by the questions.
//
// Every frame is one segment: a table of 8 bytes, the pointer to the root, then structs, lists and bytes in the order
// in which they were asked for.

import { layouts } from "../src/generated/layouts.js";
import { JobQueue, type JobQueueMethod } from "../src/generated/protocol.js";

const WORD = 8;

/** Discriminants of Message in rpc.capnp. */
export const messageKinds = { abort: 1, call: 2, return: 3, finish: 4, bootstrap: 8 } as const;

/** A struct under construction: where its data and its pointers begin, in bytes of the frame. */
interface Place {
  readonly data: number;
  readonly pointers: number;
}

interface Shape {
  readonly dataWords: number;
  readonly pointers: number;
}

class FrameBuilder {
  private buffer = Buffer.alloc(1024);
  /** The next free byte; the first words are the segment table and the root pointer. */
  private next = 2 * WORD;

  root(shape: Shape): Place {
    return this.struct(WORD, shape);
  }

  struct(pointerAt: number, shape: Shape): Place {
    const start = this.allocate(shape.dataWords + shape.pointers);
    this.point(pointerAt, start, 0, shape.dataWords + shape.pointers * 0x1_0000);
    return { data: start, pointers: start + shape.dataWords * WORD };
  }

  /** A list of structs, its elements in order. */
  structs(pointerAt: number, shape: Shape, count: number): Place[] {
    const wordsEach = shape.dataWords + shape.pointers;
    const start = this.allocate(1 + count * wordsEach);
    this.point(pointerAt, start, 1, count * wordsEach * 8 + 7);
    this.buffer.writeUInt32LE(count * 4, start);
    this.buffer.writeUInt32LE(shape.dataWords + shape.pointers * 0x1_0000, start + 4);
    return Array.from({ length: count }, (_, index) => {
      const data = start + WORD + index * wordsEach * WORD;
      return { data, pointers: data + shape.dataWords * WORD };
    });
  }

  /** A list of pointers; returns where each lies. */
  pointers(pointerAt: number, count: number): number[] {
    const start = this.allocate(count);
    this.point(pointerAt, start, 1, count * 8 + 6);
    return Array.from({ length: count }, (_, index) => start + index * WORD);
  }

  /** Returns where the bytes begin. */
  data(pointerAt: number, bytes: Uint8Array): number {
    const start = this.allocate(Math.ceil(bytes.length / WORD));
    this.point(pointerAt, start, 1, bytes.length * 8 + 2);
    this.buffer.set(bytes, start);
    return start;
  }

  /** Returns where the text begins. */
  text(pointerAt: number, text: string): number {
    return this.data(pointerAt, Buffer.from(`${text}\0`));
  }

  /** Sets bit `offset` of the data that begins at `data`. */
  bit(data: number, offset: number): void {
    const at = data + Math.floor(offset / 8);
    this.buffer.writeUInt8(this.buffer.readUInt8(at) | (1 << (offset % 8)), at);
  }

  uint16(at: number, value: number): void {
    this.buffer.writeUInt16LE(value, at);
  }

  uint32(at: number, value: number): void {
    this.buffer.writeUInt32LE(value, at);
  }

  uint64(at: number, value: bigint): void {
    this.buffer.writeBigUInt64LE(value, at);
  }

  finish(): Buffer {
    // Segment count less one is zero already.
    this.buffer.writeUInt32LE((this.next - WORD) / WORD, 4);
    return Buffer.from(this.buffer.subarray(0, this.next));
  }

  private allocate(words: number): number {
    const start = this.next;
    this.next += words * WORD;
    if (this.next > this.buffer.length) {
      this.buffer = Buffer.concat([this.buffer, Buffer.alloc(Math.max(this.buffer.length, words * WORD))]);
    }
    return start;
  }

  private point(at: number, target: number, kind: number, high: number): void {
    this.buffer.writeInt32LE(((target - at - WORD) / WORD) * 4 + kind, at);
    this.buffer.writeUInt32LE(high, at + 4);
  }
}

export function bootstrapFrame(question: number): Buffer {
  const frame = new FrameBuilder();
  const message = frame.root({ dataWords: 1, pointers: 1 });
  frame.uint16(message.data, messageKinds.bootstrap);
  const bootstrap = frame.struct(message.pointers, { dataWords: 1, pointers: 1 });
  frame.uint32(bootstrap.data, question);
  return frame.finish();
}

/** Tells the server that the answer to `question` is no longer needed, so that its number may be used again. */
export function finishFrame(question: number): Buffer {
  const frame = new FrameBuilder();
  const message = frame.root({ dataWords: 1, pointers: 1 });
  frame.uint16(message.data, messageKinds.finish);
  const finish = frame.struct(message.pointers, { dataWords: 1, pointers: 0 });
  frame.uint32(finish.data, question);
  return frame.finish();
}

export interface Target {
  readonly question: number;
  /** The server's number of the object that is called. */
  readonly capability: number;
}

const groupDigits = 7;

/** Names a group by its number, at a place that `enqueueFrame` gave. */
export function writeGroup(frame: Buffer, at: number, group: number): void {
  frame.write(String(group).padStart(groupDigits, "0"), at, groupDigits, "latin1");
}

/**
 * An enqueue; `payloadsAt` says where in the frame each payload begins, so that it can be changed between sendings, and
 * `groupsAt` where each job's group does, if the jobs are to have groups.
 */
export function enqueueFrame(
  target: Target,
  queue: string,
  payloads: readonly Uint8Array[],
  hasGroups = false,
): { frame: Buffer; payloadsAt: number[]; groupsAt: number[] } {
  const { fields } = layouts.EnqueueRequest;
  let payloadsAt: number[] = [];
  let groupsAt: number[] = [];
  const frame = callFrame(target, "enqueue", layouts.EnqueueRequest, (builder, request) => {
    builder.text(request.pointers + fields.queue.offset * WORD, queue);
    const jobs = builder.structs(request.pointers + fields.jobs.offset * WORD, layouts.NewJob, payloads.length);
    payloadsAt = jobs.map((job, index) =>
      builder.data(job.pointers + layouts.NewJob.fields.payload.offset * WORD, payloads[index] ?? new Uint8Array(0)),
    );
    if (!hasGroups) return;
    groupsAt = jobs.map((job) =>
      builder.text(job.pointers + layouts.NewJob.fields.group.offset * WORD, "0".repeat(groupDigits)),
    );
  });
  return { frame, payloadsAt, groupsAt };
}

export function fetchFrame(target: Target, queue: string, jobsMax: number, waitMs: number): Buffer {
  const { fields } = layouts.FetchRequest;
  return callFrame(target, "fetch", layouts.FetchRequest, (builder, request) => {
    builder.uint32(request.data + fields.jobsMax.offset, jobsMax);
    builder.uint64(request.data + fields.waitMs.offset, BigInt(waitMs));
    const [only = 0] = builder.pointers(request.pointers + fields.queues.offset * WORD, 1);
    builder.text(only, queue);
    builder.text(request.pointers + fields.worker.offset * WORD, "bench");
  });
}

export const leaseBytes = 16;

/** An ack of all jobs of a lease, whose id belongs at `leaseAt`. */
export function ackFrame(target: Target): { frame: Buffer; leaseAt: number } {
  const { fields } = layouts.AckRequest;
  let leaseAt = 0;
  const frame = callFrame(target, "ack", layouts.AckRequest, (builder, request) => {
    builder.bit(request.data, fields.all.offset);
    leaseAt = builder.data(request.pointers + fields.lease.offset * WORD, new Uint8Array(leaseBytes));
  });
  return { frame, leaseAt };
}

export function getQueueFrame(target: Target, queue: string): Buffer {
  return callFrame(target, "getQueue", layouts.GetQueueRequest, (builder, request) => {
    builder.text(request.pointers + layouts.GetQueueRequest.fields.queue.offset * WORD, queue);
  });
}

function callFrame(
  target: Target,
  method: JobQueueMethod,
  shape: Shape,
  fill: (builder: FrameBuilder, request: Place) => void,
): Buffer {
  const builder = new FrameBuilder();
  const message = builder.root({ dataWords: 1, pointers: 1 });
  builder.uint16(message.data, messageKinds.call);
  const call = builder.struct(message.pointers, { dataWords: 3, pointers: 3 });
  builder.uint32(call.data, target.question);
  builder.uint16(call.data + 4, JobQueue.methods[method]);
  builder.uint64(call.data + 8, JobQueue.interfaceId);
  // A MessageTarget whose union says importedCap, which is 0.
  const callee = builder.struct(call.pointers, { dataWords: 1, pointers: 1 });
  builder.uint32(callee.data, target.capability);
  const payload = builder.struct(call.pointers + WORD, { dataWords: 0, pointers: 2 });
  const params = builder.struct(payload.pointers, { dataWords: 0, pointers: 1 });
  fill(builder, builder.struct(params.pointers, shape));
  return builder.finish();
}
