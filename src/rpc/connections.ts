// All client connections of one worker: chunks in, replies out, backpressure and time-outs. Owns the sockets and the
// one buffer they are read into; frames, messages and call tables are the addon's. Called by the worker: `accept` and
// `write` for events of the addon, `sweep` every second; it calls the router for each chunk.

import type { Clock } from "../clock.js";
import { callWords } from "../generated/boundary.js";
import type { Native } from "../native.js";
import type { MemoryBudget } from "../server/memory_budget.js";
import { anyone, type Router } from "../server/router.js";
import { KiB } from "../units.js";
import { Connection, type ConnectionEvents, type OpenSocket, openDescriptor, PauseReason } from "./connection.js";
import type { Slab, SlabPool } from "./slab_pool.js";

export interface ConnectionsOptions {
  native: Pick<
    Native,
    "connectionOpen" | "connectionClose" | "receive" | "buffered" | "setWritable" | "packedPending" | "packReplies"
  >;
  worker: number;
  router: Router;
  budget: MemoryBudget;
  clock: Clock;
  slabs: SlabPool;
  readBufferBytes: number;
  callsOutstandingMax: number;
  unsentBytesMax: number;
  deafTimeoutMs: number;
  frameTimeoutMs: number;
  keepAliveMs: number;
  openSocket?: OpenSocket;
  /** Replies may wait to be collected. */
  wakeTurn: () => void;
  /** The last connection of a worker that stops is gone. */
  emptied: () => void;
  /** A connection was closed for a reason that people may ask about; `reason` is a stable word. */
  cut: (reason: string) => void;
}

/** A frame may take a second more for every so many bytes that came. */
const frameBytesPerSecond = 32 * KiB;

/** How long a client may leave a finished connection open. */
const closeGraceMs = 2000;

/**
 * Above these shares of the memory for requests, half-received frames, and then everybody, wait. One half-received frame
 * of a worker never does: were all of them to wait, none would come to its end and none of their memory be given back.
 * Where there is no memory left at all, no further one is held: its connection is cut.
 */
const partialShareMax = 0.5;
const readShareMax = 0.95;

/** How long a client may take nothing while memory is short: what it does not take, others need. */
const deafShortMs = 2000;

/** The smallest message takes more than this with its frame, so the records of a chunk fit. */
const messageBytesMin = 16;

export class Connections implements ConnectionEvents {
  private readonly options: ConnectionsOptions;
  private readonly bySlot = new Map<number, Connection>();
  /** Those with a half-received frame, with unsent bytes, without memory, and ending: what `sweep` looks at. */
  private readonly watched = new Set<Connection>();
  private readonly readBuffer: Buffer;
  private readonly calls: Uint32Array;
  private stopping = false;
  /** Those that are not read from for want of memory, the longest first. */
  private readonly waiting = new Set<Connection>();
  /** Whose half-received frame goes on however short memory is, and how much of it the last sweep saw. */
  private finishing: Connection | undefined;
  private finishingBytes = 0;

  constructor(options: ConnectionsOptions) {
    this.options = options;
    this.readBuffer = Buffer.allocUnsafeSlow(options.readBufferBytes);
    this.calls = new Uint32Array(Math.ceil(options.readBufferBytes / messageBytesMin) * callWords);
  }

  get count(): number {
    return this.bySlot.size;
  }

  accept(fd: number, isPacked: boolean): void {
    const { native, worker, keepAliveMs } = this.options;
    const slot = native.connectionOpen(worker, isPacked);
    const open = this.options.openSocket ?? openDescriptor;
    const connection = new Connection(slot, (onread) => open(fd, onread), this.readBuffer, this);
    if (isPacked) connection.pack = (replies) => native.packReplies(worker, slot, replies);
    connection.socket.setKeepAlive(true, keepAliveMs);
    this.bySlot.set(slot, connection);
    if (this.stopping) this.finish(connection);
  }

  received(connection: Connection, bytes: number): void {
    if (connection.isClosing) return;
    const { native, worker, router } = this.options;
    let chunk: Uint8Array = this.readBuffer.subarray(0, bytes);
    const recordsMax = this.calls.length / callWords;
    for (;;) {
      const count = native.receive(worker, connection.slot, chunk, this.calls);
      connection.outstanding += router.route(this.calls, count, anyone, connection);
      if (count < recordsMax) break;
      chunk = this.readBuffer.subarray(0, 0);
    }
    this.notePartial(connection, native.buffered(worker, connection.slot), bytes);
    this.limitReading(connection);
    if (connection.isPausedFor(PauseReason.memory) && connection.partialBytes > 0 && this.options.budget.isAbove(1)) {
      this.cutPartial(connection);
    } else if (connection.pack !== undefined) {
      this.unpackLater(connection);
    }
    this.options.wakeTurn();
  }

