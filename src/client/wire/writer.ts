// Owns: one growing buffer of finished frames and the few ways to put Cap'n Proto words into it: structs, lists, text,
// data. A frame has one segment; everything is allocated in the order it is written, as the library does it, so the
// bytes are the same. Never reads a socket. Called by encode.ts, rpc.ts, library.ts and the connection.
//
//   buffer   | frame … | frame: header 8 B, root pointer, structs … |   free   |
//                       ▲ frameAt                                    ▲ at

import { CapstanError } from "../errors.js";

/** The server's own bound of a frame. */
export const frameBytesMax = 32 << 20;
const wordBytes = 8;
const headerBytes = 8;
const startBytes = 64 << 10;
/** A buffer that one large frame has grown is not kept for the next ones. */
const keptBytesMax = 1 << 20;

const listOfBytes = 2;
const listOfWords = 5;
const listOfPointers = 6;
const listOfStructs = 7;
const twoTo32 = 0x1_0000_0000;

export interface StructSize {
  readonly dataWords: number;
  readonly pointers: number;
}

export class FrameWriter {
  private buffer: Buffer;
  private view: DataView;
  private at = 0;
  private frameAt = 0;
  private spare: Buffer | null = null;

  constructor() {
    this.buffer = Buffer.allocUnsafeSlow(startBytes);
    this.view = viewOf(this.buffer);
  }

  /** Bytes of the frames that were not taken yet. */
  get length(): number {
    return this.at;
  }

  /** Hands out all frames; the caller owns the bytes until it gives them back with `recycle`. */
  take(): Buffer {
    const taken = this.buffer.subarray(0, this.at);
    this.buffer = this.spare ?? Buffer.allocUnsafeSlow(startBytes);
    this.spare = null;
    this.view = viewOf(this.buffer);
    this.at = 0;
    this.frameAt = 0;
    return taken;
  }

  /** Takes back bytes that the socket is done with. */
  recycle(taken: Buffer): void {
    if (taken.buffer.byteLength <= keptBytesMax) this.spare = Buffer.from(taken.buffer as ArrayBuffer);
  }

  /** Starts a frame and makes its root struct. Returns the struct. */
  begin(root: StructSize): number {
    this.frameAt = this.at;
    const header = this.room(headerBytes + wordBytes);
    this.view.setFloat64(header, 0);
    this.view.setFloat64(header + headerBytes, 0);
    return this.struct(header + headerBytes, root);
  }

  end(): void {
    this.view.setUint32(this.frameAt, 0, true);
    this.view.setUint32(this.frameAt + 4, (this.at - this.frameAt - headerBytes) / wordBytes, true);
  }

  /** Adds a frame that is whole already. */
  append(frame: Uint8Array): void {
    this.frameAt = this.at;
    // The buffer only after the room is made: it may be another one then.
    const at = this.room(frame.length);
    this.buffer.set(frame, at);
  }

  /** Forgets the frame that was begun. */
  drop(): void {
    this.at = this.frameAt;
  }

  /** Allocates a struct and points `pointerAt` to it. Returns where its data begin. */
  struct(pointerAt: number, size: StructSize): number {
    const at = this.zeroed(size.dataWords + size.pointers);
    this.view.setUint32(pointerAt, offset(pointerAt, at) << 2, true);
    this.view.setUint32(pointerAt + 4, size.dataWords | (size.pointers << 16), true);
    return at;
  }

  /** Where pointer `index` of a struct lies. */
  pointer(structAt: number, size: StructSize, index: number): number {
    return structAt + (size.dataWords + index) * wordBytes;
  }

  /** Returns where the first struct lies; the next one is `structBytes(size)` behind it. */
  structList(pointerAt: number, size: StructSize, count: number): number {
    const words = (size.dataWords + size.pointers) * count;
    const tag = this.zeroed(words + 1);
    this.view.setUint32(pointerAt, (offset(pointerAt, tag) << 2) | 1, true);
    this.view.setUint32(pointerAt + 4, (words << 3) | listOfStructs, true);
    this.view.setUint32(tag, count << 2, true);
    this.view.setUint32(tag + 4, size.dataWords | (size.pointers << 16), true);
    return tag + wordBytes;
  }

