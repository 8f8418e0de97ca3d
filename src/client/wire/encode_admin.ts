// Owns: the direct encoder of the requests that look at and manage queues, jobs, dead jobs, operations and sessions.
// It checks nothing: check.ts has seen every value before. Called by operations.ts.

import { layouts } from "../../generated/layouts.js";
import type {
  DeadSelection,
  GetJobOptions,
  ListDeadOptions,
  ListQueuesOptions,
  PeekOptions,
  QueueChanges,
} from "../types.js";
import { attemptsNumber, type RequestFields, writeIds, writeRequestId } from "./encode.js";
import type { FrameWriter } from "./writer.js";

/** In the order of the schema's enum. */
export const jobStates = ["ready", "leased", "scheduled", "dead", "done"] as const;

const setQueue = layouts.SetQueueRequest;
const settings = layouts.QueueSettings;
const deleteQueue = layouts.DeleteQueueRequest;
const listQueues = layouts.ListQueuesRequest;
const getQueue = layouts.GetQueueRequest;
const peek = layouts.PeekRequest;
const getJob = layouts.GetJobRequest;
const deleteJobs = layouts.DeleteJobsRequest;
const listDead = layouts.ListDeadRequest;
const dead = layouts.DeadRequest;
const getOperation = layouts.GetOperationRequest;
const openSession = layouts.OpenSessionRequest;
const closeSession = layouts.CloseSessionRequest;

export function writeSetQueue(
  writer: FrameWriter,
  pointerAt: number,
  request: RequestFields | null,
  queue: string,
  changes: QueueChanges,
): void {
  const at = writer.struct(pointerAt, setQueue);
  const { fields } = setQueue;
  writeRequestId(writer, writer.pointer(at, setQueue, fields.request.offset), request);
  writer.text(writer.pointer(at, setQueue, fields.queue.offset), queue);
  const to = writer.struct(writer.pointer(at, setQueue, fields.settings.offset), settings);
  const offsets = settings.fields;
  if (changes.maxAttempts) writer.uint32(to + offsets.maxAttempts.offset, attemptsNumber(changes.maxAttempts));
  writer.uint64(to + offsets.backoffBaseMs.offset, changes.backoffBaseMs ?? 0);
  writer.uint32(to + offsets.backoffFactorPercent.offset, changes.backoffFactorPercent ?? 0);
  writer.uint64(to + offsets.backoffMaxMs.offset, changes.backoffMaxMs ?? 0);
  writer.uint32(to + offsets.backoffJitterPercent.offset, changes.backoffJitterPercent ?? 0);
  writer.uint64(to + offsets.deadKeepMs.offset, changes.deadKeepMs ?? 0);
  writer.uint32(to + offsets.groupQuantum.offset, changes.groupQuantum ?? 0);
  writer.bit(to, offsets.noBackoff.offset, changes.backoffBaseMs === 0);
  writer.bit(to, offsets.noJitter.offset, changes.backoffJitterPercent === 0);
  writer.bit(at, fields.pause.offset, changes.paused === true);
  writer.bit(at, fields.resume.offset, changes.paused === false);
}

export function writeDeleteQueue(
  writer: FrameWriter,
  pointerAt: number,
  request: RequestFields | null,
  queue: string,
): void {
  const at = writer.struct(pointerAt, deleteQueue);
  writeRequestId(writer, writer.pointer(at, deleteQueue, deleteQueue.fields.request.offset), request);
  writer.text(writer.pointer(at, deleteQueue, deleteQueue.fields.queue.offset), queue);
}

export function writeListQueues(writer: FrameWriter, pointerAt: number, options: ListQueuesOptions): void {
  const at = writer.struct(pointerAt, listQueues);
  const { fields } = listQueues;
  if (options.after) writer.text(writer.pointer(at, listQueues, fields.after.offset), options.after);
  writer.uint32(at + fields.limit.offset, options.limit ?? 0);
  if (options.prefix) writer.text(writer.pointer(at, listQueues, fields.prefix.offset), options.prefix);
}

export function writeGetQueue(writer: FrameWriter, pointerAt: number, queue: string): void {
  const at = writer.struct(pointerAt, getQueue);
  writer.text(writer.pointer(at, getQueue, getQueue.fields.queue.offset), queue);
}

export function writePeek(writer: FrameWriter, pointerAt: number, queue: string, options: PeekOptions): void {
  const at = writer.struct(pointerAt, peek);
  const { fields } = peek;
  writer.text(writer.pointer(at, peek, fields.queue.offset), queue);
  writer.uint32(at + fields.limit.offset, options.limit ?? 0);
  writer.uint32(at + fields.payloadBytesMax.offset, options.payloadBytesMax ?? 0);
  writer.uint16(at + fields.state.offset, jobStates.indexOf(options.state ?? "ready"));
  if (options.after) writer.hex(writer.pointer(at, peek, fields.after.offset), options.after);
}

export function writeGetJob(writer: FrameWriter, pointerAt: number, id: string, options: GetJobOptions): void {
  const at = writer.struct(pointerAt, getJob);
  writer.hex(writer.pointer(at, getJob, getJob.fields.id.offset), id);
  writer.uint32(at + getJob.fields.payloadBytesMax.offset, options.payloadBytesMax ?? 0);
}

export function writeDeleteJobs(
  writer: FrameWriter,
  pointerAt: number,
  request: RequestFields | null,
  ids: readonly string[],
): void {
  const at = writer.struct(pointerAt, deleteJobs);
  writeRequestId(writer, writer.pointer(at, deleteJobs, deleteJobs.fields.request.offset), request);
  writeIds(writer, writer.pointer(at, deleteJobs, deleteJobs.fields.ids.offset), ids);
}

export function writeListDead(writer: FrameWriter, pointerAt: number, queue: string, options: ListDeadOptions): void {
  const at = writer.struct(pointerAt, listDead);
  const { fields } = listDead;
  writer.text(writer.pointer(at, listDead, fields.queue.offset), queue);
  writer.uint32(at + fields.limit.offset, options.limit ?? 0);
  writer.uint32(at + fields.payloadBytesMax.offset, options.payloadBytesMax ?? 0);
  if (options.after) writer.hex(writer.pointer(at, listDead, fields.after.offset), options.after);
}

export function writeDead(
  writer: FrameWriter,
  pointerAt: number,
  request: RequestFields | null,
  queue: string,
  selection: DeadSelection,
): void {
  const at = writer.struct(pointerAt, dead);
  const { fields } = dead;
  writeRequestId(writer, writer.pointer(at, dead, fields.request.offset), request);
  writer.text(writer.pointer(at, dead, fields.queue.offset), queue);
  if ("ids" in selection) writeIds(writer, writer.pointer(at, dead, fields.ids.offset), selection.ids);
  else writer.bit(at, fields.all.offset, true);
}

export function writeGetOperation(writer: FrameWriter, pointerAt: number, operation: bigint): void {
  const at = writer.struct(pointerAt, getOperation);
  writer.bigUint64(at + getOperation.fields.operation.offset, operation);
}

export function writeServerInfo(writer: FrameWriter, pointerAt: number): void {
  writer.struct(pointerAt, layouts.ServerInfoRequest);
}

export function writeOpenSession(writer: FrameWriter, pointerAt: number, name: string): void {
  const at = writer.struct(pointerAt, openSession);
  if (name !== "") writer.text(writer.pointer(at, openSession, openSession.fields.name.offset), name);
}

export function writeCloseSession(writer: FrameWriter, pointerAt: number, session: bigint): void {
  const at = writer.struct(pointerAt, closeSession);
  writer.bigUint64(at + closeSession.fields.session.offset, session);
}
