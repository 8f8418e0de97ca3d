// Owns: how jobs, queues and operations look in lines of JSON and in tables; the fields are documented in docs/cli.md.
// Never prints and never asks a server. Called by the verbs that show such things.

import type { Grant, Job, JobInfo, QueueInfo, Refusal, ServerInfo, Settled } from "../client/index.js";
import { formatBytes, formatCount } from "../units.js";
import type { Column, Output } from "./output.js";
import { base64, durationText, instantText, utf8, wholeCharacters } from "./text.js";

type Fields = Record<string, unknown>;

/** Text where the bytes are UTF-8; base64 otherwise, and then a second field says so. */
export function payloadFields(payload: Uint8Array): Fields {
  const text = utf8(payload);
  return text === undefined ? { payload: base64(payload), payloadEncoding: "base64" } : { payload: text };
}

export function headerFields(headers: Readonly<Record<string, Uint8Array>>): Fields {
  return Object.fromEntries(
    Object.entries(headers).map(([name, value]) => [name, utf8(value) ?? { base64: base64(value) }]),
  );
}

export function grantedJson(grant: Grant, job: Job): Fields {
  return {
    id: job.id,
    queue: job.queue,
    lease: grant.lease,
    token: String(grant.token),
    leaseMs: grant.leaseMs,
    attempt: job.attempt,
    maxAttempts: job.maxAttempts,
    priority: job.priority,
    group: job.group,
    enqueuedAt: instantText(job.enqueuedMs),
    headers: headerFields(job.headers),
    contentType: job.contentType,
    ...payloadFields(job.payload),
  };
}

export function grantedRecord(grant: Grant, job: Job): Record<string, string> {
  return {
    id: job.id,
    lease: grant.lease,
    queue: job.queue,
    token: String(grant.token),
    "lease time": durationText(grant.leaseMs),
    attempt: `${job.attempt} of ${job.maxAttempts}`,
    ...optional("priority", job.priority === 0 ? "" : String(job.priority)),
    ...optional("group", job.group),
    enqueued: instantText(job.enqueuedMs),
    ...headerRecord(job.headers),
    ...optional("content type", job.contentType),
    payload: payloadText(job.payload),
  };
}

export function jobJson(job: JobInfo): Fields {
  const isCut = job.payload.length < job.payloadBytes;
  return {
    id: job.id,
    queue: job.queue,
    state: job.state,
    priority: job.priority,
    group: job.group,
    attempts: job.attempts,
    maxAttempts: job.maxAttempts,
    enqueuedAt: instantText(job.enqueuedMs),
    ...(job.dueInMs > 0 ? { dueInMs: job.dueInMs } : {}),
    ...(job.state === "dead" ? { deadAt: instantText(job.deadMs) } : {}),
    ...(job.worker === "" ? {} : { worker: job.worker }),
    lastError: job.lastError,
    headers: headerFields(job.headers),
    contentType: job.contentType,
    ...payloadFields(isCut ? wholeCharacters(job.payload) : job.payload),
    payloadBytes: job.payloadBytes,
    ...(isCut ? { payloadCut: true } : {}),
  };
}

export function jobRecord(job: JobInfo): Record<string, string> {
  return {
    id: job.id,
    queue: job.queue,
    state: job.state,
    priority: String(job.priority),
    ...optional("group", job.group),
    attempts: `${job.attempts} of ${job.maxAttempts}`,
    enqueued: instantText(job.enqueuedMs),
    ...optional(job.state === "leased" ? "lease ends in" : "due in", job.dueInMs > 0 ? durationText(job.dueInMs) : ""),
    ...optional("dead since", job.state === "dead" ? instantText(job.deadMs) : ""),
    ...optional("worker", job.worker),
    ...optional("last error", job.lastError),
    ...headerRecord(job.headers),
    ...optional("content type", job.contentType),
    "payload size": formatBytes(job.payloadBytes),
    payload: payloadText(job.payload, job.payloadBytes),
  };
}

export const jobColumns: readonly Column<JobInfo>[] = [
  { title: "ID", value: (job) => job.id },
  { title: "STATE", value: (job) => job.state },
  { title: "PRIO", value: (job) => String(job.priority), isNumber: true },
  { title: "TRIES", value: (job) => String(job.attempts), isNumber: true },
  { title: "DUE IN", value: (job) => (job.dueInMs > 0 ? durationText(job.dueInMs) : "-") },
  { title: "PAYLOAD", value: (job) => payloadText(job.payload, job.payloadBytes) },
];

