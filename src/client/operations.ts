// Owns: for each call of the interface what it sends and how its answer is read: checked arguments in, one `Operation`
// out. Never sends anything itself. Called by the client's public methods and, for sessions, by the link.

import type * as capnp from "capnp-ts";
import * as schema from "../generated/capstan.capnp.js";
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
import { readLibraryAnswer, writeLibraryCall } from "./wire/library.js";
import type { MessageReader, StructView } from "./wire/reader.js";
import { beginCall, type CallTarget } from "./wire/rpc.js";
import type { FrameWriter } from "./wire/writer.js";

/** A read may be repeated at will; a write only under a session or a key; a fetch is a write that may wait. */
export type OperationKind = "read" | "write" | "fetch";

/** Where a call is written, and what its envelope says. */
export interface CallPlace {
  readonly writer: FrameWriter;
  readonly question: number;
  readonly target: CallTarget;
}

export interface Operation<T> {
  readonly kind: OperationKind;
  /** How long the server may take on purpose. */
  readonly waitMs: number;
  /** Writes the whole frame. `waitLeftMs`: what a retry may still wait of `waitMs`. */
  encode(place: CallPlace, request: encode.RequestFields | null, waitLeftMs: number): void;
  /** Reads a Return; throws the error that it carries. */
  decode(reader: MessageReader, outcome: StructView): T;
  /** The answer came after the call was given up. */
  readonly late?: (value: T) => void;
}

type HotEncoder = (
  writer: FrameWriter,
  pointerAt: number,
  request: encode.RequestFields | null,
  waitLeftMs: number,
) => void;
type HotDecoder<T> = (reader: MessageReader, response: StructView) => T;

const { methods } = JobQueue;

/** A call whose messages the direct encoder and decoder carry. */
function hot<T>(
  method: number,
  kind: OperationKind,
  waitMs: number,
  encoder: HotEncoder,
  decoder: HotDecoder<T>,
): Operation<T> {
  return {
    kind,
    waitMs,
    encode: ({ writer, question, target }, request, waitLeftMs) => {
      encoder(writer, beginCall(writer, question, target, method), request, waitLeftMs);
      writer.end();
    },
    decode: (reader, outcome) => decoder(reader, reader.structOrEmpty(decode.readResults(reader, outcome), 0)),
  };
}

/** A call whose messages the library carries. */
function cold<Request extends capnp.Struct, Response extends capnp.Struct, T>(
  method: number,
  kind: "read" | "write",
  types: readonly [capnp.StructCtor<Request>, capnp.StructCtor<Response>],
  fill: (to: Request, request: encode.RequestFields | null) => void,
  read: (response: Response) => T,
): Operation<T> {
  return {
    kind,
    waitMs: 0,
    encode: ({ writer, question, target }, request) =>
      writeLibraryCall(writer, question, target, method, types[0], (to) => fill(to, request)),
    decode: (reader) => readLibraryAnswer(reader, types[1], read),
  };
}

function write<T>(method: number, encoder: HotEncoder, decoder: HotDecoder<T>): Operation<T> {
  return hot(method, "write", 0, encoder, decoder);
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
  return hot(
    methods.fetch,
    "fetch",
    waitMs,
    (writer, at, request, waitLeftMs) =>
      encode.writeFetch(
        writer,
        at,
        request,
        names,
        waitLeftMs === waitMs ? options : { ...options, waitMs: waitLeftMs },
      ),
    (reader, response) => decode.readFetch(reader, response, names),
  );
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
  return hot(
    methods.exchange,
    waitMs > 0 ? "fetch" : "write",
    waitMs,
    (writer, at, request, waitLeftMs) => {
      const isShorter = parts.fetch !== undefined && waitMs > 0 && waitLeftMs !== waitMs;
      const sent = isShorter && parts.fetch ? { ...parts, fetch: { ...parts.fetch, waitMs: waitLeftMs } } : parts;
      encode.writeExchange(writer, at, request, sent);
    },
    (reader, response) => decode.readExchange(reader, response, parts),
  );
}

export function setQueue(name: string, changes: QueueChanges): Operation<QueueInfo> {
  check.checkName("name", name);
  check.checkQueueChanges(changes);
  return cold(
    methods.setQueue,
    "write",
    [schema.SetQueueRequest, schema.QueueResponse],
    (to, request) => encodeAdmin.fillSetQueue(to, request, name, changes),
    decodeAdmin.readQueue,
  );
}

