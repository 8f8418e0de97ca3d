// Owns: reading of one received frame: its segments, pointers (near, far and double far), structs and lists. Every size
// and place is checked against the frame before it is used, and what is read in total is bounded by the frame's own
// size, so that damaged or hostile bytes give a `protocol` fault and nothing else. Never copies payloads. Called by
// decode.ts, library.ts and the connection.

import { protocolFault } from "../errors.js";

const wordBytes = 8;
const segmentsMax = 512;
/** Read beyond the frame's own words: lists of empty structs cost nothing in the frame, but time here. */
const spareWords = 1024;
/** As the library has it. */
const depthMax = 64;
const bitsPerElement = [0, 1, 8, 16, 32, 64, 64];
const listOfBytes = 2;
const listOfPointers = 6;
const listOfStructs = 7;

/** A struct of the frame: where its sections lie, in bytes of the frame. */
export interface StructView {
  readonly segment: number;
  readonly data: number;
  readonly dataBytes: number;
  readonly pointers: number;
  readonly pointerCount: number;
}

export interface ListView {
  readonly segment: number;
  readonly at: number;
  readonly count: number;
  /** From one element to the next, in bytes. */
  readonly step: number;
  readonly dataBytes: number;
  readonly pointerCount: number;
}

/** A socket chunk, or a frame put together of several: what frames are read from. */
export class FrameMemory {
  readonly bytes: Buffer;
  readonly view: DataView;

  constructor(bytes: Buffer) {
    this.bytes = bytes;
    this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }
}

export class MessageReader {
  private readonly frame: Buffer;
  private readonly view: DataView;
  /** Of segment 0; most frames have no other. */
  private readonly start: number;
  private readonly end: number;
  private readonly others: { readonly start: number; readonly end: number }[] | null;
  private readonly from: number;
  private readonly to: number;
  private wordsLeft: number;
  // Where the pointer that was followed last leads: its own word, and the place its offset counts from.
  private segment = 0;
  private target = 0;
  private low = 0;
  private high = 0;

  /** `memory` holds exactly one frame from `from` to `to`, as splitter.ts finds it. */
  constructor(memory: FrameMemory, from: number, to: number) {
    this.frame = memory.bytes;
    this.view = memory.view;
    this.from = from;
    this.to = to;
    const count = this.view.getUint32(from, true) + 1;
    if (count > segmentsMax) throw protocolFault(`a frame of ${count} segments`);
    let at = from + segmentTableBytes(count);
    this.start = at;
    at += this.view.getUint32(from + 4, true) * wordBytes;
    this.end = at;
    this.others = count === 1 ? null : [];
    for (let i = 1; i < count; i++) {
      const start = at;
      at += this.view.getUint32(from + 4 + i * 4, true) * wordBytes;
      this.others?.push({ start, end: at });
    }
    if (at > to) throw protocolFault("a segment ends outside of its frame");
    this.wordsLeft = (to - from) / wordBytes + spareWords;
  }

  static of(frame: Buffer): MessageReader {
    return new MessageReader(new FrameMemory(frame), 0, frame.length);
  }

  root(): StructView {
    if (this.end < this.start + wordBytes) throw protocolFault("a frame without a root");
    return this.structAt(0, this.start) ?? emptyStruct;
  }

  /** The frame's own memory. */
  wholeFrame(): Uint8Array {
    return this.frame.subarray(this.from, this.to);
  }

  /**
   * Follows every pointer there is, once: throws unless all lead into the frame, none too deep, and what they lead to
   * is no more than the frame holds. So another reader of the frame meets no lie, no cycle and no list without end.
   */
  walk(): void {
    if (this.end < this.start + wordBytes) throw protocolFault("a frame without a root");
    this.walkPointer(0, this.start, depthMax);
  }

  /** Null when the pointer is null or the struct's sender did not know it yet. */
  struct(of: StructView, index: number): StructView | null {
    return index < of.pointerCount ? this.structAt(of.segment, of.pointers + index * wordBytes) : null;
  }

  /** An absent struct reads as an empty one. */
  structOrEmpty(of: StructView, index: number): StructView {
    return this.struct(of, index) ?? emptyStruct;
  }

  structList(of: StructView, index: number): ListView {
    const list = this.list(of, index);
    if (list.count > 0 && list.dataBytes < 0) throw protocolFault("a list of structs has bare elements");
    return list;
  }

  /** A list of text, data, or 64-bit numbers. */
  pointerList(of: StructView, index: number): ListView {
    const list = this.list(of, index);
    if (list.count > 0 && list.pointerCount < 1) throw protocolFault("a list of pointers has none");
    return list;
  }

  element(list: ListView, index: number): StructView {
    const data = list.at + index * list.step;
    return {
      segment: list.segment,
      data,
      dataBytes: list.dataBytes,
      pointers: data + list.dataBytes,
      pointerCount: list.pointerCount,
    };
  }