export const deadColumns: readonly Column<JobInfo>[] = [
  { title: "ID", value: (job) => job.id },
  { title: "SINCE", value: (job) => instantText(job.deadMs) },
  { title: "TRIES", value: (job) => String(job.attempts), isNumber: true },
  { title: "LAST ERROR", value: (job) => job.lastError.trim().split("\n").at(-1) ?? "" },
];

export function queueJson(queue: QueueInfo): Fields {
  const { name, settings, ...rest } = queue;
  return { name, paused: settings.paused, ...rest, settings };
}

export function queueRecord(queue: QueueInfo): Record<string, string> {
  const { settings } = queue;
  return {
    name: queue.name,
    state: queueState(queue),
    ready: formatCount(queue.ready),
    leased: formatCount(queue.leased),
    scheduled: formatCount(queue.scheduled),
    dead: formatCount(queue.dead),
    groups: formatCount(queue.groups),
    size: formatBytes(queue.bytes),
    enqueued: formatCount(queue.enqueuedTotal),
    acked: formatCount(queue.ackedTotal),
    failed: formatCount(queue.failedTotal),
    expired: formatCount(queue.expiredTotal),
    died: formatCount(queue.deadTotal),
    "max attempts": String(settings.maxAttempts),
    "back-off":
      `${durationText(settings.backoffBaseMs)} times ${settings.backoffFactorPercent / 100}, at most ` +
      `${durationText(settings.backoffMaxMs)}, jitter ${settings.backoffJitterPercent} %`,
    "dead jobs kept": durationText(settings.deadKeepMs),
    "group quantum": String(settings.groupQuantum),
  };
}

export const queueColumns: readonly Column<QueueInfo>[] = [
  { title: "QUEUE", value: (queue) => queue.name },
  { title: "READY", value: (queue) => formatCount(queue.ready), isNumber: true },
  { title: "LEASED", value: (queue) => formatCount(queue.leased), isNumber: true },
  { title: "SCHEDULED", value: (queue) => formatCount(queue.scheduled), isNumber: true },
  { title: "DEAD", value: (queue) => formatCount(queue.dead), isNumber: true },
  { title: "SIZE", value: (queue) => roughBytes(queue.bytes), isNumber: true },
  { title: "STATE", value: queueState },
];

export function serverJson(info: ServerInfo): Fields {
  return { ...info, nodeId: String(info.nodeId), leaderId: String(info.leaderId) };
}

/** Says what was accepted and each refusal, in either form. */
export function printSettled(output: Output, settled: Settled, verb: string): void {
  if (!output.isTable) {
    output.json({ accepted: settled.accepted, refused: settled.refused.map(refusalJson) });
    return;
  }
  output.line(`${formatCount(settled.accepted)} ${verb}`);
  if (settled.refused.length > 0) output.table(refusalColumns, settled.refused);
}

export function refusalJson(refusal: Refusal): Fields {
  return { index: refusal.index, ...(refusal.id === undefined ? {} : { id: refusal.id }), code: refusal.code };
}

const refusalColumns: readonly Column<Refusal>[] = [
  { title: "REFUSED", value: (refusal) => refusal.id ?? `#${refusal.index}` },
  { title: "CODE", value: (refusal) => refusal.code },
];

export function payloadText(payload: Uint8Array, wholeBytes = payload.length): string {
  const isCut = payload.length < wholeBytes;
  const text = utf8(isCut ? wholeCharacters(payload) : payload);
  if (text === undefined) return `base64:${base64(payload)}${isCut ? "…" : ""}`;
  return isCut ? `${text}…` : text;
}

/** Three digits are enough where sizes are compared by eye. */
export function roughBytes(bytes: number): string {
  let value = bytes;
  let unit = "B";
  for (const next of ["KiB", "MiB", "GiB", "TiB"]) {
    if (value < 1024) break;
    value /= 1024;
    unit = next;
  }
  return `${unit === "B" || value >= 100 ? Math.round(value) : value.toFixed(1)} ${unit}`;
}

function queueState(queue: QueueInfo): string {
  if (queue.deleting) return "deleting";
  return queue.settings.paused ? "paused" : "active";
}

function headerRecord(headers: Readonly<Record<string, Uint8Array>>): Record<string, string> {
  return Object.fromEntries(
    Object.entries(headers).map(([name, value]) => [`header ${name}`, utf8(value) ?? `base64:${base64(value)}`]),
  );
}

function optional(name: string, value: string): Record<string, string> {
  return value === "" ? {} : { [name]: value };
}
