// Owns: the direct encoder of the hot requests: enqueue, fetch, ack, fail, release, extend, exchange. Its bytes are those
// of the library, field by field in the schema's order. It checks nothing: check.ts has seen every value before. Called
// by operations.ts; the cold requests are encode_admin.ts's.

import { layouts } from "../../generated/layouts.js";
import type { ExchangeRequest, FailedJob, FetchParameters, JobIds, NewJob } from "../types.js";
import { type FrameWriter, structBytes } from "./writer.js";

/** What makes a retry safe; written as the struct `RequestId`. */
export interface RequestFields {
  readonly session: bigint;
  readonly sequence: number;
  readonly lowestUnanswered: number;
  readonly receivedAbove: readonly number[];
  readonly idempotencyKey: string;
}

export const unlimitedAttempts = 0xffffffff;

const requestId = layouts.RequestId;
const newJob = layouts.NewJob;
const header = layouts.Header;
const enqueue = layouts.EnqueueRequest;
const fetch = layouts.FetchRequest;
const ack = layouts.AckRequest;
const fail = layouts.FailRequest;
const failed = layouts.FailedJob;
const release = layouts.ReleaseRequest;
const extend = layouts.ExtendRequest;
const exchange = layouts.ExchangeRequest;

const newJobBytes = structBytes(newJob);
const headerBytes = structBytes(header);
const failedBytes = structBytes(failed);

function writeRequestId(writer: FrameWriter, pointerAt: number, fields: RequestFields | null): void {
  if (fields === null) return;
  const at = writer.struct(pointerAt, requestId);
  writer.bigUint64(at + requestId.fields.session.offset, fields.session);
  writer.uint64(at + requestId.fields.sequence.offset, fields.sequence);
  writer.uint64(at + requestId.fields.lowestUnanswered.offset, fields.lowestUnanswered);
  if (fields.receivedAbove.length > 0) {
    writer.wordList(writer.pointer(at, requestId, requestId.fields.receivedAbove.offset), fields.receivedAbove);
  }
  if (fields.idempotencyKey !== "") {
    writer.text(writer.pointer(at, requestId, requestId.fields.idempotencyKey.offset), fields.idempotencyKey);
  }
}

export function writeEnqueue(
  writer: FrameWriter,
  pointerAt: number,
  request: RequestFields | null,
  queue: string,
  jobs: readonly NewJob[],
): void {
  const at = writer.struct(pointerAt, enqueue);
  enqueueFields(writer, at, request, queue, jobs);
}

export function writeFetch(
  writer: FrameWriter,
  pointerAt: number,
  request: RequestFields | null,
  queues: readonly string[],
  parameters: FetchParameters,
): void {
  const at = writer.struct(pointerAt, fetch);
  const { fields } = fetch;
  writeRequestId(writer, writer.pointer(at, fetch, fields.request.offset), request);
  const list = writer.pointerList(writer.pointer(at, fetch, fields.queues.offset), queues.length);
  for (let i = 0; i < queues.length; i++) writer.text(list + i * 8, queues[i] ?? "");
  writer.uint32(at + fields.jobsMax.offset, parameters.jobsMax ?? 0);
  writer.uint32(at + fields.bytesMax.offset, parameters.bytesMax ?? 0);
  writer.uint64(at + fields.leaseMs.offset, parameters.leaseMs ?? 0);
  writer.uint64(at + fields.waitMs.offset, parameters.waitMs ?? 0);
  if (parameters.worker) writer.text(writer.pointer(at, fetch, fields.worker.offset), parameters.worker);
}

export function writeAck(
  writer: FrameWriter,
  pointerAt: number,
  request: RequestFields | null,
  lease: string,
  ids: JobIds,
): void {
  settleFields(writer, writer.struct(pointerAt, ack), ack, request, lease, ids);
}

export function writeFail(
  writer: FrameWriter,
  pointerAt: number,
  request: RequestFields | null,
  lease: string,
  jobs: readonly FailedJob[],
): void {
  failFields(writer, writer.struct(pointerAt, fail), request, lease, jobs);
}

export function writeRelease(
  writer: FrameWriter,
  pointerAt: number,
  request: RequestFields | null,
  lease: string,
  ids: JobIds,
): void {
  settleFields(writer, writer.struct(pointerAt, release), release, request, lease, ids);
}

export function writeExtend(
  writer: FrameWriter,
  pointerAt: number,
  request: RequestFields | null,
  lease: string,
  leaseMs: number,
): void {
  extendFields(writer, writer.struct(pointerAt, extend), request, lease, leaseMs);
}

export function writeExchange(
  writer: FrameWriter,
  pointerAt: number,
  request: RequestFields | null,
  parts: ExchangeRequest,
): void {
  const at = writer.struct(pointerAt, exchange);
  const { fields } = exchange;
  const pointer = (index: number) => writer.pointer(at, exchange, index);
  writeRequestId(writer, pointer(fields.request.offset), request);
  writer.bit(at, fields.requireAcks.offset, parts.requireAcks === true);
  eachPart(writer, pointer(fields.acks.offset), ack, parts.acks, (partAt, part) =>
    settleFields(writer, partAt, ack, null, part.lease, part.ids),
  );
  eachPart(writer, pointer(fields.fails.offset), fail, parts.fails, (partAt, part) =>
    failFields(writer, partAt, null, part.lease, part.jobs),
  );
  eachPart(writer, pointer(fields.releases.offset), release, parts.releases, (partAt, part) =>
    settleFields(writer, partAt, release, null, part.lease, part.ids),
  );
  eachPart(writer, pointer(fields.extends.offset), extend, parts.extends, (partAt, part) =>
    extendFields(writer, partAt, null, part.lease, part.leaseMs),
  );
  eachPart(writer, pointer(fields.enqueues.offset), enqueue, parts.enqueues, (partAt, part) =>
    enqueueFields(writer, partAt, null, part.queue, part.jobs),
  );
  if (parts.fetch) {
    const { queues } = parts.fetch;
    const list = typeof queues === "string" ? [queues] : queues;
    writeFetch(writer, pointer(fields.fetch.offset), null, list, parts.fetch);
  }
}

