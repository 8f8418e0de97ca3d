// The settings as the addon takes them: options of the engine, limits and defaults of requests. Owns the renaming only;
// the values are config.ts's, and the addon asserts them. Called by main.ts and by each listener worker.

import type { Config } from "../config.js";
import type { CodecLimits, EngineOptions } from "../native.js";

export function engineOptions(config: Config): EngineOptions {
  return {
    dataDirectory: config.dataDir,
    shards: 1,
    syncAlways: config.sync === "always",
    logSegmentBytes: config.logSegmentBytes,
    logTrailingBytes: config.logTrailingBytes,
    diskReserveBytes: config.diskReserveBytes,
    diskReservePercent: config.diskReservePercent,
    blockCacheBytes: config.blockCacheBytes,
    writeBufferBytes: config.writeBufferBytes,
    backgroundJobs: config.backgroundJobs,
    windowBytesMax: config.windowBytesMax,
    windowJobsMax: config.windowJobsMax,
    payloadCacheBytes: config.payloadCacheBytes,
    logCacheBytes: config.logCacheBytes,
    proposalsMax: config.proposalsMax,
    tickRowsMax: config.tickRowsMax,
    parkedMax: config.parkedMax,
    readerThreads: config.readerThreads,
    rocksdbOptions: config.rocksdbOptions,
  };
}

export function codecLimits(config: Config): CodecLimits {
  return {
    frameBytesMax: config.frameBytesMax,
    payloadBytesMax: config.payloadBytesMax,
    headersBytesMax: config.headersBytesMax,
    nameBytesMax: config.nameBytesMax,
    jobsPerCommandMax: config.jobsPerCommandMax,
    commandBytesMax: config.commandBytesMax,
    queuesPerFetchMax: config.queuesPerFetchMax,
    fetchJobsMax: config.fetchJobsMax,
    fetchBytesMax: config.fetchBytesMax,
    fetchBytesDefault: config.fetchBytesDefault,
    waitMsMax: config.waitMsMax,
    leaseMsMin: config.leaseMsMin,
    leaseMsMax: config.leaseMsMax,
    leaseMsDefault: config.leaseMsDefault,
    delayMsMax: config.delayMsMax,
    attemptsMax: config.attemptsMax,
    sessionKeepMsDefault: config.sessionKeepMsDefault,
    sessionKeepMsMin: config.sessionKeepMsMin,
    sessionKeepMsMax: config.sessionKeepMsMax,
    peekJobsMax: config.peekJobsMax,
    queueDefaults: {
      maxAttempts: config.queueMaxAttempts,
      backoffBaseMs: config.queueBackoffBaseMs,
      backoffFactorPercent: config.queueBackoffFactorPercent,
      backoffMaxMs: config.queueBackoffMaxMs,
      backoffJitterPercent: config.queueBackoffJitterPercent,
      deadKeepMs: config.queueDeadKeepMs,
      groupQuantum: config.queueGroupQuantum,
    },
    stateLimits: {
      queuesMax: config.queuesMax,
      lanesMax: config.lanesMax,
      groupsMax: config.groupsMax,
      sessionsMax: config.sessionsMax,
      leasedJobsMax: config.leasedJobsMax,
      sessionResultsMax: config.sessionResultsMax,
      sessionResultBytesMax: config.sessionResultBytesMax,
      idempotencyKeepMs: config.idempotencyKeepMs,
    },
  };
}
