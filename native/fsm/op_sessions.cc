// openSession and closeSession, the life of a session that is used, and the end of an idle one. Owns nothing. Inputs:
// name and keepMs; session. Called by commands.cc, requests.cc and tick.
#include "base/check.h"
#include "fsm/operations.h"
#include "fsm/siphash.h"

namespace capstan::fsm {
namespace {

using schema::ErrorCode;
using storage::Family;

constexpr size_t rowsAtOnce = 4096;

// Nobody can guess another client's session: a keyed hash, like a lease id.
uint64_t sessionNumber(Change& change) {
  const auto* key = reinterpret_cast<const uint8_t*>(change.state.meta.secret.data());
  CAPSTAN_ASSERT(change.state.meta.secret.size() >= 32, change.state.meta.secret.size());
  for (;;) {
    std::array<uint8_t, 24> message;
    std::copy(change.stamp.seed.begin(), change.stamp.seed.end(), message.begin());
    putLittle<uint64_t>(message.data() + 16, ++change.state.meta.sessions);
    // The other half of the secret, so that no session tells anything of a lease.
    const auto hash = sipHash128(std::span<const uint8_t, 16>(key + 16, 16), message);
    const auto number = getLittle<uint64_t>(hash.data());
    if (number != 0 && number != UINT64_MAX && !change.state.sessions.contains(number)) return number;
  }
}

}  // namespace

CommandResult openSession(Change& change, schema::OpenSessionRequest::Reader request) {
  if (change.state.sessions.size() >= change.limits.sessionsMax) {
    return refuseAtLimit(change.limits.sessionsMax, "sessions", "");
  }
  CommandResult result;
  result.session = sessionNumber(change);
  result.leaseMs = request.getKeepMs();
  SessionRow& row = change.state.sessions[result.session].row;
  row.name = codec::viewOf(request.getName());
  row.keepMs = request.getKeepMs();
  change.touchSession(result.session);
  keepSession(change, result.session);
  return result;
}

void keepSession(Change& change, uint64_t number) {
  SessionRow& row = change.state.sessions.at(number).row;
  // Moved only when less than keepMs is left, and by more than that: an idle session lives between once and one and a
  // half times keepMs, and a busy one costs a timer now and then instead of one a request.
  if (row.dueMs >= change.nowMs() + row.keepMs) return;
  row.dueMs = change.nowMs() + row.keepMs + row.keepMs / 2;
  change.touchSession(number);
  std::string reference;
  storage::append64(reference, number);
  change.addTimer(row.dueMs, storage::TimerKind::session, reference);
}

CommandResult closeSession(Change& change, schema::CloseSessionRequest::Reader request) {
  if (!change.state.sessions.contains(request.getSession())) {
    return refuse(ErrorCode::SESSION_EXPIRED, "the session is unknown or over", "session");
  }
  dropSession(change, request.getSession());
  return {};
}

void dropSession(Change& change, uint64_t number) {
  std::string from = storage::sessionKey(number, 0);
  std::string to;
  storage::append64(to, number + 1);
  for (;;) {
    const ScannedRows found = change.rows.scan(Family::sessions, from, to, rowsAtOnce);
    for (const auto& [key, value] : found.rows) change.rows.remove(Family::sessions, key);
    if (found.isAll) break;
    from = found.rows.back().first;
  }
  change.state.sessions.erase(number);
}

}  // namespace capstan::fsm
