// Owns: for each call of the interface what it sends and how its answer is read: checked arguments in, one `Operation`
// out. Never sends anything itself. Called by the client's public methods and, for sessions, by the link.

import { JobQueue } from "../generated/protocol.js";
import * as check from "./check.js";
import { invalidArgument } from "./errors.js";
import type {
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
} from "./types.js";
import * as decode from "./wire/decode.js";
import * as decodeAdmin from "./wire/decode_admin.js";
import * as encode from "./wire/encode.js";
import * as encodeAdmin from "./wire/encode_admin.js";
import type { MessageReader, StructView } from "./wire/reader.js";
import type { FrameWriter } from "./wire/writer.js";

/** A read may be repeated at will; a write only under a session or a key; a fetch is a write that may wait. */
export type OperationKind = "read" | "write" | "fetch";

export interface Operation<T> {
  readonly method: number;
  readonly kind: OperationKind;
  /** How long the server may take on purpose. */
  readonly waitMs: number;
  /** `waitLeftMs`: what a retry may still wait of `waitMs`. */
  encode(writer: FrameWriter, pointerAt: number, request: encode.RequestFields | null, waitLeftMs: number): void;
  /** Throws the error that the answer carries. */
  decode(reader: MessageReader, response: StructView): T;
  /** The answer came after the call was given up. */
  readonly late?: (value: T) => void;
}

const { methods } = JobQueue;

function write<T>(method: number, encoder: Operation<T>["encode"], decoder: Operation<T>["decode"]): Operation<T> {
  return { method, kind: "write", waitMs: 0, encode: encoder, decode: decoder };
}

function read<T>(
  method: number,
  encoder: (writer: FrameWriter, pointerAt: number) => void,
  decoder: Operation<T>["decode"],
): Operation<T> {
  return { method, kind: "read", waitMs: 0, encode: encoder, decode: decoder };
}

export function enqueue(queue: string, jobs: readonly NewJob[]): Operation<string[]> {
  check.checkName("queue", queue);
  check.checkJobs("jobs", jobs);
  return write(
    methods.enqueue,
    (writer, at, request) => encode.writeEnqueue(writer, at, request, queue, jobs),
    (reader, response) => decode.readEnqueue(reader, response, jobs.length),
  );
}

export function enqueueOne(queue: string, job: NewJob): Operation<string> {
  const jobs = [job];
  check.checkName("queue", queue);
  check.checkJobs("jobs", jobs);
  return write(
    methods.enqueue,
    (writer, at, request) => encode.writeEnqueue(writer, at, request, queue, jobs),
    (reader, response) => decode.readEnqueue(reader, response, 1)[0] as string,
  );
}

export function fetch(queues: string | readonly string[], options: FetchOptions): Operation<Grant | null> {
  const names = check.checkQueues(queues);
  check.checkFetch(options);
  const waitMs = options.waitMs ?? 0;
  return {
    method: methods.fetch,
    kind: "fetch",
    waitMs,
    encode: (writer, at, request, waitLeftMs) =>
      encode.writeFetch(
        writer,
        at,
        request,
        names,
        waitLeftMs === waitMs ? options : { ...options, waitMs: waitLeftMs },
      ),
    decode: (reader, response) => decode.readFetch(reader, response, names),
  };
}

export function ack(lease: string, ids: JobIds): Operation<Settled> {
  return settle(methods.ack, encode.writeAck, lease, ids);
}

export function fail(lease: string, jobs: readonly FailedJob[]): Operation<Settled> {
  check.checkId("lease", lease);
  check.checkFailed("jobs", jobs);
  return write(
    methods.fail,
    (writer, at, request) => encode.writeFail(writer, at, request, lease, jobs),
    (reader, response) =>
      decode.readSettled(
        reader,
        response,
        jobs.map((job) => job.id),
      ),
  );
}

export function release(lease: string, ids: JobIds): Operation<Settled> {
  return settle(methods.release, encode.writeRelease, lease, ids);
}

/** What an ack and a release have in common: a lease, and which of its jobs. */
function settle(method: number, encoded: typeof encode.writeAck, lease: string, ids: JobIds): Operation<Settled> {
  check.checkId("lease", lease);
  check.checkJobIds("ids", ids);
  return write(
    method,
    (writer, at, request) => encoded(writer, at, request, lease, ids),
    (reader, response) => decode.readSettled(reader, response, decode.namedIds(ids)),
  );
}

export function extend(lease: string, leaseMs: number): Operation<Extended> {
  check.checkId("lease", lease);
  check.checkWhole("leaseMs", leaseMs);
  return write(
    methods.extend,
    (writer, at, request) => encode.writeExtend(writer, at, request, lease, leaseMs ?? 0),
    decode.readExtended,
  );
}

