// The pairing of settings' members: each is read by its name and checked by its type. A member that is missing or of
// another type throws ArgumentFault, which names it. See options.h.
#include "napi/options.h"

namespace capstan::napi {

engine::EngineOptions engineOptions(const Fields& fields) {
  engine::EngineOptions options;
  fields.read("dataDirectory", options.dataDirectory);
  fields.read("shards", options.shards);
  fields.read("syncAlways", options.syncAlways);
  fields.read("logSegmentBytes", options.logSegmentBytes);
  fields.read("logTrailingBytes", options.logTrailingBytes);
  fields.read("diskReserveBytes", options.diskReserveBytes);
  fields.read("diskReservePercent", options.diskReservePercent);
  fields.read("blockCacheBytes", options.blockCacheBytes);
  fields.read("writeBufferBytes", options.writeBufferBytes);
  fields.read("backgroundJobs", options.backgroundJobs);
  fields.read("windowBytesMax", options.windowBytesMax);
  fields.read("windowJobsMax", options.windowJobsMax);
  fields.read("payloadCacheBytes", options.payloadCacheBytes);
  fields.read("logCacheBytes", options.logCacheBytes);
  fields.read("proposalsMax", options.proposalsMax);
  fields.read("tickRowsMax", options.tickRowsMax);
  fields.read("parkedMax", options.parkedMax);
  fields.read("readerThreads", options.readerThreads);
  fields.read("rocksdbOptions", options.rocksdbOptions);
  return options;
}

namespace {

codec::QueueDefaults queueDefaults(const Fields& fields) {
  codec::QueueDefaults defaults;
  fields.read("maxAttempts", defaults.maxAttempts);
  fields.read("backoffBaseMs", defaults.backoffBaseMs);
  fields.read("backoffFactorPercent", defaults.backoffFactorPercent);
  fields.read("backoffMaxMs", defaults.backoffMaxMs);
  fields.read("backoffJitterPercent", defaults.backoffJitterPercent);
  fields.read("deadKeepMs", defaults.deadKeepMs);
  fields.read("groupQuantum", defaults.groupQuantum);
  return defaults;
}

codec::StateLimits stateLimits(const Fields& fields) {
  codec::StateLimits limits;
  fields.read("queuesMax", limits.queuesMax);
  fields.read("lanesMax", limits.lanesMax);
  fields.read("groupsMax", limits.groupsMax);
  fields.read("sessionsMax", limits.sessionsMax);
  fields.read("leasedJobsMax", limits.leasedJobsMax);
  fields.read("sessionResultsMax", limits.sessionResultsMax);
  fields.read("sessionResultBytesMax", limits.sessionResultBytesMax);
  fields.read("idempotencyKeepMs", limits.idempotencyKeepMs);
  return limits;
}

}  // namespace

codec::Limits codecLimits(const Fields& fields) {
  codec::Limits limits;
  fields.read("frameBytesMax", limits.frameBytesMax);
  fields.read("payloadBytesMax", limits.payloadBytesMax);
  fields.read("headersBytesMax", limits.headersBytesMax);
  fields.read("nameBytesMax", limits.nameBytesMax);
  fields.read("jobsPerCommandMax", limits.jobsPerCommandMax);
  fields.read("commandBytesMax", limits.commandBytesMax);
  fields.read("queuesPerFetchMax", limits.queuesPerFetchMax);
  fields.read("fetchJobsMax", limits.fetchJobsMax);
  fields.read("fetchBytesMax", limits.fetchBytesMax);
  fields.read("fetchBytesDefault", limits.fetchBytesDefault);
  fields.read("waitMsMax", limits.waitMsMax);
  fields.read("leaseMsMin", limits.leaseMsMin);
  fields.read("leaseMsMax", limits.leaseMsMax);
  fields.read("leaseMsDefault", limits.leaseMsDefault);
  fields.read("delayMsMax", limits.delayMsMax);
  fields.read("attemptsMax", limits.attemptsMax);
  fields.read("sessionKeepMsDefault", limits.sessionKeepMsDefault);
  fields.read("sessionKeepMsMin", limits.sessionKeepMsMin);
  fields.read("sessionKeepMsMax", limits.sessionKeepMsMax);
  fields.read("peekJobsMax", limits.peekJobsMax);
  limits.queueDefaults = queueDefaults(fields.child("queueDefaults"));
  limits.stateLimits = stateLimits(fields.child("stateLimits"));
  return limits;
}

}  // namespace capstan::napi