  unpackable(connection: Connection): void {
    setImmediate(() => {
      if (this.bySlot.get(connection.slot) !== connection || !connection.isPausedFor(PauseReason.unpacking)) return;
      if (!connection.isPausedForOthers(PauseReason.unpacking)) this.received(connection, 0);
    });
  }

  /** What a packed chunk grows to is taken in parts, one each turn, so that the other connections have theirs between. */
  private unpackLater(connection: Connection): void {
    if (!this.options.native.packedPending(this.options.worker, connection.slot)) {
      connection.resume(PauseReason.unpacking);
    } else if (connection.isPausedForOthers(PauseReason.unpacking)) {
      connection.pause(PauseReason.unpacking);
    } else {
      connection.pause(PauseReason.unpacking);
      this.unpackable(connection);
    }
  }

  /** Sends a part of a slab to a connection; nothing happens when it is gone. */
  write(slot: number, slab: Slab, offset: number, bytes: number, callsDone: number): void {
    const connection = this.bySlot.get(slot);
    if (connection === undefined) return;
    // A finished one has had its last bytes: what comes for it now answers nothing it still waits for.
    if (bytes > 0 && !connection.isClosing) {
      connection.write(slab, offset, bytes, this.options.slabs.isScarce);
      if (connection.socket.writableLength > 0) this.noteUnsent(connection);
    }
    this.callsDone(connection, callsDone);
  }

  /** A call ended without an answer. */
  dropped(slot: number): void {
    const connection = this.bySlot.get(slot);
    if (connection !== undefined) this.callsDone(connection, 1);
  }

  /** The addon gave the connection up: what was written still leaves, then it ends. */
  end(slot: number): void {
    const connection = this.bySlot.get(slot);
    if (connection === undefined) return;
    this.options.cut("violation");
    this.finish(connection);
  }

  drained(connection: Connection): void {
    this.noteUnsent(connection);
  }

  closed(connection: Connection): void {
    const { native, worker, budget } = this.options;
    this.watched.delete(connection);
    this.waiting.delete(connection);
    this.bySlot.delete(connection.slot);
    budget.give(connection.partialBytes + connection.unsentBytes);
    this.finished(connection);
    native.connectionClose(worker, connection.slot);
    // The calls it leaves behind are told by events.
    this.options.wakeTurn();
    if (this.stopping && this.bySlot.size === 0) this.options.emptied();
  }

  /** Every second: time-outs, and memory that has become free. */
  sweep(): void {
    const now = this.options.clock.nowMs();
    for (const connection of this.watched) {
      this.noteUnsent(connection);
      const reason = this.overdue(connection, now);
      if (reason !== undefined) {
        this.options.cut(reason);
        connection.destroy();
      } else if (connection.isPausedFor(PauseReason.memory)) {
        this.limitReading(connection);
      }
      if (!this.mustWatch(connection)) this.watched.delete(connection);
    }
    this.passOn();
  }

  /** Ends each connection as soon as it has no call without an answer. */
  stop(): void {
    this.stopping = true;
    for (const connection of this.bySlot.values()) {
      if (connection.outstanding === 0) this.finish(connection);
    }
    if (this.bySlot.size === 0) this.options.emptied();
  }

  /** Ends all at once. */
  destroy(): void {
    for (const connection of this.bySlot.values()) connection.destroy();
  }

  private callsDone(connection: Connection, count: number): void {
    if (count === 0) return;
    connection.outstanding -= count;
    if (connection.outstanding < this.options.callsOutstandingMax) connection.resume(PauseReason.calls);
    if (this.stopping && connection.outstanding === 0) this.finish(connection);
  }

  private limitReading(connection: Connection): void {
    const { budget, callsOutstandingMax } = this.options;
    if (connection.outstanding >= callsOutstandingMax) connection.pause(PauseReason.calls);
    if (connection.partialBytes > 0 && this.finishing === undefined) this.letFinish(connection);
    const share = connection.partialBytes > 0 ? partialShareMax : readShareMax;
    if (connection !== this.finishing && budget.isAbove(share)) {
      connection.pause(PauseReason.memory);
      this.waiting.add(connection);
      this.watched.add(connection);
    } else {
      connection.resume(PauseReason.memory);
      this.waiting.delete(connection);
    }
  }

  private letFinish(connection: Connection | undefined): void {
    this.finishing = connection;
    this.finishingBytes = connection?.partialBytes ?? 0;
  }

  /** Its frame has come to its end, or never will: the one that has waited longest goes on. */
  private finished(connection: Connection): void {
    if (connection !== this.finishing) return;
    this.letFinish(this.longestWaiting());
    if (this.finishing !== undefined) this.limitReading(this.finishing);
  }