export function exchange(parts: ExchangeRequest): Operation<ExchangeResult> {
  check.checkExchange(parts);
  const others = [parts.acks, parts.fails, parts.releases, parts.extends, parts.enqueues];
  // Only a fetch that is alone may wait.
  const isAlone = others.every((part) => part === undefined || part.length === 0);
  const waitMs = isAlone ? (parts.fetch?.waitMs ?? 0) : 0;
  return {
    method: methods.exchange,
    kind: waitMs > 0 ? "fetch" : "write",
    waitMs,
    encode: (writer, at, request, waitLeftMs) => {
      const isShorter = parts.fetch !== undefined && waitMs > 0 && waitLeftMs !== waitMs;
      const sent = isShorter && parts.fetch ? { ...parts, fetch: { ...parts.fetch, waitMs: waitLeftMs } } : parts;
      encode.writeExchange(writer, at, request, sent);
    },
    decode: (reader, response) => decode.readExchange(reader, response, parts),
  };
}

export function setQueue(name: string, changes: QueueChanges): Operation<QueueInfo> {
  check.checkName("name", name);
  check.checkQueueChanges(changes);
  return write(
    methods.setQueue,
    (writer, at, request) => encodeAdmin.writeSetQueue(writer, at, request, name, changes),
    decodeAdmin.readQueue,
  );
}

export function deleteQueue(name: string): Operation<OperationState> {
  check.checkName("name", name);
  return write(
    methods.deleteQueue,
    (writer, at, request) => encodeAdmin.writeDeleteQueue(writer, at, request, name),
    decodeAdmin.readOperation,
  );
}

export function listQueues(options: ListQueuesOptions): Operation<QueuePage> {
  check.checkText("after", options.after);
  check.checkWhole("limit", options.limit, 0xffff_ffff);
  check.checkText("prefix", options.prefix);
  return read(
    methods.listQueues,
    (writer, at) => encodeAdmin.writeListQueues(writer, at, options),
    decodeAdmin.readQueues,
  );
}

export function getQueue(name: string): Operation<QueueInfo> {
  check.checkName("name", name);
  return read(methods.getQueue, (writer, at) => encodeAdmin.writeGetQueue(writer, at, name), decodeAdmin.readQueue);
}

export function peek(queue: string, options: PeekOptions): Operation<JobPage> {
  check.checkName("queue", queue);
  checkPage(options);
  if (options.state !== undefined && options.state !== "ready" && options.state !== "scheduled") {
    throw invalidArgument("state", "must be ready or scheduled");
  }
  return read(methods.peek, (writer, at) => encodeAdmin.writePeek(writer, at, queue, options), decodeAdmin.readJobs);
}

export function getJob(id: string, options: GetJobOptions): Operation<JobInfo> {
  check.checkId("id", id);
  check.checkWhole("payloadBytesMax", options.payloadBytesMax, 0xffff_ffff);
  return read(
    methods.getJob,
    (writer, at) => encodeAdmin.writeGetJob(writer, at, id, options),
    decodeAdmin.readJobInfo,
  );
}

export function deleteJobs(ids: readonly string[]): Operation<Settled> {
  check.checkIds("ids", ids);
  return write(
    methods.deleteJobs,
    (writer, at, request) => encodeAdmin.writeDeleteJobs(writer, at, request, ids),
    (reader, response) => decode.readSettled(reader, response, ids),
  );
}

export function listDead(queue: string, options: ListDeadOptions): Operation<JobPage> {
  check.checkName("queue", queue);
  checkPage(options);
  return read(
    methods.listDead,
    (writer, at) => encodeAdmin.writeListDead(writer, at, queue, options),
    decodeAdmin.readJobs,
  );
}

export function dead(
  method: "redriveDead" | "deleteDead",
  queue: string,
  selection: DeadSelection,
): Operation<OperationState> {
  check.checkName("queue", queue);
  if ("ids" in selection) check.checkIds("ids", selection.ids);
  else if (selection.all !== true) throw invalidArgument("selection", "must be { ids } or { all: true }");
  return write(
    methods[method],
    (writer, at, request) => encodeAdmin.writeDead(writer, at, request, queue, selection),
    decodeAdmin.readOperation,
  );
}

export function getOperation(operation: bigint | number): Operation<OperationState> {
  const number = typeof operation === "bigint" ? operation : BigInt(Number.isSafeInteger(operation) ? operation : -1);
  if (number < 0n || number > 0xffff_ffff_ffff_ffffn) throw invalidArgument("operation", "must be a number of 64 bits");
  return read(
    methods.getOperation,
    (writer, at) => encodeAdmin.writeGetOperation(writer, at, number),
    decodeAdmin.readOperation,
  );
}

export function serverInfo(): Operation<ServerInfo> {
  return read(methods.serverInfo, encodeAdmin.writeServerInfo, decodeAdmin.readServerInfo);
}

/** May be repeated: a session of which the answer was lost ends by itself. */
export function openSession(name: string): Operation<bigint> {
  return read(
    methods.openSession,
    (writer, at) => encodeAdmin.writeOpenSession(writer, at, name),
    decodeAdmin.readOpenSession,
  );
}

export function closeSession(session: bigint): Operation<null> {
  return read(
    methods.closeSession,
    (writer, at) => encodeAdmin.writeCloseSession(writer, at, session),
    (reader, response) => {
      decode.throwStatus(reader, response);
      return null;
    },
  );
}

function checkPage(options: PeekOptions | ListDeadOptions): void {
  check.checkWhole("limit", options.limit, 0xffff_ffff);
  check.checkWhole("payloadBytesMax", options.payloadBytesMax, 0xffff_ffff);
  check.checkHex("after", options.after);
}
