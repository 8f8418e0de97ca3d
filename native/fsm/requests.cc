// Sessions' bookkeeping and idempotency keys while a command is applied. Owns the limits of one session. See
// requests.h.
#include "fsm/requests.h"

#include <algorithm>

#include "base/check.h"
#include "fsm/operations.h"
#include "fsm/stored_result.h"

namespace capstan::fsm {
namespace {

using schema::ErrorCode;
using storage::Family;

constexpr size_t rangesMax = 1024;
constexpr uint32_t busyRetryMs = 100;
constexpr size_t rowsAtOnce = 4096;
constexpr uint64_t gapMax = 64;  // sequences that are looked up one by one; a larger gap is scanned

void dropResult(Change& change, SessionRow& session, const std::string& key, size_t bytes) {
  CAPSTAN_ASSERT(session.results > 0 && session.resultBytes >= bytes, session.results, session.resultBytes, bytes);
  change.rows.remove(Family::sessions, key);
  --session.results;
  session.resultBytes -= bytes;
}

void dropReceived(Change& change, SessionRow& session, uint64_t number, uint64_t from, uint64_t to) {
  if (session.results == 0) return;
  if (to - from <= gapMax) {
    for (uint64_t sequence = from; sequence < to; ++sequence) {
      const std::string key = storage::sessionKey(number, sequence);
      if (const auto row = change.rows.get(Family::sessions, key)) dropResult(change, session, key, row->size());
    }
    return;
  }
  const std::string end = storage::sessionKey(number, to);
  std::string place = storage::sessionKey(number, from);
  for (;;) {
    const ScannedRows found = change.rows.scan(Family::sessions, place, end, rowsAtOnce);
    for (const auto& [key, value] : found.rows) dropResult(change, session, key, value.size());
    if (found.isAll) return;
    place = found.rows.back().first;
  }
}

// Adds one sequence to the ranges. False: it would be one range too many.
bool addReceived(SessionRow& session, uint64_t sequence) {
  auto& ranges = session.received;
  auto next = std::lower_bound(ranges.begin(), ranges.end(), sequence,
                               [](const auto& range, uint64_t value) { return range.second < value; });
  if (next != ranges.end() && next->first <= sequence && sequence < next->second) return true;
  if (next != ranges.end() && next->second == sequence) {
    ++next->second;
    const auto behind = next + 1;
    if (behind != ranges.end() && behind->first == next->second) {
      next->second = behind->second;
      ranges.erase(behind);
    }
    return true;
  }
  if (next != ranges.end() && next->first == sequence + 1) {
    --next->first;
    return true;
  }
  if (ranges.size() >= rangesMax) return false;
  ranges.insert(next, {sequence, sequence + 1});
  return true;
}

bool isReceived(const SessionRow& session, uint64_t sequence) {
  return sequence < session.lowest ||
         std::any_of(session.received.begin(), session.received.end(),
                     [&](const auto& range) { return range.first <= sequence && sequence < range.second; });
}

void noteReceived(Change& change, uint64_t number, schema::RequestId::Reader id) {
  SessionRow& session = change.touchSession(number).row;
  const uint64_t lowest = id.getLowestUnanswered();
  if (lowest > session.lowest) {
    dropReceived(change, session, number, session.lowest, lowest);
    session.lowest = lowest;
    auto& ranges = session.received;
    while (!ranges.empty() && ranges.front().second <= lowest) ranges.erase(ranges.begin());
    if (!ranges.empty() && ranges.front().first < lowest) ranges.front().first = lowest;
  }
  for (const uint64_t sequence : id.getReceivedAbove()) {
    if (sequence < session.lowest || sequence == UINT64_MAX || !addReceived(session, sequence)) continue;
    dropReceived(change, session, number, sequence, sequence + 1);
  }
}

CommandResult storedResult(Change& change, std::string_view bytes) {
  CommandResult result = decodeResult(bytes);
  if (!result.lease.isZero()) regrant(change, result);
  for (CommandResult& part : result.parts) {
    if (!part.lease.isZero()) regrant(change, part);
  }
  return result;
}

std::optional<CommandResult> admitSequence(Change& change, schema::RequestId::Reader id) {
  const uint64_t number = id.getSession();
  if (!change.state.sessions.contains(number)) {
    return refuse(ErrorCode::SESSION_EXPIRED, "the session is unknown or over; the request was not carried out",
                  "request.session");
  }
  keepSession(change, number);
  noteReceived(change, number, id);
  const SessionRow& session = change.state.sessions.at(number).row;
  const uint64_t sequence = id.getSequence();
  if (isReceived(session, sequence)) {
    return refuse(ErrorCode::REQUEST_FORGOTTEN, "the result of this request was received and is no longer kept",
                  "request.sequence");
  }
  if (const auto row = change.rows.get(Family::sessions, storage::sessionKey(number, sequence))) {
    return storedResult(change, *row);
  }
  const uint64_t results = uint64_t{session.results} + change.state.sessions.at(number).awaited;
  if (results >= change.limits.sessionResultsMax || session.resultBytes >= change.limits.sessionResultBytesMax ||
      session.received.size() >= rangesMax) {
    return refuse(ErrorCode::BUSY, "the session has too many results that were not received", "request.session",
                  busyRetryMs);
  }
  return std::nullopt;
}

std::optional<CommandResult> admitKey(Change& change, std::string_view tenant, schema::Command::Reader command) {
  const std::string key = storage::requestKey(tenant, codec::viewOf(command.getRequest().getIdempotencyKey()));
  const auto bytes = change.rows.get(Family::requests, key);
  if (!bytes) return std::nullopt;
  const KeyedResultRow row = KeyedResultRow::decode(*bytes);
  if (row.untilMs <= change.nowMs()) return std::nullopt;
  if (row.digest != codec::viewOf(command.getRequestDigest())) {
    return refuse(ErrorCode::IDEMPOTENCY_CONFLICT, "the idempotency key was used before with a different request",
                  "request.idempotencyKey");
  }
  return storedResult(change, row.result);
}

bool hasSession(schema::RequestId::Reader id) { return id.getSession() != 0; }
bool hasKey(schema::RequestId::Reader id) { return id.getIdempotencyKey().size() > 0; }

// A refusal that asks for another try is no result: the next try must be carried out.
bool isResult(const CommandResult& result) {
  return result.code != ErrorCode::BUSY && result.code != ErrorCode::DISK_FULL &&
         result.code != ErrorCode::QUEUE_DELETING;
}

}  // namespace

bool hasRequestId(schema::Command::Reader command) {
  return command.hasRequest() && (hasSession(command.getRequest()) || hasKey(command.getRequest()));
}

Admission admit(Change& change, std::string_view tenant, schema::Command::Reader command) {
  const auto id = command.getRequest();
  std::optional<CommandResult> known;
  if (hasSession(id)) known = admitSequence(change, id);
  if (!known && hasKey(id)) known = admitKey(change, tenant, command);
  if (known) return {false, std::move(*known)};
  return {true, {}};
}

void awaitResult(Change& change, schema::Command::Reader command) {
  const auto session = change.state.sessions.find(command.getRequest().getSession());
  if (session != change.state.sessions.end()) ++session->second.awaited;
}

void remember(Change& change, std::string_view tenant, schema::Command::Reader command, const CommandResult& result) {
  const auto id = command.getRequest();
  const auto session = change.state.sessions.find(id.getSession());
  const bool isOpen = session != change.state.sessions.end();
  if (isOpen) --session->second.awaited;
  if (!isResult(result)) return;
  // A fetch that will wait is tried again by the server under the same id.
  if (command.getMayPark() && result.code == ErrorCode::OK && result.lease.isZero()) return;
  const std::string bytes = encodeResult(result);
  // A later command of the entry may have said that nobody waits for it any more.
  if (isOpen && !isReceived(session->second.row, id.getSequence())) {
    SessionRow& row = change.touchSession(id.getSession()).row;
    change.rows.put(Family::sessions, storage::sessionKey(id.getSession(), id.getSequence()), bytes);
    ++row.results;
    row.resultBytes += bytes.size();
  }
  if (hasKey(id) && result.code == ErrorCode::OK) {
    const std::string key = storage::requestKey(tenant, codec::viewOf(id.getIdempotencyKey()));
    const uint64_t untilMs = change.nowMs() + change.limits.idempotencyKeepMs;
    change.rows.put(Family::requests, key,
                    KeyedResultRow{std::string(codec::viewOf(command.getRequestDigest())), untilMs, bytes}.encode());
    change.addTimer(untilMs, storage::TimerKind::idempotency, key);
  }
}

}  // namespace capstan::fsm