  /** A client that sends nothing keeps nobody waiting, as long as there is memory for a second one to go on. */
  private passOn(): void {
    const { finishing } = this;
    if (finishing === undefined) return;
    const isStalled = finishing.partialBytes === this.finishingBytes;
    this.finishingBytes = finishing.partialBytes;
    if (!isStalled) return;
    if (this.options.budget.isAbove(readShareMax)) {
      this.relieve();
      return;
    }
    const next = this.longestWaiting();
    if (next === undefined) return;
    this.letFinish(next);
    this.limitReading(next);
    this.limitReading(finishing);
  }

  /**
   * Nobody is read from, and the one whose frame would give memory back sends nothing: half-received frames are cut, that
   * one first, until they have no more than their share, and all others are read again.
   */
  private relieve(): void {
    for (const connection of [this.finishing, ...this.waiting]) {
      if (!this.options.budget.isAbove(partialShareMax)) break;
      if (connection !== undefined && connection.partialBytes > 0) this.cutPartial(connection);
    }
    for (const connection of [...this.waiting]) this.limitReading(connection);
  }

  private cutPartial(connection: Connection): void {
    // Now, and not when the socket has closed: who looks at the budget next must see it.
    this.options.budget.give(connection.partialBytes);
    connection.partialBytes = 0;
    this.waiting.delete(connection);
    this.options.cut("memory");
    connection.destroy();
  }

  private longestWaiting(): Connection | undefined {
    for (const connection of this.waiting) {
      if (connection.partialBytes > 0) return connection;
    }
    return undefined;
  }

  private notePartial(connection: Connection, bytes: number, cameBytes: number): void {
    const before = connection.partialBytes;
    if (bytes === 0 && before === 0) return;
    connection.partialBytes = bytes;
    if (bytes > before) this.options.budget.take(bytes - before);
    else this.options.budget.give(before - bytes);
    // Not all that came is held: a frame came to its end, and what is held begins another.
    const hasEnded = bytes < before + cameBytes;
    if (hasEnded) this.finished(connection);
    if (bytes === 0) return;
    if (before === 0 || hasEnded) connection.partialSinceMs = this.options.clock.nowMs();
    this.watched.add(connection);
  }

  private noteUnsent(connection: Connection): void {
    const { native, worker, budget, clock, unsentBytesMax } = this.options;
    const bytes = connection.socket.writableLength;
    const before = connection.unsentBytes;
    if (bytes !== before) {
      connection.unsentBytes = bytes;
      if (bytes > before) budget.take(bytes - before);
      else budget.give(before - bytes);
    }
    if (bytes < before || before === 0) connection.progressMs = clock.nowMs();
    if (bytes > 0) this.watched.add(connection);
    if (connection.isWritable && bytes >= unsentBytesMax) {
      connection.isWritable = false;
      connection.pause(PauseReason.unsent);
      native.setWritable(worker, connection.slot, false);
    } else if (!connection.isWritable && bytes <= unsentBytesMax / 2) {
      connection.isWritable = true;
      native.setWritable(worker, connection.slot, true);
      connection.resume(PauseReason.unsent);
      this.options.wakeTurn();
    }
  }

  private overdue(connection: Connection, nowMs: number): string | undefined {
    const { budget, deafTimeoutMs, frameTimeoutMs } = this.options;
    const deafMs = budget.isAbove(partialShareMax) ? Math.min(deafShortMs, deafTimeoutMs) : deafTimeoutMs;
    if (connection.unsentBytes > 0 && nowMs - connection.progressMs >= deafMs) return "deaf";
    if (nowMs >= connection.closeByMs && connection.unsentBytes === 0) return "lingering";
    if (connection.isPausedFor(PauseReason.calls | PauseReason.unsent | PauseReason.unpacking)) {
      // We do not read what it may long have sent.
      connection.partialSinceMs = nowMs;
    } else if (connection.partialBytes > 0 && !connection.isClosing) {
      const allowedMs = frameTimeoutMs + (connection.partialBytes / frameBytesPerSecond) * 1000;
      if (nowMs - connection.partialSinceMs >= allowedMs) return "halfFrame";
    }
    return undefined;
  }

  private mustWatch(connection: Connection): boolean {
    return (
      connection.partialBytes > 0 ||
      connection.unsentBytes > 0 ||
      connection.isClosing ||
      connection.isPausedFor(PauseReason.memory)
    );
  }

  private finish(connection: Connection): void {
    connection.finish(this.options.clock.nowMs() + closeGraceMs);
    this.waiting.delete(connection);
    this.finished(connection);
    this.watched.add(connection);
  }
}