/** A list of hex ids as a list of data. */
function writeIds(writer: FrameWriter, pointerAt: number, ids: readonly string[]): void {
  const list = writer.pointerList(pointerAt, ids.length);
  for (let i = 0; i < ids.length; i++) writer.hex(list + i * 8, ids[i] ?? "");
}

function eachPart<Part>(
  writer: FrameWriter,
  pointerAt: number,
  size: { readonly dataWords: number; readonly pointers: number },
  parts: readonly Part[] | undefined,
  write: (at: number, part: Part) => void,
): void {
  if (parts === undefined || parts.length === 0) return;
  const first = writer.structList(pointerAt, size, parts.length);
  const bytes = structBytes(size);
  parts.forEach((part, index) => {
    write(first + index * bytes, part);
  });
}

function enqueueFields(
  writer: FrameWriter,
  at: number,
  request: RequestFields | null,
  queue: string,
  jobs: readonly NewJob[],
): void {
  const { fields } = enqueue;
  writeRequestId(writer, writer.pointer(at, enqueue, fields.request.offset), request);
  writer.text(writer.pointer(at, enqueue, fields.queue.offset), queue);
  const first = writer.structList(writer.pointer(at, enqueue, fields.jobs.offset), newJob, jobs.length);
  for (let i = 0; i < jobs.length; i++) jobFields(writer, first + i * newJobBytes, jobs[i] as NewJob);
}

function jobFields(writer: FrameWriter, at: number, job: NewJob): void {
  const { fields } = newJob;
  if (job.payload.length > 0) writer.data(writer.pointer(at, newJob, fields.payload.offset), job.payload);
  if (job.delayMs) writer.uint64(at + fields.delayMs.offset, job.delayMs);
  if (job.runAtMs) writer.uint64(at + fields.runAtMs.offset, job.runAtMs);
  if (job.priority) writer.uint8(at + fields.priority.offset, job.priority);
  if (job.maxAttempts) writer.uint32(at + fields.maxAttempts.offset, attemptsNumber(job.maxAttempts));
  if (job.group) writer.text(writer.pointer(at, newJob, fields.group.offset), job.group);
  if (job.headers) headersList(writer, writer.pointer(at, newJob, fields.headers.offset), job.headers);
  if (job.contentType) writer.text(writer.pointer(at, newJob, fields.contentType.offset), job.contentType);
}

function headersList(writer: FrameWriter, pointerAt: number, headers: NonNullable<NewJob["headers"]>): void {
  const names = Object.keys(headers);
  if (names.length === 0) return;
  const first = writer.structList(pointerAt, header, names.length);
  names.forEach((name, index) => {
    const at = first + index * headerBytes;
    const value = headers[name] ?? "";
    writer.text(writer.pointer(at, header, header.fields.name.offset), name);
    if (value.length > 0) writer.data(writer.pointer(at, header, header.fields.value.offset), value);
  });
}

function settleFields(
  writer: FrameWriter,
  at: number,
  layout: typeof ack | typeof release,
  request: RequestFields | null,
  lease: string,
  ids: JobIds,
): void {
  const { fields } = layout;
  writeRequestId(writer, writer.pointer(at, layout, fields.request.offset), request);
  writer.hex(writer.pointer(at, layout, fields.lease.offset), lease);
  if (ids === "all") writer.bit(at, fields.all.offset, true);
  else writeIds(writer, writer.pointer(at, layout, fields.ids.offset), ids);
}

function failFields(
  writer: FrameWriter,
  at: number,
  request: RequestFields | null,
  lease: string,
  jobs: readonly FailedJob[],
): void {
  writeRequestId(writer, writer.pointer(at, fail, fail.fields.request.offset), request);
  writer.hex(writer.pointer(at, fail, fail.fields.lease.offset), lease);
  const first = writer.structList(writer.pointer(at, fail, fail.fields.jobs.offset), failed, jobs.length);
  const { fields } = failed;
  jobs.forEach((job, index) => {
    const jobAt = first + index * failedBytes;
    writer.hex(writer.pointer(jobAt, failed, fields.id.offset), job.id);
    if (job.reason) writer.text(writer.pointer(jobAt, failed, fields.reason.offset), job.reason);
    if (job.retryDelayMs) writer.uint64(jobAt + fields.retryDelayMs.offset, job.retryDelayMs);
    writer.bit(jobAt, fields.dead.offset, job.dead === true);
  });
}

function extendFields(
  writer: FrameWriter,
  at: number,
  request: RequestFields | null,
  lease: string,
  leaseMs: number,
): void {
  const { fields } = extend;
  writeRequestId(writer, writer.pointer(at, extend, fields.request.offset), request);
  writer.hex(writer.pointer(at, extend, fields.lease.offset), lease);
  writer.uint64(at + fields.leaseMs.offset, leaseMs);
}

export function attemptsNumber(attempts: number | "unlimited"): number {
  return attempts === "unlimited" ? unlimitedAttempts : attempts;
}
