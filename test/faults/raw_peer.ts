// A socket that speaks Cap'n Proto frames as badly as a test wants, and notes what the server says to it. Owns the socket;
// knows no rule of the protocol, so it can break each. Also the frames that hostile peers send. Used by the tests of
// hostile clients.

import { once } from "node:events";
import { connect, type Socket } from "node:net";
import * as capnp from "capnp-ts";
import * as rpc from "capnp-ts/src/std/rpc.capnp.js";
import { type Status, StatusResponse } from "../../src/generated/capstan.capnp.js";

/** The implicit struct of a method's results: one pointer. */
class Wrapper extends capnp.Struct {
  static override readonly _capnp = { displayName: "Wrapper", id: "0", size: new capnp.ObjectSize(0, 1) };
}

export class RawPeer {
  readonly socket: Socket;
  /** Discriminants of the messages that came, in order. */
  readonly kinds: number[] = [];
  readonly frames: Buffer[] = [];
  bytesRead = 0;
  isClosed = false;
  private rest = Buffer.alloc(0);
  private watchers: (() => void)[] = [];

  private constructor(socket: Socket, reads: boolean) {
    this.socket = socket;
    socket.setNoDelay(true);
    // A reset is one of the ways of being closed.
    socket.on("error", () => {});
    socket.on("close", () => {
      this.isClosed = true;
      this.changed();
    });
    if (reads) socket.on("data", (chunk) => this.received(chunk));
  }

  static async open(address: string, { reads = true } = {}): Promise<RawPeer> {
    const [host, port] = address.split(":") as [string, string];
    const socket = connect({ host, port: Number(port) });
    const peer = new RawPeer(socket, reads);
    await Promise.race([once(socket, "connect"), once(socket, "close")]);
    return peer;
  }

  send(...frames: Uint8Array[]): void {
    if (!this.socket.destroyed) this.socket.write(Buffer.concat(frames));
  }

  /** Fails after `milliseconds`. */
  async until(isMet: () => boolean, milliseconds = 20_000): Promise<void> {
    const giveUp = AbortSignal.timeout(milliseconds);
    giveUp.addEventListener("abort", () => this.changed());
    while (!isMet()) {
      if (giveUp.aborted) {
        throw new Error(
          `not within ${milliseconds} ms: messages ${this.kinds.slice(-8)}, ${this.bytesRead} bytes, closed: ${this.isClosed}`,
        );
      }
      await new Promise<void>((resolve) => this.watchers.push(resolve));
    }
  }

  /** The server told why, and closed. */
  async aborted(): Promise<string> {
    await this.until(() => this.isClosed);
    const frame = this.frames.at(-1);
    if (frame === undefined) throw new Error("it was closed without a word");
    return new capnp.Message(frame, false).getRoot(rpc.Message).getAbort().getReason();
  }

  /** The answer to a question. */
  async answer(question: number): Promise<rpc.Return> {
    let looked = 0;
    let found: rpc.Return | undefined;
    await this.until(() => {
      for (; looked < this.frames.length && found === undefined; looked++) {
        const root = new capnp.Message(this.frames[looked] as Buffer, false).getRoot(rpc.Message);
        if (root.which() !== rpc.Message.RETURN) continue;
        if (root.getReturn().getAnswerId() === question) found = root.getReturn();
      }
      if (found === undefined && this.isClosed) throw new Error(`closed without an answer; messages ${this.kinds}`);
      return found !== undefined;
    });
    return found as rpc.Return;
  }

  returns(): rpc.Return[] {
    return this.frames
      .map((frame) => new capnp.Message(frame, false).getRoot(rpc.Message))
      .filter((root) => root.which() === rpc.Message.RETURN)
      .map((root) => root.getReturn());
  }

  close(): void {
    this.socket.destroy();
  }

  private received(chunk: Buffer): void {
    this.bytesRead += chunk.length;
    const bytes = this.rest.length === 0 ? chunk : Buffer.concat([this.rest, chunk]);
    let at = 0;
    for (let size = frameSize(bytes, at); at + size <= bytes.length; size = frameSize(bytes, at)) {
      const frame = Buffer.from(bytes.subarray(at, at + size));
      at += size;
      this.frames.push(frame);
      this.kinds.push(kindOf(frame));
    }
    this.rest = Buffer.from(bytes.subarray(at));
    this.changed();
  }

  private changed(): void {
    const { watchers } = this;
    this.watchers = [];
    for (const watcher of watchers) watcher();
  }
}

/** Every answer begins with it. */
export function statusOf(answer: rpc.Return): Status {
  const results = capnp.Struct.getStruct(0, Wrapper, answer.getResults());
  return capnp.Struct.getStruct(0, StatusResponse, results).getStatus();
}

function frameSize(bytes: Buffer, from: number): number {
  if (bytes.length - from < 8) return Number.POSITIVE_INFINITY;
  const segments = bytes.readUInt32LE(from) + 1;
  const table = (4 + 4 * segments + 7) & ~7;
  if (bytes.length - from < table) return Number.POSITIVE_INFINITY;
  let words = 0;
  for (let at = 0; at < segments; at++) words += bytes.readUInt32LE(from + 4 + 4 * at);
  return table + words * 8;
}

/** The discriminant of a frame's message, read without a library: tens of thousands come at once. */
function kindOf(frame: Buffer): number {
  if (frame.readUInt32LE(0) !== 0) return new capnp.Message(frame, false).getRoot(rpc.Message).which();
  return frame.readUInt16LE(16 + (frame.readInt32LE(8) >> 2) * 8);
}

/** A message of one kind, of which no more is said. */
export function messageFrame(fill: (message: rpc.Message) => void): Buffer {
  const message = new capnp.Message();
  fill(message.initRoot(rpc.Message));
  return Buffer.from(message.toArrayBuffer());
}

export function bootstrapFrame(question: number): Buffer {
  return messageFrame((message) => message.initBootstrap().setQuestionId(question));
}

export function finishFrame(question: number): Buffer {
  return messageFrame((message) => message.initFinish().setQuestionId(question));
}

/** A frame of one segment of these words. */
export function frameOf(...words: bigint[]): Buffer {
  const frame = Buffer.alloc(8 + words.length * 8);
  frame.writeUInt32LE(words.length, 4);
  words.forEach((word, at) => {
    frame.writeBigUInt64LE(BigInt.asUintN(64, word), 8 + at * 8);
  });
  return frame;
}

/** A segment table that claims `words`, and none of them. */
export function claimOf(...words: number[]): Buffer {
  const table = Buffer.alloc((4 + 4 * words.length + 7) & ~7);
  table.writeUInt32LE(words.length - 1, 0);
  words.forEach((count, at) => {
    table.writeUInt32LE(count >>> 0, 4 + 4 * at);
  });
  return table;
}

/** A frame of as many segments as are given, each as many words. */
export function framesOfSegments(...segments: bigint[][]): Buffer {
  const body = segments.flat().map((word) => {
    const bytes = Buffer.alloc(8);
    bytes.writeBigUInt64LE(BigInt.asUintN(64, word));
    return bytes;
  });
  return Buffer.concat([claimOf(...segments.map((words) => words.length)), ...body]);
}
