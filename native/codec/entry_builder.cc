// Makes log entries of validated requests: one message in the entry's own bytes, so that a payload is copied once. Owns
// the filling in of defaults and the digest of an operation. Called by a listener worker, and by the engine for entries
// of its own.
#include <capnp/message.h>
#include <xxhash.h>

#include <cstring>
#include <vector>

#include "codec/entry.h"
#include "codec/in_place_builder.h"
#include "codec/resolved.h"
#include "codec/text.h"
#include "codec/validate.h"

namespace capstan::codec {
namespace {

constexpr size_t frameAt = schema::ENTRY_HEADER_BYTES;
constexpr size_t entryWords = 64;       // root, defaults, limits
constexpr size_t wordsPerCommand = 64;  // the command's struct, its request id, what a default adds

void putHeader(std::span<uint8_t> entry, uint32_t commands) {
  putLittle<uint16_t>(entry.data(), schema::ENTRY_VERSION);
  putLittle<uint32_t>(entry.data() + 4, commands);
}

// One entry whose message `fill` writes.
template <class Fill>
std::vector<uint8_t> makeEntry(uint32_t commands, size_t words, Fill fill) {
  std::vector<uint8_t> entry(frameAt + oneSegmentTableBytes + words * 8);
  putHeader(entry, commands);
  InPlaceBuilder builder(std::span<uint8_t>(entry).subspan(frameAt + oneSegmentTableBytes));
  fill(builder.initRoot<schema::Entry>());
  const auto segments = builder.getSegmentsForOutput();
  if (!builder.hasMore()) {
    putLittle<uint32_t>(entry.data() + frameAt + 4, static_cast<uint32_t>(segments[0].size()));
    entry.resize(frameAt + oneSegmentTableBytes + segments[0].size() * 8);
    return entry;
  }
  const size_t count = segments.size();
  std::vector<uint8_t> whole(frameAt + ((4 + 4 * count + 7) & ~size_t{7}));
  putHeader(whole, commands);
  putLittle<uint32_t>(whole.data() + frameAt, static_cast<uint32_t>(count - 1));
  for (size_t at = 0; at < count; ++at) {
    putLittle<uint32_t>(whole.data() + frameAt + 4 + 4 * at, static_cast<uint32_t>(segments[at].size()));
  }
  for (const auto& segment : segments) {
    const auto bytes = segment.asBytes();
    whole.insert(whole.end(), bytes.begin(), bytes.end());
  }
  return whole;
}

void setDefaults(schema::Entry::Builder entry, const Limits& limits) {
  const QueueDefaults& from = limits.queueDefaults;
  auto queue = entry.initQueueDefaults();
  queue.setMaxAttempts(from.maxAttempts);
  queue.setBackoffBaseMs(from.backoffBaseMs);
  queue.setBackoffFactorPercent(from.backoffFactorPercent);
  queue.setBackoffMaxMs(from.backoffMaxMs);
  queue.setBackoffJitterPercent(from.backoffJitterPercent);
  queue.setDeadKeepMs(from.deadKeepMs);
  queue.setGroupQuantum(from.groupQuantum);
  const StateLimits& state = limits.stateLimits;
  auto to = entry.initLimits();
  to.setQueuesMax(state.queuesMax);
  to.setLanesMax(state.lanesMax);
  to.setGroupsMax(state.groupsMax);
  to.setSessionsMax(state.sessionsMax);
  to.setLeasedJobsMax(state.leasedJobsMax);
  to.setSessionResultsMax(state.sessionResultsMax);
  to.setSessionResultBytesMax(state.sessionResultBytesMax);
  to.setIdempotencyKeepMs(state.idempotencyKeepMs);
}

void resolveInto(schema::FetchRequest::Builder fetch, const ResolvedFetch& resolved) {
  fetch.setJobsMax(resolved.jobsMax);
  fetch.setBytesMax(resolved.bytesMax);
  fetch.setLeaseMs(resolved.leaseMs);
}

// Waiting is the server's, and the command says mayPark; a retry waits for what is left, and is the same request.
void leaveWaitOut(schema::FetchRequest::Builder fetch) { fetch.setWaitMs(0); }

void cutReasons(schema::FailRequest::Builder fail) {
  for (auto job : fail.getJobs()) {
    const auto reason = job.asReader().getReason();
    if (reason.size() <= reasonBytesKept) continue;
    const std::string kept(cutUtf8(viewOf(reason), reasonBytesKept));
    job.setReason(kept);
  }
}

// Over the canonical form, so that two encodings of one request are the same request.
template <class Builder>
void setDigest(schema::Command::Builder command, Builder operation) {
  const auto canonical = capnp::canonicalize(operation.asReader());
  const auto bytes = canonical.asBytes();
  const uint64_t seed = static_cast<uint64_t>(command.which());
  const XXH128_hash_t hash = XXH3_128bits_withSeed(bytes.begin(), bytes.size(), seed);
  uint8_t digest[16];
  putBig64(digest, hash.high64);
  putBig64(digest + 8, hash.low64);
  command.setRequestDigest(capnp::Data::Reader(digest, 16));
}

// The request id moves from the operation to the command; then what the digest covers is the operation alone, as it was
// asked: defaults that are filled in later may be others when it is asked again.
template <class Builder>
void takeRequestId(schema::Command::Builder command, Builder operation) {
  if (!operation.hasRequest()) return;
  command.setRequest(operation.asReader().getRequest());
  operation.disownRequest();
  const auto id = command.asReader().getRequest();
  if (id.getSession() != 0 || id.getIdempotencyKey().size() > 0) setDigest(command, operation);
}

void buildAdd(schema::EnqueueRequest::Builder enqueue, schema::compat::AddRequest::Reader body, const Limits& limits) {
  enqueue.setQueue(defaultQueue.data());
  const auto items = body.getItems();
  auto jobs = enqueue.initJobs(items.size());
  for (uint32_t at = 0; at < items.size(); ++at) {
    jobs[at].setPayload(items[at].getContents());
    jobs[at].setDelayMs(secondsToMs(items[at].getVisibilityTimeoutSecs(), limits.delayMsMax));
    jobs[at].setMaxAttempts(unlimitedAttempts);
  }
}

void buildQueueber(schema::Command::Builder command, const Request& request, const Limits& limits) {
  if (request.method == Method::queueberAdd) {
    buildAdd(command.initEnqueue(), request.body<schema::compat::AddRequest>(), limits);
  } else if (request.method == Method::queueberRemove) {
    const auto body = request.body<schema::compat::RemoveRequest>();
    auto ack = command.initAck();
    ack.setLease(body.getLease());
    ack.initIds(1).set(0, body.getId());
  } else if (request.method == Method::queueberPoll) {
    auto fetch = command.initFetch();
    fetch.initQueues(1).set(0, defaultQueue.data());
    resolveInto(fetch, resolve(request.body<schema::compat::PollRequest>(), limits));
    command.setMayPark(true);
  } else {
    const auto body = request.body<schema::compat::ExtendRequest>();
    auto extend = command.initExtend();
    extend.setLease(body.getLease());
    extend.setLeaseMs(resolveLeaseSeconds(body.getLeaseValiditySecs(), limits));
  }
}

void buildExchange(schema::Command::Builder command, const Request& request, const Limits& limits) {
  command.setExchange(request.body<schema::ExchangeRequest>());
  auto exchange = command.getExchange();
  if (exchange.hasFetch()) leaveWaitOut(exchange.getFetch());
  takeRequestId(command, exchange);
  for (auto fail : exchange.getFails()) cutReasons(fail);
  for (auto extend : exchange.getExtends()) extend.setLeaseMs(resolveExtension(extend.asReader(), limits));
  if (exchange.hasFetch()) {
    auto fetch = exchange.getFetch();
    resolveInto(fetch, resolve(fetch.asReader(), limits));
  }
}

void buildCommand(schema::Command::Builder command, const Request& request, const Limits& limits) {
  switch (request.method) {
    case Method::enqueue:
      command.setEnqueue(request.body<schema::EnqueueRequest>());
      return takeRequestId(command, command.getEnqueue());
    case Method::fetch: {
      const auto body = request.body<schema::FetchRequest>();
      command.setFetch(body);
      command.setMayPark(request.waitMs > 0);
      leaveWaitOut(command.getFetch());
      takeRequestId(command, command.getFetch());
      return resolveInto(command.getFetch(), resolve(body, limits));
    }
    case Method::ack:
      command.setAck(request.body<schema::AckRequest>());
      return takeRequestId(command, command.getAck());
    case Method::fail:
      command.setFail(request.body<schema::FailRequest>());
      takeRequestId(command, command.getFail());
      return cutReasons(command.getFail());
    case Method::extend: {
      const auto body = request.body<schema::ExtendRequest>();
      command.setExtend(body);
      takeRequestId(command, command.getExtend());
      return command.getExtend().setLeaseMs(resolveExtension(body, limits));
    }
    case Method::release:
      command.setRelease(request.body<schema::ReleaseRequest>());
      return takeRequestId(command, command.getRelease());
    case Method::exchange:
      return buildExchange(command, request, limits);
    case Method::openSession: {
      const auto body = request.body<schema::OpenSessionRequest>();
      command.setOpenSession(body);
      command.getOpenSession().setKeepMs(resolveKeepMs(body, limits));
      return;
    }
    case Method::closeSession:
      return command.setCloseSession(request.body<schema::CloseSessionRequest>());
    case Method::setQueue:
      command.setSetQueue(request.body<schema::SetQueueRequest>());
      return takeRequestId(command, command.getSetQueue());
    case Method::deleteQueue:
      command.setDeleteQueue(request.body<schema::DeleteQueueRequest>());
      return takeRequestId(command, command.getDeleteQueue());
    case Method::deleteJobs:
      command.setDeleteJobs(request.body<schema::DeleteJobsRequest>());
      return takeRequestId(command, command.getDeleteJobs());
    case Method::redriveDead:
      command.setRedriveDead(request.body<schema::DeadRequest>());
      return takeRequestId(command, command.getRedriveDead());
    case Method::deleteDead:
      command.setDeleteDead(request.body<schema::DeadRequest>());
      return takeRequestId(command, command.getDeleteDead());
    default:
      CAPSTAN_ASSERT(isQueueber(request.method), static_cast<uint16_t>(request.method));
      return buildQueueber(command, request, limits);
  }
}

}  // namespace

std::vector<uint8_t> buildEntry(std::span<const Request* const> requests, std::string_view tenant,
                                const Limits& limits) {
  CAPSTAN_ASSERT(!requests.empty());
  size_t words = entryWords;
  for (const Request* request : requests) {
    // A job of the other face becomes one of more fields.
    const uint64_t added = request->method == Method::queueberAdd ? request->jobs * 8ull : 0;
    words += request->bytes / 8 + added + wordsPerCommand;
  }
  return makeEntry(static_cast<uint32_t>(requests.size()), words, [&](schema::Entry::Builder entry) {
    setDefaults(entry, limits);
    auto commands = entry.initCommands(static_cast<uint>(requests.size()));
    for (size_t at = 0; at < requests.size(); ++at) {
      if (tenant != defaultTenant) commands[at].setTenant(capnp::Text::Reader(tenant.data(), tenant.size()));
      buildCommand(commands[at], *requests[at], limits);
    }
  });
}

std::vector<uint8_t> buildStampEntry() {
  std::vector<uint8_t> entry(frameAt);
  putHeader(entry, 0);
  return entry;
}

std::vector<uint8_t> buildTickEntry(uint32_t rowsMax) {
  return makeEntry(1, entryWords + wordsPerCommand,
                   [&](schema::Entry::Builder entry) { entry.initCommands(1)[0].initTick().setRowsMax(rowsMax); });
}

std::vector<uint8_t> buildUnsendEntry(std::span<const LeaseId> leases) {
  const size_t words = entryWords + leases.size() * wordsPerCommand;
  return makeEntry(static_cast<uint32_t>(leases.size()), words, [&](schema::Entry::Builder entry) {
    auto commands = entry.initCommands(static_cast<uint>(leases.size()));
    for (size_t at = 0; at < leases.size(); ++at) {
      commands[at].initUnsend().setLease(capnp::Data::Reader(leases[at].bytes.data(), 16));
    }
  });
}

}  // namespace capstan::codec