export function deleteQueue(name: string): Operation<OperationState> {
  check.checkName("name", name);
  return cold(
    methods.deleteQueue,
    "write",
    [schema.DeleteQueueRequest, schema.OperationResponse],
    (to, request) => encodeAdmin.fillDeleteQueue(to, request, name),
    decodeAdmin.readOperation,
  );
}

export function listQueues(options: ListQueuesOptions): Operation<QueuePage> {
  check.checkText("after", options.after);
  check.checkWhole("limit", options.limit, 0xffff_ffff);
  check.checkText("prefix", options.prefix);
  return cold(
    methods.listQueues,
    "read",
    [schema.ListQueuesRequest, schema.ListQueuesResponse],
    (to) => encodeAdmin.fillListQueues(to, options),
    decodeAdmin.readQueues,
  );
}

export function getQueue(name: string): Operation<QueueInfo> {
  check.checkName("name", name);
  return cold(
    methods.getQueue,
    "read",
    [schema.GetQueueRequest, schema.QueueResponse],
    (to) => to.setQueue(name),
    decodeAdmin.readQueue,
  );
}

export function peek(queue: string, options: PeekOptions): Operation<JobPage> {
  check.checkName("queue", queue);
  checkPage(options);
  if (options.state !== undefined && options.state !== "ready" && options.state !== "scheduled") {
    throw invalidArgument("state", "must be ready or scheduled");
  }
  return cold(
    methods.peek,
    "read",
    [schema.PeekRequest, schema.JobsResponse],
    (to) => encodeAdmin.fillPeek(to, queue, options),
    decodeAdmin.readJobs,
  );
}

export function getJob(id: string, options: GetJobOptions): Operation<JobInfo> {
  check.checkId("id", id);
  check.checkWhole("payloadBytesMax", options.payloadBytesMax, 0xffff_ffff);
  return cold(
    methods.getJob,
    "read",
    [schema.GetJobRequest, schema.JobResponse],
    (to) => encodeAdmin.fillGetJob(to, id, options),
    decodeAdmin.readJobInfo,
  );
}

export function deleteJobs(ids: readonly string[]): Operation<Settled> {
  check.checkIds("ids", ids);
  return cold(
    methods.deleteJobs,
    "write",
    [schema.DeleteJobsRequest, schema.SettleResponse],
    (to, request) => encodeAdmin.fillDeleteJobs(to, request, ids),
    (response) => decodeAdmin.readDeleted(response, ids),
  );
}

export function listDead(queue: string, options: ListDeadOptions): Operation<JobPage> {
  check.checkName("queue", queue);
  checkPage(options);
  return cold(
    methods.listDead,
    "read",
    [schema.ListDeadRequest, schema.JobsResponse],
    (to) => encodeAdmin.fillListDead(to, queue, options),
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
  return cold(
    methods[method],
    "write",
    [schema.DeadRequest, schema.OperationResponse],
    (to, request) => encodeAdmin.fillDead(to, request, queue, selection),
    decodeAdmin.readOperation,
  );
}

export function getOperation(operation: bigint | number): Operation<OperationState> {
  const number = typeof operation === "bigint" ? operation : BigInt(Number.isSafeInteger(operation) ? operation : -1);
  if (number < 0n || number > 0xffff_ffff_ffff_ffffn) throw invalidArgument("operation", "must be a number of 64 bits");
  return cold(
    methods.getOperation,
    "read",
    [schema.GetOperationRequest, schema.OperationResponse],
    (to) => to.setOperation(number),
    decodeAdmin.readOperation,
  );
}

export function serverInfo(): Operation<ServerInfo> {
  const types = [schema.ServerInfoRequest, schema.ServerInfoResponse] as const;
  return cold(methods.serverInfo, "read", types, () => {}, decodeAdmin.readServerInfo);
}

/** May be repeated: a session of which the answer was lost ends by itself. */
export function openSession(name: string): Operation<bigint> {
  return cold(
    methods.openSession,
    "read",
    [schema.OpenSessionRequest, schema.OpenSessionResponse],
    (to) => {
      if (name !== "") to.setName(name);
    },
    decodeAdmin.readOpenSession,
  );
}

export function closeSession(session: bigint): Operation<null> {
  return cold(
    methods.closeSession,
    "read",
    [schema.CloseSessionRequest, schema.StatusResponse],
    (to) => to.setSession(session),
    (response) => {
      decodeAdmin.throwStatus(response);
      return null;
    },
  );
}

function checkPage(options: PeekOptions | ListDeadOptions): void {
  check.checkWhole("limit", options.limit, 0xffff_ffff);
  check.checkWhole("payloadBytesMax", options.payloadBytesMax, 0xffff_ffff);
  check.checkHex("after", options.after);
}