  text(of: StructView, index: number): string {
    if (index >= of.pointerCount) return "";
    const bytes = this.bytesAt(of.segment, of.pointers + index * wordBytes);
    if (bytes === 0) return "";
    if (this.frame[this.target + bytes - 1] !== 0) throw protocolFault("a text without its final zero");
    return this.frame.toString("utf8", this.target, this.target + bytes - 1);
  }

  /** A view of the frame's own memory. */
  data(of: StructView, index: number): Uint8Array {
    if (index >= of.pointerCount) return emptyBytes;
    const bytes = this.bytesAt(of.segment, of.pointers + index * wordBytes);
    if (bytes === 0) return emptyBytes;
    return new Uint8Array(this.frame.buffer as ArrayBuffer, this.frame.byteOffset + this.target, bytes);
  }

  dataHex(of: StructView, index: number): string {
    if (index >= of.pointerCount) return "";
    const bytes = this.bytesAt(of.segment, of.pointers + index * wordBytes);
    return bytes === 0 ? "" : this.frame.toString("hex", this.target, this.target + bytes);
  }

  /** Element `index` of a list of data. */
  elementHex(list: ListView, index: number): string {
    const bytes = this.bytesAt(list.segment, list.at + index * list.step + Math.max(list.dataBytes, 0));
    return bytes === 0 ? "" : this.frame.toString("hex", this.target, this.target + bytes);
  }

  uint8(of: StructView, at: number): number {
    return at < of.dataBytes ? this.view.getUint8(of.data + at) : 0;
  }

  uint16(of: StructView, at: number): number {
    return at + 2 <= of.dataBytes ? this.view.getUint16(of.data + at, true) : 0;
  }

  uint32(of: StructView, at: number): number {
    return at + 4 <= of.dataBytes ? this.view.getUint32(of.data + at, true) : 0;
  }

  /** As a number: exact up to 2^53. */
  uint64(of: StructView, at: number): number {
    if (at + 8 > of.dataBytes) return 0;
    return this.view.getUint32(of.data + at, true) + this.view.getUint32(of.data + at + 4, true) * 0x1_0000_0000;
  }

  int64(of: StructView, at: number): number {
    if (at + 8 > of.dataBytes) return 0;
    return this.view.getUint32(of.data + at, true) + this.view.getInt32(of.data + at + 4, true) * 0x1_0000_0000;
  }

  bigUint64(of: StructView, at: number): bigint {
    return at + 8 <= of.dataBytes ? this.view.getBigUint64(of.data + at, true) : 0n;
  }

  private walkPointer(segment: number, pointerAt: number, depth: number): void {
    if (!this.follow(segment, pointerAt)) return;
    if (depth === 0) throw protocolFault(`structs within structs, more than ${depthMax} deep`);
    switch (this.low & 3) {
      case 0: {
        const dataBytes = (this.high & 0xffff) * wordBytes;
        const pointerCount = this.high >>> 16;
        this.claim(dataBytes / wordBytes + pointerCount);
        this.walkPointers(this.segment, this.target + dataBytes, pointerCount, depth - 1);
        return;
      }
      case 1: {
        const list = this.listAt();
        if (list.pointerCount === 0) return;
        for (let i = 0; i < list.count; i++) {
          const pointers = list.at + i * list.step + Math.max(list.dataBytes, 0);
          this.walkPointers(list.segment, pointers, list.pointerCount, depth - 1);
        }
        return;
      }
      default:
        // A capability, which has no content.
        if (this.low !== 3) throw protocolFault("a pointer of an unknown kind");
    }
  }

  private walkPointers(segment: number, at: number, count: number, depth: number): void {
    for (let i = 0; i < count; i++) this.walkPointer(segment, at + i * wordBytes, depth);
  }

  private structAt(segment: number, pointerAt: number): StructView | null {
    if (!this.follow(segment, pointerAt)) return null;
    if ((this.low & 3) !== 0) throw protocolFault("a struct was expected");
    const dataBytes = (this.high & 0xffff) * wordBytes;
    const pointerCount = this.high >>> 16;
    this.claim(dataBytes / wordBytes + pointerCount);
    const data = this.target;
    return { segment: this.segment, data, dataBytes, pointers: data + dataBytes, pointerCount };
  }

  /** Follows a pointer to bytes: `target` is where they begin. Returns how many. */
  private bytesAt(segment: number, pointerAt: number): number {
    if (!this.follow(segment, pointerAt)) return 0;
    if ((this.low & 3) !== 1 || (this.high & 7) !== listOfBytes) throw protocolFault("bytes were expected");
    const count = this.high >>> 3;
    this.claim((count + 7) >>> 3);
    return count;
  }

  private list(of: StructView, index: number): ListView {
    if (index >= of.pointerCount || !this.follow(of.segment, of.pointers + index * wordBytes)) return emptyList;
    if ((this.low & 3) !== 1) throw protocolFault("a list was expected");
    return this.listAt();
  }

