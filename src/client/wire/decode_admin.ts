// Owns: the results of the calls that look at and manage queues, jobs, dead jobs, operations, sessions and the server, as
// the library reads them. Texts and bytes are taken by their place in the layout, since library.ts reads them more
// leniently than the generated getters. Never touches a socket. Called by operations.ts and, for the server's info, the
// connection.

import type * as capnp from "capnp-ts";
import * as schema from "../../generated/capstan.capnp.js";
import { layouts } from "../../generated/layouts.js";
import { errorName } from "../errors.js";
import type {
  JobInfo,
  JobPage,
  OperationState,
  QueueInfo,
  QueuePage,
  QueueSettings,
  ServerInfo,
  Settled,
} from "../types.js";
import { attemptsOf, statusError } from "./decode.js";
import { jobStates } from "./encode_admin.js";
import { bytesOf, hexOf, structsOf, textOf } from "./library.js";

const status = layouts.Status.fields;
const queueInfo = layouts.QueueInfo.fields;
const jobInfo = layouts.JobInfo.fields;
const header = layouts.Header.fields;
const listQueues = layouts.ListQueuesResponse.fields;
const jobs = layouts.JobsResponse.fields;
const settle = layouts.SettleResponse.fields;
const server = layouts.ServerInfoResponse.fields;

interface WithStatus extends capnp.Struct {
  hasStatus(): boolean;
  getStatus(): schema.Status;
}

/** An absent status means ok. */
export function throwStatus(response: WithStatus): void {
  if (!response.hasStatus()) return;
  const found = response.getStatus();
  const code = found.getCode();
  if (code === 0) return;
  const field = textOf(found, status.field.offset);
  throw statusError(code, textOf(found, status.message.offset), found.getRetryAfterMs(), field);
}

export function readQueue(response: schema.QueueResponse): QueueInfo {
  throwStatus(response);
  return queueOf(response.getQueue());
}

export function readQueues(response: schema.ListQueuesResponse): QueuePage {
  throwStatus(response);
  return {
    queues: structsOf(response, listQueues.queues.offset, schema.QueueInfo).map(queueOf),
    next: textOf(response, listQueues.next.offset),
    appliedIndex: Number(response.getAppliedIndex()),
  };
}

export function readJobInfo(response: schema.JobResponse): JobInfo {
  throwStatus(response);
  return jobOf(response.getJob());
}

export function readJobs(response: schema.JobsResponse): JobPage {
  throwStatus(response);
  return {
    jobs: structsOf(response, jobs.jobs.offset, schema.JobInfo).map(jobOf),
    next: hexOf(response, jobs.next.offset),
    appliedIndex: Number(response.getAppliedIndex()),
  };
}

export function readDeleted(response: schema.SettleResponse, ids: readonly string[]): Settled {
  throwStatus(response);
  const refused = structsOf(response, settle.refused.offset, schema.Refusal).map((refusal) => {
    const index = refusal.getIndex();
    const code = errorName(refusal.getCode());
    const id = ids[index];
    return id === undefined ? { index, code } : { id, index, code };
  });
  return { accepted: response.getAccepted(), refused };
}

export function readOperation(response: schema.OperationResponse): OperationState {
  throwStatus(response);
  return {
    operation: response.getOperation(),
    done: Number(response.getDone()),
    finished: response.getFinished(),
  };
}

export function readServerInfo(response: schema.ServerInfoResponse): ServerInfo {
  throwStatus(response);
  return {
    version: textOf(response, server.version.offset),
    clusterId: hexOf(response, server.clusterId.offset),
    nodeId: response.getNodeId(),
    appliedIndex: Number(response.getAppliedIndex()),
    durableIndex: Number(response.getDurableIndex()),
    digest: hexOf(response, server.digest.offset),
    leaderId: response.getLeaderId(),
    clusterVersion: response.getClusterVersion(),
    term: Number(response.getTerm()),
  };
}

export function readOpenSession(response: schema.OpenSessionResponse): bigint {
  throwStatus(response);
  return response.getSession();
}

function queueOf(queue: schema.QueueInfo): QueueInfo {
  return {
    name: textOf(queue, queueInfo.name.offset),
    settings: settingsOf(queue.getSettings()),
    ready: Number(queue.getReady()),
    leased: Number(queue.getLeased()),
    scheduled: Number(queue.getScheduled()),
    dead: Number(queue.getDead()),
    groups: Number(queue.getGroups()),
    enqueuedTotal: Number(queue.getEnqueuedTotal()),
    ackedTotal: Number(queue.getAckedTotal()),
    failedTotal: Number(queue.getFailedTotal()),
    expiredTotal: Number(queue.getExpiredTotal()),
    deadTotal: Number(queue.getDeadTotal()),
    bytes: Number(queue.getBytes()),
    deleting: queue.getDeleting(),
  };
}

function settingsOf(settings: schema.QueueSettings): QueueSettings {
  return {
    paused: settings.getPaused(),
    maxAttempts: attemptsOf(settings.getMaxAttempts()),
    backoffBaseMs: Number(settings.getBackoffBaseMs()),
    backoffFactorPercent: settings.getBackoffFactorPercent(),
    backoffMaxMs: Number(settings.getBackoffMaxMs()),
    backoffJitterPercent: settings.getBackoffJitterPercent(),
    deadKeepMs: Number(settings.getDeadKeepMs()),
    groupQuantum: settings.getGroupQuantum(),
  };
}

function jobOf(job: schema.JobInfo): JobInfo {
  return {
    id: hexOf(job, jobInfo.id.offset),
    queue: textOf(job, jobInfo.queue.offset),
    state: jobStates[job.getState()] ?? "ready",
    priority: job.getPriority(),
    group: textOf(job, jobInfo.group.offset),
    attempts: job.getAttempts(),
    maxAttempts: attemptsOf(job.getMaxAttempts()),
    enqueuedMs: Number(job.getEnqueuedMs()),
    dueInMs: Number(job.getDueInMs()),
    deadMs: Number(job.getDeadMs()),
    lastError: textOf(job, jobInfo.lastError.offset),
    headers: headersOf(job),
    contentType: textOf(job, jobInfo.contentType.offset),
    payload: bytesOf(job, jobInfo.payload.offset),
    payloadBytes: Number(job.getPayloadBytes()),
    worker: textOf(job, jobInfo.worker.offset),
  };
}

function headersOf(job: schema.JobInfo): Readonly<Record<string, Uint8Array>> {
  // Without a prototype: a header may have any name.
  const headers: Record<string, Uint8Array> = Object.create(null);
  for (const found of structsOf(job, jobInfo.headers.offset, schema.Header)) {
    headers[textOf(found, header.name.offset)] = bytesOf(found, header.value.offset);
  }
  return headers;
}
