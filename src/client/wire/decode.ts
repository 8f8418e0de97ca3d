// Owns: which message a received frame is, and the direct decoder of the hot calls' answers, their envelope included.
// Bounds are the reader's; here only what the schema demands beyond them is checked. Never touches a socket. Called by
// the connection (messages) and operations.ts (answers); the cold ones are decode_admin.ts's.

import { ErrorCode } from "../../generated/error_codes.js";
import { layouts } from "../../generated/layouts.js";
import { CapstanError, errorName, protocolFault } from "../errors.js";
import type {
  Attempts,
  ExchangeRequest,
  ExchangeResult,
  Extended,
  Grant,
  Job,
  JobIds,
  PartOutcome,
  Refusal,
  Settled,
} from "../types.js";
import { unlimitedAttempts } from "./encode.js";
import type { ListView, MessageReader, StructView } from "./reader.js";
import { ExceptionType, MessageKind, ReturnKind } from "./rpc.js";

const status = layouts.Status.fields;
const enqueue = layouts.EnqueueResponse.fields;
const fetch = layouts.FetchResponse.fields;
const fetched = layouts.FetchedJob.fields;
const header = layouts.Header.fields;
const settle = layouts.SettleResponse.fields;
const refusal = layouts.Refusal.fields;
const extend = layouts.ExtendResponse.fields;
const exchange = layouts.ExchangeResponse.fields;

const idDigits = 32;

/** What a frame of the server is, as far as a client needs it. */
export type Received =
  | { readonly kind: "return"; readonly question: number; readonly outcome: StructView }
  | { readonly kind: "abort" }
  | { readonly kind: "ignored" }
  | { readonly kind: "unexpected"; readonly number: number };

export function readMessage(reader: MessageReader): Received {
  const root = reader.root();
  const number = reader.uint16(root, 0);
  const body = reader.structOrEmpty(root, 0);
  switch (number) {
    case MessageKind.return:
      return { kind: "return", question: reader.uint32(body, 0), outcome: body };
    case MessageKind.abort:
      return { kind: "abort" };
    // We export nothing and hold one capability, whose promise may resolve: neither changes anything here.
    case MessageKind.resolve:
    case MessageKind.release:
      return { kind: "ignored" };
    default:
      return { kind: "unexpected", number };
  }
}

/** The results struct of a Return; throws the error that it carries instead. */
export function readResults(reader: MessageReader, outcome: StructView): StructView {
  const kind = reader.uint16(outcome, 6);
  if (kind === ReturnKind.exception) {
    const exception = reader.structOrEmpty(outcome, 0);
    throw exceptionError(reader.uint16(exception, 4), reader.text(exception, 0));
  }
  if (kind === ReturnKind.canceled) throw new CapstanError("canceled", "the server canceled the call");
  if (kind !== ReturnKind.results) throw protocolFault(`a return of kind ${kind}`);
  return reader.structOrEmpty(reader.structOrEmpty(outcome, 0), 0);
}

/** What an exception of Cap'n Proto's own protocol is to a caller. */
export function exceptionError(type: number, reason: string): CapstanError {
  const message = reason || "the server gave no reason";
  switch (type) {
    case ExceptionType.overloaded:
      return new CapstanError("busy", message);
    case ExceptionType.disconnected:
      return new CapstanError("unknown", message, { number: ErrorCode.unknown });
    case ExceptionType.unimplemented:
      return new CapstanError("unsupported", message);
    default:
      return new CapstanError("internal", message);
  }
}

export function statusError(code: number, message: string, retryAfterMs: number, field: string): CapstanError {
  const name = errorName(code);
  const text = message === "" ? `the server answers ${name} (${code})` : message;
  return new CapstanError(name, text, { number: code, retryAfterMs, field });
}

/** Null: ok. An absent status means ok. */
function readStatus(reader: MessageReader, response: StructView): CapstanError | null {
  const found = reader.struct(response, 0);
  if (found === null) return null;
  const code = reader.uint16(found, status.code.offset);
  if (code === 0) return null;
  return statusError(
    code,
    reader.text(found, status.message.offset),
    reader.uint32(found, status.retryAfterMs.offset),
    reader.text(found, status.field.offset),
  );
}

function throwStatus(reader: MessageReader, response: StructView): void {
  const error = readStatus(reader, response);
  if (error !== null) throw error;
}

export function readEnqueue(reader: MessageReader, response: StructView, count: number): string[] {
  throwStatus(reader, response);
  const ids = readIds(reader, response);
  if (ids.length !== count) throw protocolFault(`${ids.length} ids for ${count} jobs`);
  return ids;
}

export function readFetch(reader: MessageReader, response: StructView, queues: readonly string[]): Grant | null {
  throwStatus(reader, response);
  const jobs = reader.structList(response, fetch.jobs.offset);
  const lease = reader.dataHex(response, fetch.lease.offset);
  if (lease === "") {
    if (jobs.count > 0) throw protocolFault("jobs without a lease");
    return null;
  }
  if (lease.length !== idDigits) throw protocolFault("a lease that is not 16 bytes");
  const found: Job[] = [];
  for (let i = 0; i < jobs.count; i++) found.push(readJob(reader, reader.element(jobs, i), queues));
  return {
    lease,
    token: reader.bigUint64(response, fetch.token.offset),
    leaseMs: reader.uint64(response, fetch.leaseMs.offset),
    jobs: found,
  };
}

export function readSettled(reader: MessageReader, response: StructView, ids: readonly string[] | null): Settled {
  throwStatus(reader, response);
  return settledOf(reader, response, ids);
}

export function readExtended(reader: MessageReader, response: StructView): Extended {
  throwStatus(reader, response);
  return extendedOf(reader, response);
}

