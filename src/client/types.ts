// Owns: the types that callers of the client see: what goes into each call and what comes out of it. Never holds code.
// Read by every file of the client, by the command line and by whoever imports `capstan/client`.

import type { CapstanError } from "./errors.js";

export type Bytes = Uint8Array | string;
export type Attempts = number | "unlimited";

export interface BackoffOptions {
  /** The first delay, in milliseconds; it doubles with every failure. Default 50. */
  readonly baseMs?: number;
  /** The largest delay, in milliseconds. Default 5,000. */
  readonly maxMs?: number;
}

export interface ClientOptions {
  /** `host:port`, `[v6]:port` or `unix:PATH`; tried in turn. Default `["127.0.0.1:9090"]`. */
  readonly addresses?: readonly string[];
  /** 32 hex digits. A server of another cluster is refused with `wrongCluster`. */
  readonly clusterId?: string;
  /** Writes carry a session and a sequence, so that they are retried safely. Default true. */
  readonly session?: boolean;
  /** A name for people, kept beside the session. */
  readonly name?: string;
  /** For one address: connect, bootstrap and the check of the cluster. Default 5,000. */
  readonly connectTimeoutMs?: number;
  /** For one call, its retries included; a waiting fetch has its `waitMs` on top. Default 30,000. */
  readonly requestTimeoutMs?: number;
  /** `busy` is tried again after its hint, within the timeout. Default true. */
  readonly retryBusy?: boolean;
  readonly backoff?: BackoffOptions;
}

export interface CallOptions {
  /** Gives the call up: it rejects with `canceled` and the server is told. */
  readonly signal?: AbortSignal | undefined;
  /** Instead of the client's `requestTimeoutMs`. */
  readonly timeoutMs?: number | undefined;
  /** Instead of the client's `retryBusy`. */
  readonly retryBusy?: boolean | undefined;
}

export interface WriteOptions extends CallOptions {
  /** At most 200 bytes: the same key with the same request is carried out once, whoever sends it. */
  readonly idempotencyKey?: string | undefined;
}

export interface NewJob {
  /** At most 1 MiB by default. Must not be changed until the call has settled. A string is written as UTF-8. */
  readonly payload: Bytes;
  /** Ready after so many milliseconds; at most 10 years. */
  readonly delayMs?: number | undefined;
  /** Ready at this instant (milliseconds since 1970) instead. */
  readonly runAtMs?: number | undefined;
  /** 0 to 15, the larger goes first. Default 0. */
  readonly priority?: number | undefined;
  /** Default: the queue's setting. */
  readonly maxAttempts?: Attempts | undefined;
  readonly group?: string | undefined;
  readonly headers?: Readonly<Record<string, Bytes>> | undefined;
  readonly contentType?: string | undefined;
}

export interface FetchParameters {
  /** 1 to 1,024. Default 1. */
  readonly jobsMax?: number | undefined;
  /** Of all payloads together, at most 16 MiB; the first job is always granted. Default 4 MiB. */
  readonly bytesMax?: number | undefined;
  /** 100 ms to 24 h. Default 30 s. */
  readonly leaseMs?: number | undefined;
  /** How long the server may wait for a job; at most 10 min. Default 0: answer at once. */
  readonly waitMs?: number | undefined;
  /** A name for people, shown beside the lease. */
  readonly worker?: string | undefined;
}

export interface FetchOptions extends FetchParameters, WriteOptions {}

/** The payload and header values share memory with the whole answer: copy what is kept for long. */
export interface Job {
  /** 32 hex digits. */
  readonly id: string;
  readonly queue: string;
  readonly payload: Uint8Array;
  readonly priority: number;
  /** 1 on the first delivery. */
  readonly attempt: number;
  readonly maxAttempts: Attempts;
  readonly enqueuedMs: number;
  /** Empty: none. */
  readonly group: string;
  readonly headers: Readonly<Record<string, Uint8Array>>;
  /** Empty: none. */
  readonly contentType: string;
}

export interface Grant {
  /** 32 hex digits. */
  readonly lease: string;
  /** The fencing token of these jobs: grows with every grant of a job. */
  readonly token: bigint;
  readonly leaseMs: number;
  readonly jobs: readonly Job[];
}

export interface Refusal {
  /** Absent when the request named no ids. */
  readonly id?: string;
  /** Into the ids or jobs of the request. */
  readonly index: number;
  readonly code: string;
}

export interface Settled {
  readonly accepted: number;
  readonly refused: readonly Refusal[];
}

export interface Extended {
  readonly openJobs: number;
  readonly leaseMs: number;
}

export interface FailedJob {
  readonly id: string;
  /** At most 8 KiB are kept. */
  readonly reason?: string | undefined;
  /** Instead of the queue's back-off. */
  readonly retryDelayMs?: number | undefined;
  /** No further attempt. */
  readonly dead?: boolean | undefined;
}

export type JobIds = readonly string[] | "all";

export interface ExchangeRequest {
  /** Every ack, fail, release, extend and enqueue applies, or none does. */
  readonly requireAcks?: boolean | undefined;
  readonly acks?: readonly { readonly lease: string; readonly ids: JobIds }[] | undefined;
  readonly fails?: readonly { readonly lease: string; readonly jobs: readonly FailedJob[] }[] | undefined;
  readonly releases?: readonly { readonly lease: string; readonly ids: JobIds }[] | undefined;
  readonly extends?: readonly { readonly lease: string; readonly leaseMs: number }[] | undefined;
  readonly enqueues?: readonly { readonly queue: string; readonly jobs: readonly NewJob[] }[] | undefined;
  /** With other parts it never waits. */
  readonly fetch?: (FetchParameters & { readonly queues: string | readonly string[] }) | undefined;
}

