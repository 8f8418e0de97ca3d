// Owns: the checks of what callers pass in, before anything of it is queued or encoded: types, and ranges that the wire
// cannot carry. What the server bounds by its settings is the server's to refuse. Throws `invalidArgument` naming the
// field. Called by operations.ts and client.ts.

import { invalidArgument } from "./errors.js";
import type { Attempts, ExchangeRequest, FailedJob, FetchParameters, JobIds, NewJob, QueueChanges } from "./types.js";

const uint32Max = 0xffff_ffff;
const priorityMax = 15;
const queuesMax = 64;
/** Ids, jobs or parts of one request: what fits into the server's largest frame anyhow. */
const listMax = 1_000_000;
const hexId = /^[0-9a-f]{32}$/i;
const hexBytes = /^(?:[0-9a-f]{2})*$/i;

export function checkName(field: string, value: unknown): asserts value is string {
  if (typeof value !== "string" || value === "") throw invalidArgument(field, "must be a string that is not empty");
}

export function checkId(field: string, value: unknown): asserts value is string {
  if (typeof value !== "string" || !hexId.test(value)) throw invalidArgument(field, "must be 32 hex digits");
}

export function checkHex(field: string, value: unknown): void {
  if (value === undefined) return;
  if (typeof value !== "string" || !hexBytes.test(value)) throw invalidArgument(field, "must be pairs of hex digits");
}

export function checkText(field: string, value: unknown): void {
  if (value !== undefined && typeof value !== "string") throw invalidArgument(field, "must be a string");
}

export function checkWhole(field: string, value: unknown, max: number = Number.MAX_SAFE_INTEGER): void {
  if (value === undefined) return;
  if (typeof value !== "number" || !Number.isSafeInteger(value) || value < 0 || value > max) {
    throw invalidArgument(field, `must be a whole number from 0 to ${max}`);
  }
}

export function checkIds(field: string, ids: readonly unknown[]): void {
  checkList(field, ids);
  for (let i = 0; i < ids.length; i++) checkId(`${field}[${i}]`, ids[i]);
}

export function checkJobIds(field: string, ids: JobIds): void {
  if (ids !== "all") checkIds(field, ids);
}

export function checkJobs(field: string, jobs: readonly NewJob[]): void {
  checkList(field, jobs);
  if (jobs.length === 0) throw invalidArgument(field, "must hold at least one job");
  for (let i = 0; i < jobs.length; i++) checkJob(jobs[i] as NewJob, field, i);
}

export function checkFailed(field: string, jobs: readonly FailedJob[]): void {
  checkList(field, jobs);
  jobs.forEach((job, index) => {
    checkObject(`${field}[${index}]`, job);
    checkId(`${field}[${index}].id`, job.id);
    checkText(`${field}[${index}].reason`, job.reason);
    checkWhole(`${field}[${index}].retryDelayMs`, job.retryDelayMs);
  });
}

/** Returns the queues as a list of their own, which the caller cannot change any more. */
export function checkQueues(queues: string | readonly string[]): readonly string[] {
  const list = typeof queues === "string" ? [queues] : queues;
  if (!Array.isArray(list) || list.length === 0 || list.length > queuesMax) {
    throw invalidArgument("queues", `must be 1 to ${queuesMax} names`);
  }
  list.forEach((name, index) => {
    checkName(`queues[${index}]`, name);
  });
  return [...list];
}

export function checkFetch(parameters: FetchParameters): void {
  checkWhole("jobsMax", parameters.jobsMax, uint32Max);
  checkWhole("bytesMax", parameters.bytesMax, uint32Max);
  checkWhole("leaseMs", parameters.leaseMs);
  checkWhole("waitMs", parameters.waitMs);
  checkText("worker", parameters.worker);
}

