// Owns: the public face of the client: one method for each thing that a caller may ask for. It checks and names; the
// operation says what goes over the wire, and the link carries it. Never touches a socket. Made by callers.

import { checkHex, checkText, checkWhole } from "./check.js";
import { invalidArgument } from "./errors.js";
import { Link } from "./link.js";
import * as operations from "./operations.js";
import type {
  CallOptions,
  ClientOptions,
  CloseOptions,
  DeadSelection,
  ExchangeRequest,
  ExchangeResult,
  Extended,
  FailedJob,
  FetchOptions,
  GetJobOptions,
  Grant,
  JobIds,
  JobInfo,
  JobPage,
  ListDeadOptions,
  ListQueuesOptions,
  NewJob,
  OperationState,
  PeekOptions,
  QueueChanges,
  QueueInfo,
  QueuePage,
  ServerInfo,
  Settled,
  WriteOptions,
} from "./types.js";

const connectTimeoutMsDefault = 5_000;
const requestTimeoutMsDefault = 30_000;
const closeTimeoutMsDefault = 5_000;
/** Timers of Node hold no longer time. */
const timeoutMsMax = 2 ** 31 - 1;

export class CapstanClient {
  private readonly link: Link;

  constructor(options: ClientOptions = {}) {
    const addresses = options.addresses ?? ["127.0.0.1:9090"];
    if (!Array.isArray(addresses) || addresses.length === 0) throw invalidArgument("addresses", "must not be empty");
    checkText("name", options.name);
    checkHex("clusterId", options.clusterId);
    if (options.clusterId?.length === 0) throw invalidArgument("clusterId", "must not be empty");
    for (const field of ["connectTimeoutMs", "requestTimeoutMs"] as const) {
      checkWhole(field, options[field], timeoutMsMax);
    }
    checkWhole("backoff.baseMs", options.backoff?.baseMs, timeoutMsMax);
    checkWhole("backoff.maxMs", options.backoff?.maxMs, timeoutMsMax);
    const session = options.session ?? true;
    this.link = new Link({
      addresses,
      clusterId: options.clusterId,
      session,
      name: options.name ?? "",
      connectTimeoutMs: options.connectTimeoutMs ?? connectTimeoutMsDefault,
      requestTimeoutMs: options.requestTimeoutMs ?? requestTimeoutMsDefault,
      retryBusy: options.retryBusy ?? true,
      backoff: options.backoff ?? {},
      // A session belongs to one cluster, and so do all addresses.
      wantsInfo: session || options.clusterId !== undefined || addresses.length > 1,
    });
  }

  /** Tries every address once. Optional: each call connects by itself, and tries until its timeout. */
  connect(): Promise<void> {
    return this.link.connect();
  }

  /** Resolves with the job's id once the job is on disk. */
  enqueue(queue: string, job: NewJob, options: WriteOptions = {}): Promise<string> {
    return this.run(() => operations.enqueueOne(queue, job), options);
  }

  /** One command: all jobs are taken, or none is. */
  enqueueMany(queue: string, jobs: readonly NewJob[], options: WriteOptions = {}): Promise<string[]> {
    return this.run(() => operations.enqueue(queue, jobs), options);
  }

  /** Null: no job came within `waitMs`. A grant that comes after the call was given up is released. */
  fetch(queues: string | readonly string[], options: FetchOptions = {}): Promise<Grant | null> {
    return this.run(() => ({ ...operations.fetch(queues, options), late: (grant) => this.giveBack(grant) }), options);
  }

  ack(lease: string, ids: JobIds, options: WriteOptions = {}): Promise<Settled> {
    return this.run(() => operations.ack(lease, ids), options);
  }

  fail(lease: string, jobs: readonly FailedJob[], options: WriteOptions = {}): Promise<Settled> {
    return this.run(() => operations.fail(lease, jobs), options);
  }

  /** Gives jobs back untouched: the attempt is not counted. */
  release(lease: string, ids: JobIds, options: WriteOptions = {}): Promise<Settled> {
    return this.run(() => operations.release(lease, ids), options);
  }

  /** The lease lasts `leaseMs` from now; that may shorten it. */
  extend(lease: string, leaseMs: number, options: WriteOptions = {}): Promise<Extended> {
    return this.run(() => operations.extend(lease, leaseMs), options);
  }

  /** One commit. When it is refused as a whole, the error's `parts` say what each part came to. */
  exchange(request: ExchangeRequest, options: WriteOptions = {}): Promise<ExchangeResult> {
    return this.run(
      () => ({ ...operations.exchange(request), late: (result) => this.giveBack(result.fetch?.grant ?? null) }),
      options,
    );
  }

  /** Makes the queue when there is none. */
  setQueue(name: string, settings: QueueChanges = {}, options: WriteOptions = {}): Promise<QueueInfo> {
    return this.run(() => operations.setQueue(name, settings), options);
  }

  deleteQueue(name: string, options: WriteOptions = {}): Promise<OperationState> {
    return this.run(() => operations.deleteQueue(name), options);
  }

  listQueues(options: ListQueuesOptions = {}): Promise<QueuePage> {
    return this.run(() => operations.listQueues(options), options);
  }

  getQueue(name: string, options: CallOptions = {}): Promise<QueueInfo> {
    return this.run(() => operations.getQueue(name), options);
  }

  /** Looks at jobs without taking them. */
  peek(queue: string, options: PeekOptions = {}): Promise<JobPage> {
    return this.run(() => operations.peek(queue, options), options);
  }

  getJob(id: string, options: GetJobOptions = {}): Promise<JobInfo> {
    return this.run(() => operations.getJob(id, options), options);
  }

  deleteJobs(ids: readonly string[], options: WriteOptions = {}): Promise<Settled> {
    return this.run(() => operations.deleteJobs(ids), options);
  }

  listDead(queue: string, options: ListDeadOptions = {}): Promise<JobPage> {
    return this.run(() => operations.listDead(queue, options), options);
  }

  redriveDead(queue: string, selection: DeadSelection, options: WriteOptions = {}): Promise<OperationState> {
    return this.run(() => operations.dead("redriveDead", queue, selection), options);
  }

  deleteDead(queue: string, selection: DeadSelection, options: WriteOptions = {}): Promise<OperationState> {
    return this.run(() => operations.dead("deleteDead", queue, selection), options);
  }

  getOperation(operation: bigint | number, options: CallOptions = {}): Promise<OperationState> {
    return this.run(() => operations.getOperation(operation), options);
  }

  serverInfo(options: CallOptions = {}): Promise<ServerInfo> {
    return this.run(() => operations.serverInfo(), options);
  }

  /** Waiting fetches end with `closed`; other calls may end, within the timeout. */
  close(options: CloseOptions = {}): Promise<void> {
    return this.link.close(options.timeoutMs ?? closeTimeoutMsDefault);
  }

  /** A mistake in the arguments rejects as every other error does; it never throws. */
  private run<T>(make: () => operations.Operation<T>, options: WriteOptions): Promise<T> {
    try {
      checkWhole("timeoutMs", options.timeoutMs, timeoutMsMax);
      checkText("idempotencyKey", options.idempotencyKey);
      return this.link.start(make(), options);
    } catch (error) {
      return Promise.reject(error);
    }
  }

  private giveBack(grant: Grant | null): void {
    // When it fails, the lease runs out by itself.
    if (grant !== null) this.release(grant.lease, "all").catch(() => {});
  }
}