/** What one part came to; `error` is null when it applied. */
export interface PartOutcome {
  readonly error: CapstanError | null;
}

export interface ExchangeResult {
  readonly acks: readonly (Settled & PartOutcome)[];
  readonly fails: readonly (Settled & PartOutcome)[];
  readonly releases: readonly (Settled & PartOutcome)[];
  readonly extends: readonly (Extended & PartOutcome)[];
  readonly enqueues: readonly ({ readonly ids: readonly string[] } & PartOutcome)[];
  /** Null when no fetch was asked for. */
  readonly fetch: ({ readonly grant: Grant | null } & PartOutcome) | null;
}

/** What is absent stays as it is. */
export interface QueueChanges {
  readonly paused?: boolean | undefined;
  readonly maxAttempts?: Attempts | undefined;
  /** 0: a failed job is ready again at once. At most a day, and at most `backoffMaxMs`. */
  readonly backoffBaseMs?: number | undefined;
  /** 200 doubles the delay with every attempt. 100 to 10,000. */
  readonly backoffFactorPercent?: number | undefined;
  /** At most 30 days. */
  readonly backoffMaxMs?: number | undefined;
  /** Of the delay, to both sides: 0 to 100. */
  readonly backoffJitterPercent?: number | undefined;
  /** From a minute to 10 years. */
  readonly deadKeepMs?: number | undefined;
  /** 1 to 10,000. */
  readonly groupQuantum?: number | undefined;
}

export interface QueueSettings {
  readonly paused: boolean;
  readonly maxAttempts: Attempts;
  readonly backoffBaseMs: number;
  readonly backoffFactorPercent: number;
  readonly backoffMaxMs: number;
  readonly backoffJitterPercent: number;
  readonly deadKeepMs: number;
  readonly groupQuantum: number;
}

export interface QueueInfo {
  readonly name: string;
  readonly settings: QueueSettings;
  readonly ready: number;
  readonly leased: number;
  readonly scheduled: number;
  readonly dead: number;
  readonly groups: number;
  readonly enqueuedTotal: number;
  readonly ackedTotal: number;
  readonly failedTotal: number;
  readonly expiredTotal: number;
  readonly deadTotal: number;
  readonly bytes: number;
  readonly deleting: boolean;
}

export interface ListQueuesOptions extends CallOptions {
  /** A name: start behind it. */
  readonly after?: string | undefined;
  /** At most 1,000. Default 100. */
  readonly limit?: number | undefined;
  readonly prefix?: string | undefined;
}

export interface QueuePage {
  readonly queues: readonly QueueInfo[];
  /** Give it as `after`; empty at the end. */
  readonly next: string;
  readonly appliedIndex: number;
}

export type JobState = "ready" | "leased" | "scheduled" | "dead" | "done";

export interface JobInfo {
  readonly id: string;
  readonly queue: string;
  readonly state: JobState;
  readonly priority: number;
  readonly group: string;
  /** Deliveries that ended without an ack. */
  readonly attempts: number;
  readonly maxAttempts: Attempts;
  readonly enqueuedMs: number;
  /** Scheduled: until it is ready. Leased: until the lease is over. */
  readonly dueInMs: number;
  /** Dead: since when; else 0. */
  readonly deadMs: number;
  readonly lastError: string;
  readonly headers: Readonly<Record<string, Uint8Array>>;
  readonly contentType: string;
  /** Cut to `payloadBytesMax` of the request. */
  readonly payload: Uint8Array;
  /** Of the whole payload. */
  readonly payloadBytes: number;
  /** Leased: to whom. */
  readonly worker: string;
}

export interface PeekOptions extends CallOptions {
  /** At most 1,000. Default 10. */
  readonly limit?: number | undefined;
  /** Of each job. Default 64 KiB. */
  readonly payloadBytesMax?: number | undefined;
  /** Default ready. */
  readonly state?: "ready" | "scheduled" | undefined;
  /** `next` of the last page. */
  readonly after?: string | undefined;
}

export interface ListDeadOptions extends CallOptions {
  /** At most 1,000. Default 100. */
  readonly limit?: number | undefined;
  readonly payloadBytesMax?: number | undefined;
  readonly after?: string | undefined;
}

export interface JobPage {
  readonly jobs: readonly JobInfo[];
  /** Hex digits; give it as `after`; empty at the end. */
  readonly next: string;
  readonly appliedIndex: number;
}

export interface GetJobOptions extends CallOptions {
  /** Default 0: the whole payload. */
  readonly payloadBytesMax?: number | undefined;
}

export type DeadSelection = { readonly ids: readonly string[] } | { readonly all: true };

/** Work over many rows runs in bounded steps; `getOperation` says how far it is. */
export interface OperationState {
  /** 0n: finished within the request. */
  readonly operation: bigint;
  readonly done: number;
  readonly finished: boolean;
}

export interface ServerInfo {
  readonly version: string;
  /** 32 hex digits. */
  readonly clusterId: string;
  readonly nodeId: bigint;
  readonly appliedIndex: number;
  readonly durableIndex: number;
  /** Hex digits. */
  readonly digest: string;
  /** 0n: none known. */
  readonly leaderId: bigint;
  readonly clusterVersion: number;
  readonly term: number;
}

export interface CloseOptions {
  /** How long writes in flight may take; then they reject with `closed`. Default 5,000. */
  readonly timeoutMs?: number;
}
