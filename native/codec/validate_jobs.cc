// Bounds of the requests about jobs and leases, and of the exchange that holds several of them. Owns no state; reads
// every pointer that the entry builder reads. Called by request.cc.
#include "codec/resolved.h"
#include "codec/text.h"
#include "codec/validate.h"

namespace capstan::codec {
namespace {

constexpr uint64_t partReplyBytes = 512;  // the structs and the status of one part

bool checkHeaders(Checks& checks, capnp::List<schema::Header>::Reader headers, const Field& job) {
  const Field field{"headers", &job};
  const auto& limits = checks.limits;
  if (headers.size() > headersPerJobMax) {
    return checks.refuse(schema::ErrorCode::TOO_LARGE, field, "more than 128 headers");
  }
  uint64_t bytes = 0;
  for (uint32_t i = 0; i < headers.size(); i++) {
    const Field header{"headers", &job, i};
    const auto name = headers[i].getName();
    const auto value = headers[i].getValue();
    bytes += uint64_t{name.size()} + value.size();
    if (bytes > limits.headersBytesMax) {
      return checks.refuse(schema::ErrorCode::TOO_LARGE, field,
                           "names and values have more than " + std::to_string(limits.headersBytesMax) + " bytes");
    }
    const Field nameField{"name", &header};
    if (name.size() == 0) return checks.invalid(nameField, "is empty or absent");
    if (!isPlainText(viewOf(name))) return checks.invalid(nameField, "is not UTF-8 without control characters");
    if (!checks.takeBlob(nameField, name.size()) || !checks.takeBlob(Field{"value", &header}, value.size())) {
      return false;
    }
  }
  return true;
}

bool checkJob(Checks& checks, schema::NewJob::Reader job, const Field& field) {
  const auto& limits = checks.limits;
  const Field payload{"payload", &field};
  const auto bytes = job.getPayload().size();
  if (bytes > limits.payloadBytesMax) {
    return checks.refuse(schema::ErrorCode::TOO_LARGE, payload,
                         std::to_string(bytes) + " bytes, more than " + std::to_string(limits.payloadBytesMax));
  }
  if (job.getRunAtMs() < 0) return checks.invalid(Field{"runAtMs", &field}, "lies before 1970");
  if (job.getRunAtMs() != 0 && job.getDelayMs() != 0) {
    return checks.invalid(Field{"runAtMs", &field}, "is given beside delayMs; only one of them may be");
  }
  if (job.getMaxAttempts() != unlimitedAttempts &&
      !checks.range(Field{"maxAttempts", &field}, job.getMaxAttempts(), 0, limits.attemptsMax)) {
    return false;
  }
  if (job.getDelayMs() == 0 && job.getRunAtMs() == 0) checks.readyJobs++;
  return checks.takeBlob(payload, bytes) &&
         checks.range(Field{"delayMs", &field}, job.getDelayMs(), 0, limits.delayMsMax) &&
         checks.range(Field{"priority", &field}, job.getPriority(), 0, priorityMax) &&
         checks.optionalName(Field{"group", &field}, job.getGroup()) &&
         checks.optionalName(Field{"contentType", &field}, job.getContentType()) &&
         checkHeaders(checks, job.getHeaders(), field);
}

bool enqueuePart(Checks& checks, schema::EnqueueRequest::Reader body, const Field* parent) {
  if (!checks.requiredName(Field{"queue", parent}, body.getQueue())) return false;
  const auto jobs = body.getJobs();
  if (!checks.takeJobs(Field{"jobs", parent}, jobs.size())) return false;
  for (uint32_t i = 0; i < jobs.size(); i++) {
    if (!checkJob(checks, jobs[i], Field{"jobs", parent, i})) return false;
  }
  checks.replyBytes += uint64_t{jobs.size()} * 24;  // pointer and id
  return true;
}

bool fetchPart(Checks& checks, schema::FetchRequest::Reader body, const Field* parent) {
  const auto& limits = checks.limits;
  const Field queues{"queues", parent};
  const auto names = body.getQueues();
  if (names.size() == 0) return checks.invalid(queues, "at least one queue is needed");
  if (!checks.range(queues, names.size(), 1, limits.queuesPerFetchMax)) return false;
  for (uint32_t i = 0; i < names.size(); i++) {
    if (!checks.requiredName(Field{"queues", parent, i}, names[i])) return false;
  }
  const ResolvedFetch fetch = resolve(body, limits);
  checks.replyBytes += fetchReplyBytes(limits, fetch.jobsMax, fetch.bytesMax);
  return checks.range(Field{"jobsMax", parent}, fetch.jobsMax, 1, limits.fetchJobsMax) &&
         checks.range(Field{"bytesMax", parent}, fetch.bytesMax, 1, limits.fetchBytesMax) &&
         checks.range(Field{"leaseMs", parent}, fetch.leaseMs, limits.leaseMsMin, limits.leaseMsMax) &&
         checks.range(Field{"waitMs", parent}, body.getWaitMs(), 0, limits.waitMsMax) &&
         checks.optionalName(Field{"worker", parent}, body.getWorker());
}

// Ack and release: some ids of a lease, or all.
template <class Body>
bool settlePart(Checks& checks, Body body, const Field* parent) {
  const auto ids = body.getIds();
  if (body.getAll() && ids.size() > 0) {
    return checks.invalid(Field{"all", parent}, "is set beside ids; only one of them may be");
  }
  checks.replyBytes += uint64_t{ids.size()} * 8;
  return checks.id(Field{"lease", parent}, body.getLease()) && checks.ids(Field{"ids", parent}, ids);
}

bool ackPart(Checks& checks, schema::AckRequest::Reader body, const Field* parent) {
  if (body.getResults().size() > 0) {
    return checks.refuse(schema::ErrorCode::UNSUPPORTED, Field{"results", parent}, "results are not kept yet");
  }
  return settlePart(checks, body, parent);
}

bool failPart(Checks& checks, schema::FailRequest::Reader body, const Field* parent) {
  const auto jobs = body.getJobs();
  if (!checks.id(Field{"lease", parent}, body.getLease()) || !checks.takeJobs(Field{"jobs", parent}, jobs.size())) {
    return false;
  }
  for (uint32_t i = 0; i < jobs.size(); i++) {
    const Field job{"jobs", parent, i};
    const Field reason{"reason", &job};
    const auto text = jobs[i].getReason();
    if (!checks.id(Field{"id", &job}, jobs[i].getId()) || !checks.takeBlob(reason, text.size())) return false;
    if (!isUtf8(viewOf(text))) return checks.invalid(reason, "is not UTF-8");
    if (!checks.range(Field{"retryDelayMs", &job}, jobs[i].getRetryDelayMs(), 0, checks.limits.delayMsMax)) {
      return false;
    }
  }
  checks.replyBytes += uint64_t{jobs.size()} * 8;
  return true;
}

bool extendPart(Checks& checks, schema::ExtendRequest::Reader body, const Field* parent) {
  const auto& limits = checks.limits;
  return checks.id(Field{"lease", parent}, body.getLease()) &&
         checks.range(Field{"leaseMs", parent}, resolveExtension(body, limits), limits.leaseMsMin, limits.leaseMsMax);
}

// The parts count among the jobs, since each has a result of its own however few jobs it names.
template <class List, class Part>
bool checkParts(Checks& checks, List list, const char* name, Part part) {
  if (!checks.takeJobs(Field{name}, list.size())) return false;
  checks.replyBytes += list.size() * partReplyBytes;
  for (uint32_t i = 0; i < list.size(); i++) {
    const Field field{name, nullptr, i};
    if (!part(checks, list[i], &field)) return false;
  }
  return true;
}

const Field requestField{"request"};

}  // namespace

uint64_t fetchReplyBytes(const Limits& limits, uint32_t jobsMax, uint32_t bytesMax) {
  const uint64_t around = 64 + 16 + 8 + 2 * nameReplyBytes(limits) + headersReplyBytes(limits);
  return std::max(bytesMax, limits.payloadBytesMax) + std::min(jobsMax, limits.fetchJobsMax) * around;
}

bool check(Checks& checks, schema::EnqueueRequest::Reader body, Request& request) {
  if (!checks.requestId(requestField, body.getRequest()) || !enqueuePart(checks, body, nullptr)) return false;
  request.queueKey = queueHash(defaultTenant, viewOf(body.getQueue()));
  request.enqueues = true;
  request.readyJobs = checks.readyJobs;
  return true;
}

bool check(Checks& checks, schema::FetchRequest::Reader body, Request& request) {
  if (!checks.requestId(requestField, body.getRequest()) || !fetchPart(checks, body, nullptr)) return false;
  const ResolvedFetch fetch = resolve(body, checks.limits);
  request.waitMs = fetch.waitMs;
  request.jobs = fetch.jobsMax;
  for (const auto name : body.getQueues()) {
    request.queueHashes.push_back(queueHash(defaultTenant, viewOf(name)));
  }
  request.queueKey = request.queueHashes.size() == 1 ? request.queueHashes[0] : 0;
  return true;
}

bool check(Checks& checks, schema::AckRequest::Reader body, Request&) {
  return checks.requestId(requestField, body.getRequest()) && ackPart(checks, body, nullptr);
}

bool check(Checks& checks, schema::FailRequest::Reader body, Request&) {
  return checks.requestId(requestField, body.getRequest()) && failPart(checks, body, nullptr);
}

bool check(Checks& checks, schema::ExtendRequest::Reader body, Request&) {
  return checks.requestId(requestField, body.getRequest()) && extendPart(checks, body, nullptr);
}

bool check(Checks& checks, schema::ReleaseRequest::Reader body, Request&) {
  return checks.requestId(requestField, body.getRequest()) && settlePart(checks, body, nullptr);
}

bool check(Checks& checks, schema::ExchangeRequest::Reader body, Request& request) {
  if (!checks.requestId(requestField, body.getRequest()) || !checkParts(checks, body.getAcks(), "acks", ackPart) ||
      !checkParts(checks, body.getFails(), "fails", failPart) ||
      !checkParts(checks, body.getReleases(), "releases", settlePart<schema::ReleaseRequest::Reader>) ||
      !checkParts(checks, body.getExtends(), "extends", extendPart) ||
      !checkParts(checks, body.getEnqueues(), "enqueues", enqueuePart)) {
    return false;
  }
  request.enqueues = body.getEnqueues().size() > 0;
  const Field fetch{"fetch"};
  if (!body.hasFetch()) return true;
  checks.replyBytes += partReplyBytes;
  return fetchPart(checks, body.getFetch(), &fetch);
}

bool check(Checks& checks, schema::DeleteJobsRequest::Reader body, Request&) {
  checks.replyBytes += uint64_t{body.getIds().size()} * 8;
  return checks.requestId(requestField, body.getRequest()) && checks.ids(Field{"ids"}, body.getIds());
}

}  // namespace capstan::codec