  /** The list that the pointer followed last leads to. */
  private listAt(): ListView {
    const kind = this.high & 7;
    const size = this.high >>> 3;
    if (kind === listOfStructs) return this.compositeList(size);
    const bits = bitsPerElement[kind] ?? 0;
    this.claim(Math.ceil((size * bits) / 64));
    // Elements without bytes of their own still cost time.
    if (bits === 0) this.spend(size);
    const pointerCount = kind === listOfPointers ? 1 : 0;
    // An odd list of bits or of nothing cannot stand for structs; the mark -1 says so.
    const dataBytes = pointerCount === 1 ? 0 : bits >= 8 ? bits >> 3 : -1;
    return { segment: this.segment, at: this.target, count: size, step: bits >> 3, dataBytes, pointerCount };
  }

  private compositeList(words: number): ListView {
    this.claim(words + 1);
    const tag = this.target;
    const tagLow = this.view.getUint32(tag, true);
    const tagHigh = this.view.getUint32(tag + 4, true);
    if ((tagLow & 3) !== 0) throw protocolFault("a list whose tag is not a struct");
    const count = tagLow >>> 2;
    const dataBytes = (tagHigh & 0xffff) * wordBytes;
    const pointerCount = tagHigh >>> 16;
    const step = dataBytes + pointerCount * wordBytes;
    if (count * step > words * wordBytes) throw protocolFault("a list is longer than its words");
    if (step === 0) this.spend(count);
    return { segment: this.segment, at: tag + wordBytes, count, step, dataBytes, pointerCount };
  }

  /** Reads a pointer through its far hops. False: it is null. */
  private follow(segment: number, pointerAt: number): boolean {
    this.low = this.view.getUint32(pointerAt, true);
    this.high = this.view.getUint32(pointerAt + 4, true);
    if (this.low === 0 && this.high === 0) return false;
    this.segment = segment;
    if ((this.low & 3) === 2) return this.followFar();
    this.target = pointerAt + wordBytes + (this.low >> 2) * wordBytes;
    return true;
  }

  private followFar(): boolean {
    const isDouble = (this.low & 4) !== 0;
    const padOffset = (this.low >>> 3) * wordBytes;
    const pad = this.placeIn(this.high, padOffset, isDouble ? 2 : 1);
    this.spend(1);
    const low = this.view.getUint32(pad, true);
    const high = this.view.getUint32(pad + 4, true);
    if (!isDouble) {
      if ((low & 3) === 2) throw protocolFault("a far pointer to a far pointer");
      if (low === 0 && high === 0) return false;
      this.low = low;
      this.high = high;
      this.target = pad + wordBytes + (low >> 2) * wordBytes;
      return true;
    }
    if ((low & 7) !== 2) throw protocolFault("a landing pad without its far pointer");
    this.low = this.view.getUint32(pad + 8, true);
    this.high = this.view.getUint32(pad + 12, true);
    if (this.low >> 2 !== 0) throw protocolFault("a landing pad's tag with an offset");
    this.target = this.placeIn(high, (low >>> 3) * wordBytes, 0);
    return true;
  }

  /** The place `offset` bytes into a segment, with `words` behind it; sets `segment`. */
  private placeIn(segment: number, offset: number, words: number): number {
    if (segment > (this.others?.length ?? 0)) throw protocolFault("a far pointer to a segment that is not there");
    const at = this.startOf(segment) + offset;
    if (at + words * wordBytes > this.endOf(segment)) throw protocolFault("a far pointer out of its segment");
    this.segment = segment;
    return at;
  }

  /** The `words` at `target` must lie in the segment, and are paid for. */
  private claim(words: number): void {
    const start = this.startOf(this.segment);
    const end = this.endOf(this.segment);
    if (this.target < start || this.target + words * wordBytes > end)
      throw protocolFault("a pointer out of its segment");
    this.spend(words);
  }

  private startOf(segment: number): number {
    return segment === 0 ? this.start : (this.others?.[segment - 1]?.start ?? 0);
  }

  private endOf(segment: number): number {
    return segment === 0 ? this.end : (this.others?.[segment - 1]?.end ?? 0);
  }

  private spend(words: number): void {
    this.wordsLeft -= words;
    if (this.wordsLeft < 0) throw protocolFault("pointers of a frame overlap");
  }
}

/** The table's size with its padding: a count, then a size for each segment. */
export function segmentTableBytes(count: number): number {
  return (((count + 2) >> 1) << 1) * 4;
}

export const emptyBytes = new Uint8Array(0);
const emptyStruct: StructView = { segment: 0, data: 0, dataBytes: 0, pointers: 0, pointerCount: 0 };
const emptyList: ListView = { segment: 0, at: 0, count: 0, step: 0, dataBytes: 0, pointerCount: 0 };