/** Throws when the whole exchange was refused, with what each part came to beside the error. */
export function readExchange(reader: MessageReader, response: StructView, request: ExchangeRequest): ExchangeResult {
  const error = readStatus(reader, response);
  const result: ExchangeResult = {
    acks: parts(reader, response, exchange.acks.offset, request.acks, (at, part) =>
      settledOf(reader, at, namedIds(part.ids)),
    ),
    fails: parts(reader, response, exchange.fails.offset, request.fails, (at, part) =>
      settledOf(
        reader,
        at,
        part.jobs.map((job) => job.id),
      ),
    ),
    releases: parts(reader, response, exchange.releases.offset, request.releases, (at, part) =>
      settledOf(reader, at, namedIds(part.ids)),
    ),
    extends: parts(reader, response, exchange.extends.offset, request.extends, (at) => extendedOf(reader, at)),
    enqueues: parts(reader, response, exchange.enqueues.offset, request.enqueues, (at) => ({
      ids: readIds(reader, at),
    })),
    fetch: fetchPart(reader, response, request),
  };
  if (error === null) return result;
  throw new CapstanError(error.code, error.message, {
    retryAfterMs: error.retryAfterMs,
    field: error.field,
    number: error.number,
    parts: result,
  });
}

function readHeaders(reader: MessageReader, of: StructView, index: number): Readonly<Record<string, Uint8Array>> {
  const list = reader.structList(of, index);
  if (list.count === 0) return noHeaders;
  // Without a prototype: a header may have any name.
  const headers: Record<string, Uint8Array> = Object.create(null);
  for (let i = 0; i < list.count; i++) {
    const found = reader.element(list, i);
    headers[reader.text(found, header.name.offset)] = reader.data(found, header.value.offset);
  }
  return headers;
}

export function attemptsOf(attempts: number): Attempts {
  return attempts === unlimitedAttempts ? "unlimited" : attempts;
}

/** The ids that a request named, by which its refusals are told apart. */
export function namedIds(ids: JobIds): readonly string[] | null {
  return ids === "all" ? null : ids;
}

const noHeaders: Readonly<Record<string, Uint8Array>> = Object.freeze(Object.create(null));

function readJob(reader: MessageReader, job: StructView, queues: readonly string[]): Job {
  const queue = queues[reader.uint16(job, fetched.queueIndex.offset)];
  if (queue === undefined) throw protocolFault("a job of a queue that was not asked for");
  const id = reader.dataHex(job, fetched.id.offset);
  if (id.length !== idDigits) throw protocolFault("a job id that is not 16 bytes");
  return {
    id,
    queue,
    payload: reader.data(job, fetched.payload.offset),
    priority: reader.uint8(job, fetched.priority.offset),
    attempt: reader.uint32(job, fetched.attempt.offset),
    maxAttempts: attemptsOf(reader.uint32(job, fetched.maxAttempts.offset)),
    enqueuedMs: reader.int64(job, fetched.enqueuedMs.offset),
    group: reader.text(job, fetched.group.offset),
    headers: readHeaders(reader, job, fetched.headers.offset),
    contentType: reader.text(job, fetched.contentType.offset),
  };
}

function readIds(reader: MessageReader, response: StructView): string[] {
  const list = reader.pointerList(response, enqueue.ids.offset);
  const ids: string[] = [];
  for (let i = 0; i < list.count; i++) {
    const id = reader.elementHex(list, i);
    if (id.length !== idDigits) throw protocolFault("a job id that is not 16 bytes");
    ids.push(id);
  }
  return ids;
}

function settledOf(reader: MessageReader, response: StructView, ids: readonly string[] | null): Settled {
  const list = reader.structList(response, settle.refused.offset);
  const refused: Refusal[] = [];
  for (let i = 0; i < list.count; i++) refused.push(refusalOf(reader, list, i, ids));
  return { accepted: reader.uint32(response, settle.accepted.offset), refused };
}

function refusalOf(reader: MessageReader, list: ListView, at: number, ids: readonly string[] | null): Refusal {
  const found = reader.element(list, at);
  const index = reader.uint32(found, refusal.index.offset);
  const code = errorName(reader.uint16(found, refusal.code.offset));
  const id = ids?.[index];
  return id === undefined ? { index, code } : { id, index, code };
}

function extendedOf(reader: MessageReader, response: StructView): Extended {
  return {
    openJobs: reader.uint32(response, extend.openJobs.offset),
    leaseMs: reader.uint64(response, extend.leaseMs.offset),
  };
}

function parts<Part, Value>(
  reader: MessageReader,
  response: StructView,
  index: number,
  asked: readonly Part[] | undefined,
  read: (at: StructView, part: Part) => Value,
): (Value & PartOutcome)[] {
  const list = reader.structList(response, index);
  const outcomes: (Value & PartOutcome)[] = [];
  for (let i = 0; i < list.count; i++) {
    const part = asked?.[i];
    if (part === undefined) throw protocolFault("results of parts that were not asked for");
    const at = reader.element(list, i);
    outcomes.push({ ...read(at, part), error: readStatus(reader, at) });
  }
  return outcomes;
}

function fetchPart(reader: MessageReader, response: StructView, request: ExchangeRequest): ExchangeResult["fetch"] {
  if (!request.fetch) return null;
  const found = reader.struct(response, exchange.fetch.offset);
  if (found === null) return { grant: null, error: null };
  const error = readStatus(reader, found);
  if (error !== null) return { grant: null, error };
  const { queues } = request.fetch;
  return { grant: readFetch(reader, found, typeof queues === "string" ? [queues] : queues), error };
}
