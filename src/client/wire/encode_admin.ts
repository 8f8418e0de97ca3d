// Owns: what goes into the requests that look at and manage queues, jobs, dead jobs, operations and sessions. The library
// builds them: none of them is hot. It checks nothing: check.ts has seen every value before. Called by operations.ts.

import type * as capnp from "capnp-ts";
import type * as schema from "../../generated/capstan.capnp.js";
import type {
  DeadSelection,
  GetJobOptions,
  ListDeadOptions,
  ListQueuesOptions,
  PeekOptions,
  QueueChanges,
} from "../types.js";
import { attemptsNumber, type RequestFields } from "./encode.js";
import { fillIds } from "./library.js";

/** In the order of the schema's enum. */
export const jobStates = ["ready", "leased", "scheduled", "dead", "done"] as const;

export function fillSetQueue(
  to: schema.SetQueueRequest,
  request: RequestFields | null,
  queue: string,
  changes: QueueChanges,
): void {
  fillRequestId(to, request);
  to.setQueue(queue);
  const settings = to.initSettings();
  if (changes.maxAttempts) settings.setMaxAttempts(attemptsNumber(changes.maxAttempts));
  settings.setBackoffBaseMs(BigInt(changes.backoffBaseMs ?? 0));
  settings.setBackoffFactorPercent(changes.backoffFactorPercent ?? 0);
  settings.setBackoffMaxMs(BigInt(changes.backoffMaxMs ?? 0));
  settings.setBackoffJitterPercent(changes.backoffJitterPercent ?? 0);
  settings.setDeadKeepMs(BigInt(changes.deadKeepMs ?? 0));
  settings.setGroupQuantum(changes.groupQuantum ?? 0);
  settings.setNoBackoff(changes.backoffBaseMs === 0);
  settings.setNoJitter(changes.backoffJitterPercent === 0);
  to.setPause(changes.paused === true);
  to.setResume(changes.paused === false);
}

export function fillDeleteQueue(to: schema.DeleteQueueRequest, request: RequestFields | null, queue: string): void {
  fillRequestId(to, request);
  to.setQueue(queue);
}

export function fillListQueues(to: schema.ListQueuesRequest, options: ListQueuesOptions): void {
  if (options.after) to.setAfter(options.after);
  to.setLimit(options.limit ?? 0);
  if (options.prefix) to.setPrefix(options.prefix);
}

export function fillPeek(to: schema.PeekRequest, queue: string, options: PeekOptions): void {
  to.setQueue(queue);
  to.setLimit(options.limit ?? 0);
  to.setPayloadBytesMax(options.payloadBytesMax ?? 0);
  to.setState(jobStates.indexOf(options.state ?? "ready"));
  if (options.after) fillHex((bytes) => to.initAfter(bytes), options.after);
}

export function fillGetJob(to: schema.GetJobRequest, id: string, options: GetJobOptions): void {
  fillHex((bytes) => to.initId(bytes), id);
  to.setPayloadBytesMax(options.payloadBytesMax ?? 0);
}

export function fillDeleteJobs(
  to: schema.DeleteJobsRequest,
  request: RequestFields | null,
  ids: readonly string[],
): void {
  fillRequestId(to, request);
  fillIds(to.initIds(ids.length), ids);
}

export function fillListDead(to: schema.ListDeadRequest, queue: string, options: ListDeadOptions): void {
  to.setQueue(queue);
  to.setLimit(options.limit ?? 0);
  to.setPayloadBytesMax(options.payloadBytesMax ?? 0);
  if (options.after) fillHex((bytes) => to.initAfter(bytes), options.after);
}

export function fillDead(
  to: schema.DeadRequest,
  request: RequestFields | null,
  queue: string,
  selection: DeadSelection,
): void {
  fillRequestId(to, request);
  to.setQueue(queue);
  if ("ids" in selection) fillIds(to.initIds(selection.ids.length), selection.ids);
  else to.setAll(true);
}

function fillRequestId(of: { initRequest(): schema.RequestId }, fields: RequestFields | null): void {
  if (fields === null) return;
  const to = of.initRequest();
  to.setSession(fields.session);
  to.setSequence(BigInt(fields.sequence));
  to.setLowestUnanswered(BigInt(fields.lowestUnanswered));
  if (fields.receivedAbove.length > 0) {
    const list = to.initReceivedAbove(fields.receivedAbove.length);
    fields.receivedAbove.forEach((sequence, index) => {
      list.set(index, BigInt(sequence));
    });
  }
  if (fields.idempotencyKey !== "") to.setIdempotencyKey(fields.idempotencyKey);
}

function fillHex(init: (bytes: number) => capnp.Data, digits: string): void {
  const bytes = Buffer.from(digits, "hex");
  init(bytes.length).copyBuffer(bytes);
}
