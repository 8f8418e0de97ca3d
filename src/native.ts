// The typed face of the addon: the only file that loads it. Owns the interface `Native`, one to one the addon's export
// table; it adds nothing and decides nothing. Called by the composition root and by each listener worker's thread.
//
// The engine behind it is one for the process, shared by every thread's instance. A worker is known by the number that
// `workerOpen` gave, a call by its handle, a connection by its slot. What a client did wrong is answered to the client;
// what the caller did wrong, or the system refused, is thrown as an Error whose `code` is a stable word
// (see server/engine_errors.ts).

import { createRequire } from "node:module";

export interface EngineOptions {
  dataDirectory: string;
  shards: number;
  /** false: nothing is durable; for benchmarks. */
  syncAlways: boolean;
  logSegmentBytes: number;
  logTrailingBytes: number;
  diskReserveBytes: number;
  diskReservePercent: number;
  blockCacheBytes: number;
  writeBufferBytes: number;
  backgroundJobs: number;
  windowBytesMax: number;
  windowJobsMax: number;
  payloadCacheBytes: number;
  logCacheBytes: number;
  proposalsMax: number;
  tickRowsMax: number;
  parkedMax: number;
  readerThreads: number;
  /** For benchmarks: options of RocksDB in its own spelling; empty: as they are. */
  rocksdbOptions: string;
}

export interface CodecLimits {
  frameBytesMax: number;
  payloadBytesMax: number;
  headersBytesMax: number;
  nameBytesMax: number;
  jobsPerCommandMax: number;
  commandBytesMax: number;
  queuesPerFetchMax: number;
  fetchJobsMax: number;
  fetchBytesMax: number;
  fetchBytesDefault: number;
  waitMsMax: number;
  leaseMsMin: number;
  leaseMsMax: number;
  leaseMsDefault: number;
  delayMsMax: number;
  attemptsMax: number;
  sessionKeepMsDefault: number;
  sessionKeepMsMin: number;
  sessionKeepMsMax: number;
  peekJobsMax: number;
  queueDefaults: {
    maxAttempts: number;
    backoffBaseMs: number;
    backoffFactorPercent: number;
    backoffMaxMs: number;
    backoffJitterPercent: number;
    deadKeepMs: number;
    groupQuantum: number;
  };
  stateLimits: {
    queuesMax: number;
    lanesMax: number;
    groupsMax: number;
    sessionsMax: number;
    leasedJobsMax: number;
    sessionResultsMax: number;
    sessionResultBytesMax: number;
    idempotencyKeepMs: number;
  };
}

export interface Native {
  /** Opens the data directory, replays the log and starts the engine's threads; `progress` gets entries done and in all. */
  engineOpen(options: EngineOptions, progress: (done: number, total: number) => void): Promise<void>;
  /** Flushes and ends the engine; everything answered is durable before and after. */
  engineClose(): Promise<void>;
  /** Sentences about the data directory that whoever runs the server should read, as on tmpfs or a network file system. */
  engineWarnings(): string[];
  /** Connections closed at once since the start, since `connectionsMax` of them were open. */
  connectionsRefused(): number;
  /** Since the start, closed at once since no descriptor was left for them. */
  connectionsStarved(): number;
  /** Returns the bound address: HOST:PORT, [HOST]:PORT or unix:PATH. `backlog` in connections. */
  listen(listener: number, address: string, connectionsMax: number, backlog: number): string;
  stopListening(): void;
  /** Sends one datagram to systemd's socket; nothing happens where there is none. */
  notifySystemd(state: string): void;

  /** `doorbell` is called at most once between two `collect`s when there is something to collect. */
  workerOpen(limits: CodecLimits, doorbell: () => void): number;
  workerClose(worker: number): void;
  /** `packed`: its bytes are the packed form in both directions. */
  connectionOpen(worker: number, packed: boolean): number;
  connectionClose(worker: number, connection: number): void;
  /** Takes a socket's chunk; writes up to `calls.length / callWords` records and returns how many. When all are used,
   *  call again with an empty chunk. */
  receive(worker: number, connection: number, chunk: Uint8Array, calls: Uint32Array): number;
  /** Whether a packed connection has bytes left that `receive` did not come to: call it again, with an empty chunk. */
  packedPending(worker: number, connection: number): boolean;
  /** The packed form of replies that are to go to this packed connection, in their order. */
  packReplies(worker: number, connection: number, replies: Uint8Array): Uint8Array;
  /** Bytes held of a frame that is not whole. */
  buffered(worker: number, connection: number): number;
  setWritable(worker: number, connection: number, writable: boolean): void;
  /** Before `propose` of calls that enqueue: writes the handles of parked fetches that their jobs will serve, at most as
   *  many as `woken` holds, and returns how many. They are woken, to be proposed along; no event tells of them. */
  wakeEarly(worker: number, handles: Uint32Array, count: number, woken: Uint32Array): number;
  /** A ticket above 0; 0: all of the calls were dropped meanwhile; below 0: minus the ErrorCode. */
  propose(worker: number, shard: number, handles: Uint32Array, count: number): number;
  /** 0, or minus the ErrorCode. */
  read(worker: number, handle: number): number;
  /** false: the queue may have become ready since; propose the fetch again. */
  park(worker: number, handle: number): boolean;
  /** Answers a waiting fetch empty; false: a wake is under way. */
  expire(worker: number, handle: number): boolean;
  answer(worker: number, handle: number, code: number, retryAfterMs: number): void;
  answerInfo(worker: number, handle: number, version: string): void;
  /** Every parked fetch ends with shuttingDown. */
  shutdownCalls(worker: number): void;
  /** Fills the slab with replies and `events` with records of `eventWords` numbers; returns how many. */
  collect(worker: number, slab: Uint8Array, events: Uint32Array): number;
  moreToCollect(worker: number): boolean;
}

let loaded: Native | undefined;

function load(): Native {
  // From dist/src/native.js.
  loaded ??= createRequire(import.meta.url)("../../build/Release/capstan.node") as Native;
  return loaded;
}

/** Loaded at the first use, so that a command that needs no engine runs without the addon. */
export const native: Native = new Proxy({} as Native, {
  get: (_, name) => load()[name as keyof Native],
});
