// One client's socket: bytes in, bytes out, and the reasons why it is not read from for now. Owns the socket and its
// counts; never looks into a frame. Called by the table of connections of its worker, on that worker's thread.
//
//   reading ──(too many calls, too much unsent, too little memory)──▶ paused ──▶ reading
//      │                                                                │
//      ├── end of stream, error, deaf, half a frame for too long ───────┴──▶ destroyed ──▶ closed
//      └── finish() after a violation or a stop: what was written still leaves ──▶ closing ──▶ closed

import { type OnReadOpts, Socket, type SocketConstructorOpts } from "node:net";
import type { Slab } from "./slab_pool.js";

/** Why a connection is not read from; bits. */
export const PauseReason = {
  calls: 1,
  unsent: 2,
  memory: 4,
  /** Of a packed one: what came is not unpacked yet. */
  unpacking: 8,
} as const;

/** Makes a socket of a descriptor; a seam, since a unit test has none to give. */
export type OpenSocket = (fd: number, onread: OnReadOpts) => Socket;

/** Node's types leave out that the constructor takes `onread` too. */
type SocketOptions = SocketConstructorOpts & { onread: OnReadOpts };

export const openDescriptor: OpenSocket = (fd, onread) => {
  const options: SocketOptions = { fd, readable: true, writable: true, onread };
  return new Socket(options);
};

export interface ConnectionEvents {
  /** `bytes` of the shared read buffer hold what came. */
  received(connection: Connection, bytes: number): void;
  drained(connection: Connection): void;
  /** Nothing but what is not unpacked yet keeps it from being read. */
  unpackable(connection: Connection): void;
  closed(connection: Connection): void;
}

export class Connection {
  readonly socket: Socket;
  /** Number in the addon's table. */
  readonly slot: number;
  /** Calls without an answer. */
  outstanding = 0;
  /** Bytes of a half-received frame that the addon holds, and since when. */
  partialBytes = 0;
  partialSinceMs = 0;
  /** Bytes written that the client has not taken, as last counted, and when that last became less. */
  unsentBytes = 0;
  progressMs = 0;
  /** As a source of writes: see the apply loop. */
  largeMark = 0;
  /** Whether the addon may make replies for it. */
  isWritable = true;
  /** Nothing more is read; destroyed when the client has not closed by then. */
  closeByMs = Number.POSITIVE_INFINITY;
  /** Makes the packed form of replies, where the connection speaks it. */
  pack: ((replies: Uint8Array) => Uint8Array) | undefined;
  private readonly events: ConnectionEvents;
  private pauseReasons = 0;

  constructor(slot: number, open: (onread: OnReadOpts) => Socket, readBuffer: Buffer, events: ConnectionEvents) {
    this.slot = slot;
    this.events = events;
    this.socket = open({
      // One buffer for all sockets of the worker: what it holds is taken before the callback returns.
      buffer: readBuffer,
      callback: (bytes) => {
        events.received(this, bytes);
        return true;
      },
    });
    this.socket.setNoDelay(true);
    this.socket.on("drain", () => events.drained(this));
    this.socket.on("close", () => events.closed(this));
    // `close` follows every error, and a client that resets is nothing to tell anybody.
    this.socket.on("error", () => {});
  }

  get isClosing(): boolean {
    return this.closeByMs !== Number.POSITIVE_INFINITY;
  }

  get isPaused(): boolean {
    return this.pauseReasons !== 0;
  }

  pause(reason: number): void {
    if (this.pauseReasons === 0) this.socket.pause();
    this.pauseReasons |= reason;
  }

  resume(reason: number): void {
    if ((this.pauseReasons & reason) === 0) return;
    this.pauseReasons &= ~reason;
    if (this.pauseReasons === 0) this.socket.resume();
    else if (this.pauseReasons === PauseReason.unpacking) this.events.unpackable(this);
  }

  isPausedFor(reason: number): boolean {
    return (this.pauseReasons & reason) !== 0;
  }

  isPausedForOthers(reason: number): boolean {
    return (this.pauseReasons & ~reason) !== 0;
  }

  /** Sends a part of a slab. Copied when the socket lags behind already or slabs are scarce, so that at most one slab
   *  is held for one slow socket, and few for all. */
  write(slab: Slab, offset: number, bytes: number, copy: boolean): void {
    const part = slab.bytes.subarray(offset, offset + bytes);
    if (this.pack !== undefined) {
      this.socket.write(this.pack(part));
    } else if (copy || this.socket.writableLength > 0) {
      this.socket.write(Buffer.from(part));
    } else {
      slab.use();
      this.socket.write(part, slab.written);
    }
  }

  /** Sends what was written, then ends; what still comes is thrown away. */
  finish(closeByMs: number): void {
    if (this.isClosing) return;
    this.closeByMs = closeByMs;
    this.pauseReasons = 0;
    this.socket.resume();
    this.socket.end();
  }

  destroy(): void {
    this.socket.destroy();
  }
}
