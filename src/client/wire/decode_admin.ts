// Owns: the results of the calls that look at and manage queues, jobs, dead jobs, operations, sessions and the server.
// Bounds are the reader's. Never touches a socket. Called by operations.ts and, for the server's info, the connection.

import { layouts } from "../../generated/layouts.js";
import type { JobInfo, JobPage, OperationState, QueueInfo, QueuePage, QueueSettings, ServerInfo } from "../types.js";
import { readAttempts, readHeaders, throwStatus } from "./decode.js";
import { jobStates } from "./encode_admin.js";
import type { MessageReader, StructView } from "./reader.js";

const settings = layouts.QueueSettings.fields;
const queueInfo = layouts.QueueInfo.fields;
const queueResponse = layouts.QueueResponse.fields;
const listQueues = layouts.ListQueuesResponse.fields;
const jobInfo = layouts.JobInfo.fields;
const jobs = layouts.JobsResponse.fields;
const jobResponse = layouts.JobResponse.fields;
const operation = layouts.OperationResponse.fields;
const server = layouts.ServerInfoResponse.fields;
const openSession = layouts.OpenSessionResponse.fields;

export function readQueue(reader: MessageReader, response: StructView): QueueInfo {
  throwStatus(reader, response);
  return queueOf(reader, reader.structOrEmpty(response, queueResponse.queue.offset));
}

export function readQueues(reader: MessageReader, response: StructView): QueuePage {
  throwStatus(reader, response);
  const list = reader.structList(response, listQueues.queues.offset);
  const queues: QueueInfo[] = [];
  for (let i = 0; i < list.count; i++) queues.push(queueOf(reader, reader.element(list, i)));
  return {
    queues,
    next: reader.text(response, listQueues.next.offset),
    appliedIndex: reader.uint64(response, listQueues.appliedIndex.offset),
  };
}

export function readJobInfo(reader: MessageReader, response: StructView): JobInfo {
  throwStatus(reader, response);
  return jobOf(reader, reader.structOrEmpty(response, jobResponse.job.offset));
}

export function readJobs(reader: MessageReader, response: StructView): JobPage {
  throwStatus(reader, response);
  const list = reader.structList(response, jobs.jobs.offset);
  const found: JobInfo[] = [];
  for (let i = 0; i < list.count; i++) found.push(jobOf(reader, reader.element(list, i)));
  return {
    jobs: found,
    next: reader.dataHex(response, jobs.next.offset),
    appliedIndex: reader.uint64(response, jobs.appliedIndex.offset),
  };
}

export function readOperation(reader: MessageReader, response: StructView): OperationState {
  throwStatus(reader, response);
  return {
    operation: reader.bigUint64(response, operation.operation.offset),
    done: reader.uint64(response, operation.done.offset),
    finished: reader.bit(response, operation.finished.offset),
  };
}

export function readServerInfo(reader: MessageReader, response: StructView): ServerInfo {
  throwStatus(reader, response);
  return {
    version: reader.text(response, server.version.offset),
    clusterId: reader.dataHex(response, server.clusterId.offset),
    nodeId: reader.bigUint64(response, server.nodeId.offset),
    appliedIndex: reader.uint64(response, server.appliedIndex.offset),
    durableIndex: reader.uint64(response, server.durableIndex.offset),
    digest: reader.dataHex(response, server.digest.offset),
    leaderId: reader.bigUint64(response, server.leaderId.offset),
    clusterVersion: reader.uint32(response, server.clusterVersion.offset),
    term: reader.uint64(response, server.term.offset),
  };
}

export function readOpenSession(reader: MessageReader, response: StructView): bigint {
  throwStatus(reader, response);
  return reader.bigUint64(response, openSession.session.offset);
}

function queueOf(reader: MessageReader, queue: StructView): QueueInfo {
  const number = (at: number) => reader.uint64(queue, at);
  return {
    name: reader.text(queue, queueInfo.name.offset),
    settings: settingsOf(reader, reader.structOrEmpty(queue, queueInfo.settings.offset)),
    ready: number(queueInfo.ready.offset),
    leased: number(queueInfo.leased.offset),
    scheduled: number(queueInfo.scheduled.offset),
    dead: number(queueInfo.dead.offset),
    groups: number(queueInfo.groups.offset),
    enqueuedTotal: number(queueInfo.enqueuedTotal.offset),
    ackedTotal: number(queueInfo.ackedTotal.offset),
    failedTotal: number(queueInfo.failedTotal.offset),
    expiredTotal: number(queueInfo.expiredTotal.offset),
    deadTotal: number(queueInfo.deadTotal.offset),
    bytes: number(queueInfo.bytes.offset),
    deleting: reader.bit(queue, queueInfo.deleting.offset),
  };
}

function settingsOf(reader: MessageReader, of: StructView): QueueSettings {
  return {
    paused: reader.bit(of, settings.paused.offset),
    maxAttempts: readAttempts(reader, of, settings.maxAttempts.offset),
    backoffBaseMs: reader.uint64(of, settings.backoffBaseMs.offset),
    backoffFactorPercent: reader.uint32(of, settings.backoffFactorPercent.offset),
    backoffMaxMs: reader.uint64(of, settings.backoffMaxMs.offset),
    backoffJitterPercent: reader.uint32(of, settings.backoffJitterPercent.offset),
    deadKeepMs: reader.uint64(of, settings.deadKeepMs.offset),
    groupQuantum: reader.uint32(of, settings.groupQuantum.offset),
  };
}

function jobOf(reader: MessageReader, job: StructView): JobInfo {
  return {
    id: reader.dataHex(job, jobInfo.id.offset),
    queue: reader.text(job, jobInfo.queue.offset),
    state: jobStates[reader.uint16(job, jobInfo.state.offset)] ?? "ready",
    priority: reader.uint8(job, jobInfo.priority.offset),
    group: reader.text(job, jobInfo.group.offset),
    attempts: reader.uint32(job, jobInfo.attempts.offset),
    maxAttempts: readAttempts(reader, job, jobInfo.maxAttempts.offset),
    enqueuedMs: reader.int64(job, jobInfo.enqueuedMs.offset),
    dueInMs: reader.uint64(job, jobInfo.dueInMs.offset),
    deadMs: reader.int64(job, jobInfo.deadMs.offset),
    lastError: reader.text(job, jobInfo.lastError.offset),
    headers: readHeaders(reader, job, jobInfo.headers.offset),
    contentType: reader.text(job, jobInfo.contentType.offset),
    payload: reader.data(job, jobInfo.payload.offset),
    payloadBytes: reader.uint64(job, jobInfo.payloadBytes.offset),
    worker: reader.text(job, jobInfo.worker.offset),
  };
}