  /** A list of text or data: returns where its first pointer lies, the next is one word behind it. */
  pointerList(pointerAt: number, count: number): number {
    return this.list(pointerAt, listOfPointers, count, count);
  }

  wordList(pointerAt: number, values: readonly number[]): void {
    const at = this.list(pointerAt, listOfWords, values.length, values.length);
    for (let i = 0; i < values.length; i++) this.uint64(at + i * wordBytes, values[i] ?? 0);
  }

  text(pointerAt: number, value: string): void {
    const bytes = Buffer.byteLength(value);
    const at = this.list(pointerAt, listOfBytes, bytes + 1, wordsOf(bytes + 1));
    this.buffer.write(value, at, bytes, "utf8");
  }

  data(pointerAt: number, value: Uint8Array | string): void {
    if (typeof value === "string") {
      const bytes = Buffer.byteLength(value);
      const at = this.list(pointerAt, listOfBytes, bytes, wordsOf(bytes));
      this.buffer.write(value, at, bytes, "utf8");
    } else {
      const at = this.list(pointerAt, listOfBytes, value.length, wordsOf(value.length));
      this.buffer.set(value, at);
    }
  }

  /** `digits` are pairs of hex digits, checked before. */
  hex(pointerAt: number, digits: string): void {
    const bytes = digits.length >> 1;
    const at = this.list(pointerAt, listOfBytes, bytes, wordsOf(bytes));
    this.buffer.write(digits, at, bytes, "hex");
  }

  bit(structAt: number, bitOffset: number, value: boolean): void {
    if (!value) return;
    const at = structAt + (bitOffset >> 3);
    this.view.setUint8(at, this.view.getUint8(at) | (1 << (bitOffset & 7)));
  }

  uint8(at: number, value: number): void {
    this.view.setUint8(at, value);
  }

  uint16(at: number, value: number): void {
    this.view.setUint16(at, value, true);
  }

  uint32(at: number, value: number): void {
    this.view.setUint32(at, value, true);
  }

  /** A whole number from 0 to 2^53 - 1. */
  uint64(at: number, value: number): void {
    this.view.setUint32(at, value % twoTo32, true);
    this.view.setUint32(at + 4, Math.floor(value / twoTo32), true);
  }

  bigUint64(at: number, value: bigint): void {
    this.view.setBigUint64(at, value, true);
  }

  private list(pointerAt: number, elementSize: number, count: number, words: number): number {
    const at = this.zeroed(words);
    this.view.setUint32(pointerAt, (offset(pointerAt, at) << 2) | 1, true);
    this.view.setUint32(pointerAt + 4, (count << 3) | elementSize, true);
    return at;
  }

  private zeroed(words: number): number {
    const at = this.room(words * wordBytes);
    // A loop wins over fill() for the few words that most objects have.
    if (words <= 16) {
      for (let i = at; i < this.at; i += wordBytes) this.view.setFloat64(i, 0);
    } else {
      this.buffer.fill(0, at, this.at);
    }
    return at;
  }

  private room(bytes: number): number {
    const at = this.at;
    if (at + bytes - this.frameAt > frameBytesMax) {
      throw new CapstanError("tooLarge", `the request is larger than a frame may be, ${frameBytesMax} bytes`);
    }
    if (at + bytes > this.buffer.length) this.grow(at + bytes);
    this.at = at + bytes;
    return at;
  }

  private grow(bytes: number): void {
    const grown = Buffer.allocUnsafeSlow(Math.max(bytes, this.buffer.length * 2));
    this.buffer.copy(grown, 0, 0, this.at);
    this.buffer = grown;
    this.view = viewOf(grown);
  }
}

export function structBytes(size: StructSize): number {
  return (size.dataWords + size.pointers) * wordBytes;
}

function offset(pointerAt: number, target: number): number {
  return (target - pointerAt) / wordBytes - 1;
}

function wordsOf(bytes: number): number {
  return (bytes + 7) >>> 3;
}

function viewOf(buffer: Buffer): DataView {
  return new DataView(buffer.buffer, buffer.byteOffset, buffer.byteLength);
}