export function checkExchange(parts: ExchangeRequest): void {
  checkObject("request", parts);
  for (const field of ["acks", "releases"] as const) {
    parts[field]?.forEach((part, index) => {
      checkId(`${field}[${index}].lease`, part.lease);
      checkJobIds(`${field}[${index}].ids`, part.ids);
    });
  }
  parts.fails?.forEach((part, index) => {
    checkId(`fails[${index}].lease`, part.lease);
    checkFailed(`fails[${index}].jobs`, part.jobs);
  });
  parts.extends?.forEach((part, index) => {
    checkId(`extends[${index}].lease`, part.lease);
    checkWhole(`extends[${index}].leaseMs`, part.leaseMs);
  });
  parts.enqueues?.forEach((part, index) => {
    checkName(`enqueues[${index}].queue`, part.queue);
    checkJobs(`enqueues[${index}].jobs`, part.jobs);
  });
  if (parts.fetch) {
    checkQueues(parts.fetch.queues);
    checkFetch(parts.fetch);
  }
}

/** Those that have a word of their own for it on the wire. */
const mayBeZero: ReadonlySet<string> = new Set(["backoffBaseMs", "backoffJitterPercent"]);

export function checkQueueChanges(changes: QueueChanges): void {
  checkObject("settings", changes);
  checkAttempts("maxAttempts", changes.maxAttempts);
  checkWhole("backoffBaseMs", changes.backoffBaseMs);
  checkWhole("backoffFactorPercent", changes.backoffFactorPercent, uint32Max);
  checkWhole("backoffMaxMs", changes.backoffMaxMs);
  checkWhole("backoffJitterPercent", changes.backoffJitterPercent, uint32Max);
  checkWhole("deadKeepMs", changes.deadKeepMs);
  checkWhole("groupQuantum", changes.groupQuantum, uint32Max);
  for (const [field, value] of Object.entries(changes)) {
    // On the wire zero means "as it is": better refused than silently ignored.
    if (value === 0 && !mayBeZero.has(field)) throw invalidArgument(field, "cannot be set to 0");
  }
}

function checkJob(job: NewJob, field: string, index: number): void {
  if (typeof job !== "object" || job === null) throw invalidArgument(`${field}[${index}]`, "must be an object");
  const { payload } = job;
  if (typeof payload !== "string" && !(payload instanceof Uint8Array)) {
    throw invalidArgument(`${field}[${index}].payload`, "must be a Uint8Array or a string");
  }
  // Most jobs have nothing but a payload; names of fields are only made when there is something to check.
  if (job.delayMs !== undefined) checkWhole(`${field}[${index}].delayMs`, job.delayMs);
  if (job.runAtMs !== undefined) checkWhole(`${field}[${index}].runAtMs`, job.runAtMs);
  if (job.priority !== undefined) checkWhole(`${field}[${index}].priority`, job.priority, priorityMax);
  if (job.maxAttempts !== undefined) checkAttempts(`${field}[${index}].maxAttempts`, job.maxAttempts);
  if (job.group !== undefined) checkText(`${field}[${index}].group`, job.group);
  if (job.contentType !== undefined) checkText(`${field}[${index}].contentType`, job.contentType);
  if (job.headers !== undefined) checkHeaders(`${field}[${index}].headers`, job.headers);
}

function checkHeaders(field: string, headers: NonNullable<NewJob["headers"]>): void {
  checkObject(field, headers);
  for (const [name, value] of Object.entries(headers)) {
    if (typeof value !== "string" && !(value instanceof Uint8Array)) {
      throw invalidArgument(`${field}.${name}`, "must be a Uint8Array or a string");
    }
  }
}

function checkAttempts(field: string, value: Attempts | undefined): void {
  if (value !== "unlimited") checkWhole(field, value, uint32Max - 1);
}

function checkList(field: string, list: readonly unknown[]): void {
  if (!Array.isArray(list)) throw invalidArgument(field, "must be an array");
  if (list.length > listMax) throw invalidArgument(field, `must not have more than ${listMax} elements`);
}

function checkObject(field: string, value: unknown): void {
  if (typeof value !== "object" || value === null) throw invalidArgument(field, "must be an object");
}
