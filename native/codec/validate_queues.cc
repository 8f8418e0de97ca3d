// Bounds of the requests about sessions, queues and dead jobs, and of the reads. Owns no state; reads every pointer
// that the entry builder and makeRead read. Called by request.cc.
#include "codec/resolved.h"
#include "codec/validate.h"

namespace capstan::codec {
namespace {

constexpr uint32_t listLimitMax = 1000;
constexpr uint32_t backoffFactorPercentMax = 10'000;
constexpr uint64_t backoffBaseMsMax = 24ull * 3600 * 1000;
constexpr uint64_t backoffMaxMsMax = 30 * backoffBaseMsMax;
constexpr uint32_t groupQuantumMax = 10'000;
const Field requestField{"request"};
const Field queueField{"queue"};

bool checkQueue(Checks& checks, capnp::Text::Reader name, Request& request) {
  if (!checks.requiredName(queueField, name)) return false;
  request.queueKey = queueHash(defaultTenant, viewOf(name));
  return true;
}

bool checkSettings(Checks& checks, schema::QueueSettings::Reader settings) {
  const auto& limits = checks.limits;
  const Field field{"settings"};
  if (settings.getMaxAttempts() != unlimitedAttempts &&
      !checks.range(Field{"maxAttempts", &field}, settings.getMaxAttempts(), 0, limits.attemptsMax)) {
    return false;
  }
  if (settings.getBackoffFactorPercent() != 0 &&
      !checks.range(Field{"backoffFactorPercent", &field}, settings.getBackoffFactorPercent(), 100,
                    backoffFactorPercentMax)) {
    return false;
  }
  if (settings.getNoBackoff() && settings.getBackoffBaseMs() != 0) {
    return checks.invalid(Field{"noBackoff", &field}, "is set beside backoffBaseMs; only one of them may be");
  }
  if (settings.getNoJitter() && settings.getBackoffJitterPercent() != 0) {
    return checks.invalid(Field{"noJitter", &field}, "is set beside backoffJitterPercent; only one of them may be");
  }
  if (settings.getDeadKeepMs() != 0 &&
      !checks.range(Field{"deadKeepMs", &field}, settings.getDeadKeepMs(), limits.deadKeepMsMin, limits.delayMsMax)) {
    return false;
  }
  return checks.range(Field{"backoffBaseMs", &field}, settings.getBackoffBaseMs(), 0, backoffBaseMsMax) &&
         checks.range(Field{"backoffMaxMs", &field}, settings.getBackoffMaxMs(), 0, backoffMaxMsMax) &&
         checks.range(Field{"backoffJitterPercent", &field}, settings.getBackoffJitterPercent(), 0, 100) &&
         checks.range(Field{"groupQuantum", &field}, settings.getGroupQuantum(), 0, groupQuantumMax);
}

// One JobInfo with that much payload.
uint64_t jobInfoBytes(const Limits& limits, uint32_t payloadBytes) {
  return 160 + 4 * nameReplyBytes(limits) + reasonBytesKept + 16 + headersReplyBytes(limits) +
         std::min(payloadBytes, limits.payloadBytesMax);
}

// A page ends early, with `next`, when it has readBytesMax; the job that reaches it is still in.
uint64_t pageBytes(const Limits& limits, uint32_t jobs, uint32_t payloadBytes) {
  const uint64_t one = jobInfoBytes(limits, payloadBytes);
  return std::min<uint64_t>(jobs * one, readBytesMax + one) + placeBytesMax;
}

uint64_t queueInfoBytes(const Limits& limits) { return 256 + nameReplyBytes(limits); }

bool checkPlace(Checks& checks, capnp::Data::Reader after) {
  const Field field{"after"};
  if (after.size() > placeBytesMax) return checks.invalid(field, "is no place that a list gave as next");
  return checks.takeBlob(field, after.size());
}

}  // namespace

bool check(Checks& checks, schema::OpenSessionRequest::Reader body, Request&) {
  const auto& limits = checks.limits;
  return checks.optionalName(Field{"name"}, body.getName()) &&
         checks.range(Field{"keepMs"}, resolveKeepMs(body, limits), limits.sessionKeepMsMin, limits.sessionKeepMsMax);
}

bool check(Checks& checks, schema::CloseSessionRequest::Reader body, Request&) {
  return checks.range(Field{"session"}, body.getSession(), 1, UINT64_MAX);
}

bool check(Checks& checks, schema::SetQueueRequest::Reader body, Request& request) {
  if (body.getPause() && body.getResume()) {
    return checks.invalid(Field{"resume"}, "is set beside pause; only one of them may be");
  }
  checks.replyBytes += queueInfoBytes(checks.limits);
  return checks.requestId(requestField, body.getRequest()) && checkQueue(checks, body.getQueue(), request) &&
         checkSettings(checks, body.getSettings());
}

bool check(Checks& checks, schema::DeleteQueueRequest::Reader body, Request& request) {
  return checks.requestId(requestField, body.getRequest()) && checkQueue(checks, body.getQueue(), request);
}

bool check(Checks& checks, schema::DeadRequest::Reader body, Request& request) {
  const auto ids = body.getIds();
  if (!checks.requestId(requestField, body.getRequest()) || !checkQueue(checks, body.getQueue(), request)) return false;
  if (body.getAll() == (ids.size() > 0)) {
    return checks.invalid(Field{"ids"}, "either ids or all is needed, and not both");
  }
  return checks.ids(Field{"ids"}, ids);
}

bool check(Checks& checks, schema::ListQueuesRequest::Reader body, Request&) {
  const uint32_t limit = orDefault(body.getLimit(), 100);
  checks.replyBytes += (uint64_t{limit} + 1) * queueInfoBytes(checks.limits);
  return checks.range(Field{"limit"}, limit, 1, listLimitMax) && checks.optionalName(Field{"after"}, body.getAfter()) &&
         checks.optionalName(Field{"prefix"}, body.getPrefix());
}

bool check(Checks& checks, schema::GetQueueRequest::Reader body, Request& request) {
  checks.replyBytes += queueInfoBytes(checks.limits);
  return checkQueue(checks, body.getQueue(), request);
}

bool check(Checks& checks, schema::PeekRequest::Reader body, Request& request) {
  const auto& limits = checks.limits;
  const uint32_t limit = orDefault(body.getLimit(), 10);
  if (body.getState() != schema::JobState::READY && body.getState() != schema::JobState::SCHEDULED) {
    return checks.invalid(Field{"state"}, "only ready and scheduled jobs can be peeked at");
  }
  checks.replyBytes += pageBytes(limits, limit, orDefault(body.getPayloadBytesMax(), peekPayloadBytesDefault));
  return checks.range(Field{"limit"}, limit, 1, limits.peekJobsMax) && checkPlace(checks, body.getAfter()) &&
         checkQueue(checks, body.getQueue(), request);
}

bool check(Checks& checks, schema::GetJobRequest::Reader body, Request&) {
  checks.replyBytes += jobInfoBytes(checks.limits, orDefault(body.getPayloadBytesMax(), UINT32_MAX));
  return checks.id(Field{"id"}, body.getId());
}

bool check(Checks& checks, schema::ListDeadRequest::Reader body, Request& request) {
  const auto& limits = checks.limits;
  const uint32_t limit = orDefault(body.getLimit(), 100);
  checks.replyBytes += pageBytes(limits, limit, orDefault(body.getPayloadBytesMax(), peekPayloadBytesDefault));
  return checks.range(Field{"limit"}, limit, 1, listLimitMax) && checkPlace(checks, body.getAfter()) &&
         checkQueue(checks, body.getQueue(), request);
}

bool check(Checks& checks, schema::GetOperationRequest::Reader body, Request&) {
  return checks.range(Field{"operation"}, body.getOperation(), 1, UINT64_MAX);
}

bool check(Checks&, schema::ServerInfoRequest::Reader, Request&) { return true; }

}  // namespace capstan::codec
