// Reads the server's frames in place, and of them only what a load looks at: which question is answered, whether it went
// well, a number here and there. Owns nothing and copies nothing. It trusts the server as far as a benchmark may: what
// is not well-formed throws a RangeError and ends the run. Called by load_connection.ts and the questions.

import { errorNames } from "../src/generated/error_codes.js";
import { layouts } from "../src/generated/layouts.js";
import { messageKinds } from "./frames.js";

const WORD = 8;
const segmentsMax = 512;

/** How long the frame is that begins at `start`; 0 while too little of it is there to know. */
export function frameBytes(buffer: Buffer, start: number): number {
  if (buffer.length - start < WORD) return 0;
  const segments = buffer.readUInt32LE(start) + 1;
  if (segments > segmentsMax) throw new RangeError(`a frame of ${segments} segments`);
  const headBytes = Math.ceil((segments + 1) / 2) * WORD;
  if (buffer.length - start < headBytes) return 0;
  let words = 0;
  for (let segment = 0; segment < segments; segment++) words += buffer.readUInt32LE(start + 4 + segment * 4);
  return headBytes + words * WORD;
}

/** A struct of a frame. A field that lies behind its end is zero or absent: its writer is older than we are. */
export class StructView {
  constructor(
    private readonly frame: Frame,
    private readonly segment: number,
    private readonly data: number,
    private readonly dataBytes: number,
    private readonly pointers: number,
  ) {}

  uint16(offset: number): number {
    return offset + 2 <= this.dataBytes ? this.frame.buffer.readUInt16LE(this.data + offset) : 0;
  }

  uint32(offset: number): number {
    return offset + 4 <= this.dataBytes ? this.frame.buffer.readUInt32LE(this.data + offset) : 0;
  }

  /** Exact up to 2^53. */
  uint64(offset: number): number {
    return this.uint32(offset) + this.uint32(offset + 4) * 2 ** 32;
  }

  struct(index: number): StructView | undefined {
    const target = this.target(index);
    return target === undefined ? undefined : this.frame.structAt(target);
  }

  /** Of a list of structs. */
  list(index: number): ListView {
    const target = this.target(index);
    return target === undefined ? emptyList : this.frame.listAt(target);
  }

  /** In place: it changes with the next chunk of the socket. */
  bytes(index: number): Buffer {
    const target = this.target(index);
    if (target === undefined) return emptyBytes;
    return this.frame.buffer.subarray(target.start, target.start + Math.floor(target.high / 8));
  }

  text(index: number): string {
    return this.bytes(index).toString("utf8").replace(/\0$/, "");
  }

  private target(index: number): Target | undefined {
    const at = this.data + this.dataBytes + index * WORD;
    return index < this.pointers ? this.frame.follow(this.segment, at) : undefined;
  }
}

export interface ListView {
  readonly count: number;
  at(index: number): StructView;
}

interface Target {
  readonly segment: number;
  readonly start: number;
  readonly low: number;
  readonly high: number;
}

const emptyBytes = Buffer.alloc(0);
const emptyList: ListView = {
  count: 0,
  at: (index) => {
    throw new RangeError(`no element ${index} in an empty list`);
  },
};

class Frame {
  private readonly segments: number[] = [];

  constructor(
    readonly buffer: Buffer,
    start: number,
  ) {
    const count = buffer.readUInt32LE(start) + 1;
    let at = start + Math.ceil((count + 1) / 2) * WORD;
    for (let segment = 0; segment < count; segment++) {
      this.segments.push(at);
      at += buffer.readUInt32LE(start + 4 + segment * 4) * WORD;
    }
  }

  root(): StructView {
    const target = this.follow(0, this.segmentStart(0));
    if (target === undefined) throw new RangeError("a message without a root");
    return this.structAt(target);
  }

  follow(segment: number, at: number): Target | undefined {
    const low = this.buffer.readInt32LE(at);
    const high = this.buffer.readUInt32LE(at + 4);
    if (low === 0 && high === 0) return undefined;
    if ((low & 3) !== 2) return { segment, start: at + WORD + (low >> 2) * WORD, low, high };
    // A far pointer names another segment and a landing pad there: the pointer itself, or, of a double one, where the
    // object begins and what it is.
    const pad = this.segmentStart(high) + (low >>> 3) * WORD;
    if ((low & 4) === 0) return this.follow(high, pad);
    const owner = this.buffer.readUInt32LE(pad + 4);
    const start = this.segmentStart(owner) + (this.buffer.readUInt32LE(pad) >>> 3) * WORD;
    return {
      segment: owner,
      start,
      low: this.buffer.readInt32LE(pad + WORD),
      high: this.buffer.readUInt32LE(pad + WORD + 4),
    };
  }

  structAt(target: Target): StructView {
    if ((target.low & 3) !== 0) throw new RangeError("a pointer that is not one to a struct");
    return new StructView(this, target.segment, target.start, (target.high & 0xffff) * WORD, target.high >>> 16);
  }

  listAt(target: Target): ListView {
    if ((target.low & 3) !== 1 || (target.high & 7) !== 7) throw new RangeError("a list that is not one of structs");
    const tag = this.buffer.readUInt32LE(target.start + 4);
    const dataBytes = (tag & 0xffff) * WORD;
    const pointers = tag >>> 16;
    const bytesEach = dataBytes + pointers * WORD;
    return {
      count: this.buffer.readUInt32LE(target.start) >>> 2,
      at: (index) => new StructView(this, target.segment, target.start + WORD + index * bytesEach, dataBytes, pointers),
    };
  }

  private segmentStart(segment: number): number {
    const start = this.segments[segment];
    if (start === undefined) throw new RangeError(`a pointer into segment ${segment}`);
    return start;
  }
}

export interface Answer {
  readonly question: number;
  readonly payload: StructView | undefined;
  /** The server's number of the first object that the answer hands over. */
  readonly capability: number;
}

/** The answer in the frame at `start`; undefined for a message that answers nothing. An exception or abort throws. */
export function readAnswer(buffer: Buffer, start: number): Answer | undefined {
  const message = new Frame(buffer, start).root();
  const kind = message.uint16(0);
  const body = message.struct(0);
  if (kind === messageKinds.abort) throw new Error(`the server ended the connection: ${body?.text(0) ?? ""}`);
  if (kind !== messageKinds.return || body === undefined) return undefined;
  const outcome = body.uint16(6);
  if (outcome === 1) throw new Error(`the server threw: ${body.struct(0)?.text(0) ?? ""}`);
  if (outcome !== 0) throw new Error(`the server answered with outcome ${outcome}`);
  const payload = body.struct(0);
  const capabilities = payload?.list(1) ?? emptyList;
  return {
    question: body.uint32(0),
    payload,
    capability: capabilities.count > 0 ? capabilities.at(0).uint32(4) : 0,
  };
}

/** The `resp` of a method's answer. Throws unless its status is ok. */
export function response(answer: Answer): StructView {
  const resp = answer.payload?.struct(0)?.struct(0);
  if (resp === undefined) throw new Error("an answer without a response");
  // The status is the first pointer of every response.
  const status = resp.struct(0);
  const code = status?.uint16(layouts.Status.fields.code.offset) ?? 0;
  if (code !== 0) {
    const text = status?.text(layouts.Status.fields.message.offset) ?? "";
    throw new Error(`the server refused a call: ${errorNames[code as keyof typeof errorNames] ?? code} ${text}`);
  }
  return resp;
}
