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

CommandResult givenAgain(Change& change, CommandResult result) {
  if (!result.lease.isZero()) regrant(change, result);
  for (CommandResult& part : result.parts) {
    if (!part.lease.isZero()) regrant(change, part);
  }
  return result;
}

// Digests that are both known and differ are of two requests.
bool isAnother(std::string_view stored, schema::Command::Reader command) {
  const std::string_view digest = codec::viewOf(command.getRequestDigest());
  return !stored.empty() && !digest.empty() && stored != digest;
}

// The lowest sequence always goes: all others may be waiting for it, and with it the session holds one result more at
// most than its limit says.
bool isFull(const Change& change, const Session& session, uint64_t sequence) {
  const SessionRow& row = session.row;
  if (sequence == row.lowest) return false;
  return uint64_t{row.results} + session.awaited >= change.limits.sessionResultsMax ||
         row.resultBytes >= change.limits.sessionResultBytesMax || row.received.size() >= rangesMax;
}

std::optional<CommandResult> admitSequence(Change& change, schema::Command::Reader command) {
  const auto id = command.getRequest();
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
    SessionResult stored = decodeSessionResult(*row);
    if (isAnother(stored.digest, command)) {
      return refuse(ErrorCode::IDEMPOTENCY_CONFLICT, "the sequence was used before with a different request",
                    "request.sequence");
    }
    return givenAgain(change, std::move(stored.result));
  }
  if (isFull(change, change.state.sessions.at(number), sequence)) {
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
  return givenAgain(change, decodeResult(row.result));
}

bool hasSession(schema::RequestId::Reader id) { return id.getSession() != 0; }
bool hasKey(schema::RequestId::Reader id) { return id.getIdempotencyKey().size() > 0; }

// A later command of the entry may have said that nobody waits for it any more.
void keepInSession(Change& change, schema::Command::Reader command, std::string_view encodedResult) {
  const auto id = command.getRequest();
  const auto session = change.state.sessions.find(id.getSession());
  if (session == change.state.sessions.end() || isReceived(session->second.row, id.getSequence())) return;
  SessionRow& row = change.touchSession(id.getSession()).row;
  const std::string bytes = encodeSessionResult(encodedResult, codec::viewOf(command.getRequestDigest()));
  change.rows.put(Family::sessions, storage::sessionKey(id.getSession(), id.getSequence()), bytes);
  ++row.results;
  row.resultBytes += bytes.size();
}

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
  if (hasSession(id)) known = admitSequence(change, command);
  if (known || !hasKey(id)) return {!known, known ? std::move(*known) : CommandResult()};
  known = admitKey(change, tenant, command);
  if (!known) return {true, {}};
  // It is the answer of this sequence too, and stays that when the key is forgotten.
  if (hasSession(id)) keepInSession(change, command, encodeResult(*known));
  return {false, std::move(*known)};
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
  if (isOpen) keepInSession(change, command, bytes);
  if (hasKey(id) && result.code == ErrorCode::OK) {
    const std::string key = storage::requestKey(tenant, codec::viewOf(id.getIdempotencyKey()));
    const uint64_t untilMs = change.nowMs() + change.limits.idempotencyKeepMs;
    change.rows.put(Family::requests, key,
                    KeyedResultRow{std::string(codec::viewOf(command.getRequestDigest())), untilMs, bytes}.encode());
    change.addTimer(untilMs, storage::TimerKind::idempotency, key);
  }
}

}  // namespace capstan::fsm
