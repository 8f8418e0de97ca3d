// The addon's surface as a listener worker uses it, played by a test: it records what it is asked and answers what the
// test put there. Owns no rules of the queue. For unit tests of the server's JavaScript only.

import { CallClass, CallWord, callWords, eventWords } from "../../src/generated/boundary.js";
import type { Native } from "../../src/native.js";

export interface FakeCall {
  handle: number;
  class?: number;
  method?: number;
  bytes?: number;
  replyBytesMax?: number;
  waitMs?: number;
  jobs?: number;
}

export interface Answer {
  handle: number;
  code: number;
  retryAfterMs: number;
}

type WorkerPart = Pick<
  Native,
  | "workerOpen"
  | "workerClose"
  | "connectionOpen"
  | "connectionClose"
  | "receive"
  | "buffered"
  | "packedPending"
  | "packReplies"
  | "propose"
  | "read"
  | "wakeEarly"
  | "park"
  | "expire"
  | "answer"
  | "answerInfo"
  | "collect"
  | "moreToCollect"
  | "setWritable"
  | "shutdownCalls"
>;

export class FakeNative implements WorkerPart {
  /** Entries as they were proposed. */
  readonly entries: number[][] = [];
  readonly answers: Answer[] = [];
  readonly infos: number[] = [];
  readonly reads: number[] = [];
  readonly parked = new Set<number>();
  readonly expired: number[] = [];
  readonly log: string[] = [];
  readonly writable = new Map<number, boolean>();
  readonly openConnections = new Set<number>();
  bufferedBytes = 0;
  /** How many times a packed connection is to be received from before nothing is left of its chunk. */
  packedLeft = 0;
  chunks: Buffer[] = [];
  /** Calls that the next chunk holds. */
  nextCalls: FakeCall[] = [];
  /** Events that the next `collect` gives, each without trailing zeros. */
  nextEvents: number[][] = [];
  /** What the next `collect` puts at the slab's beginning. */
  nextReply = Buffer.alloc(0);
  /** Codes that the next proposals are refused with; 0: all of its calls were dropped. */
  refusals: number[] = [];
  /** Parked handles that the next proposal of writes wakes. */
  readonly wakesEarly: number[] = [];
  /** Handles whose next `park` says that the queue moved meanwhile. */
  readonly parkFails = new Set<number>();
  /** Handles whose wake is under way, so that `expire` comes too late. */
  readonly wakesUnderWay = new Set<number>();
  readResult = 0;
  doorbell: () => void = () => {};
  private ticket = 0;
  private slot = 100;

  get lastTicket(): number {
    return this.ticket;
  }

  workerOpen(_limits: unknown, doorbell: () => void): number {
    this.doorbell = doorbell;
    return 7;
  }

  workerClose(): void {
    this.log.push("workerClose");
  }

  connectionOpen(): number {
    this.openConnections.add(++this.slot);
    return this.slot;
  }

  connectionClose(_worker: number, connection: number): void {
    this.openConnections.delete(connection);
  }

  receive(_worker: number, _connection: number, chunk: Uint8Array, calls: Uint32Array): number {
    this.chunks.push(Buffer.from(chunk));
    const taken = this.nextCalls;
    this.nextCalls = [];
    return writeCalls(taken, calls);
  }

  packedPending(): boolean {
    return this.packedLeft > 0 && --this.packedLeft > 0;
  }

  packReplies(_worker: number, _connection: number, replies: Uint8Array): Uint8Array {
    return Buffer.concat([Buffer.from("packed "), replies]);
  }

  buffered(): number {
    return this.bufferedBytes;
  }

  wakeEarly(_worker: number, _handles: Uint32Array, _count: number, woken: Uint32Array): number {
    const handles = this.wakesEarly.splice(0, woken.length);
    woken.set(handles);
    for (const handle of handles) this.parked.delete(handle);
    return handles.length;
  }

  propose(_worker: number, _shard: number, handles: Uint32Array, count: number): number {
    this.entries.push([...handles.subarray(0, count)]);
    const refusal = this.refusals.shift();
    if (refusal !== undefined) return -refusal;
    return ++this.ticket;
  }

  read(_worker: number, handle: number): number {
    this.reads.push(handle);
    return this.readResult;
  }

  park(_worker: number, handle: number): boolean {
    if (this.parkFails.delete(handle)) return false;
    this.parked.add(handle);
    return true;
  }

  expire(_worker: number, handle: number): boolean {
    if (this.wakesUnderWay.has(handle)) return false;
    this.parked.delete(handle);
    this.expired.push(handle);
    return true;
  }

  answer(_worker: number, handle: number, code: number, retryAfterMs: number): void {
    this.answers.push({ handle, code, retryAfterMs });
  }

  answerInfo(_worker: number, handle: number): void {
    this.infos.push(handle);
  }

  collect(_worker: number, slab: Uint8Array, events: Uint32Array): number {
    slab.set(this.nextReply);
    this.nextReply = Buffer.alloc(0);
    const taken = this.nextEvents;
    this.nextEvents = [];
    taken.forEach((event, index) => {
      events.fill(0, index * eventWords, (index + 1) * eventWords);
      events.set(event, index * eventWords);
    });
    return taken.length;
  }

  moreToCollect(): boolean {
    return this.nextEvents.length > 0;
  }

  setWritable(_worker: number, connection: number, writable: boolean): void {
    this.writable.set(connection, writable);
  }

  shutdownCalls(): void {
    this.log.push("shutdownCalls");
    this.parked.clear();
  }
}

/** Writes records as the addon does; returns how many. */
export function writeCalls(records: readonly FakeCall[], calls: Uint32Array): number {
  records.forEach((record, index) => {
    const at = index * callWords;
    calls.fill(0, at, at + callWords);
    calls[at + CallWord.handle] = record.handle;
    calls[at + CallWord.class] = record.class ?? CallClass.write;
    calls[at + CallWord.method] = record.method ?? 0;
    calls[at + CallWord.bytes] = record.bytes ?? 100;
    calls[at + CallWord.replyBytesMax] = record.replyBytesMax ?? 50;
    calls[at + CallWord.waitMs] = record.waitMs ?? 0;
    calls[at + CallWord.jobs] = record.jobs ?? 1;
  });
  return records.length;
}
