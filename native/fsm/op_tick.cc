// tick: moves what is due, in a fixed order and at most so many rows: leases past their deadline, scheduled jobs,
// timers, then a step of the bulk operations. Proposed by the leader when the earliest due instant passes. Input:
// rowsMax.
#include "base/check.h"
#include "fsm/bulk.h"
#include "fsm/jobs.h"
#include "fsm/operations.h"

namespace capstan::fsm {
namespace {

using storage::ClockKind;
using storage::Family;
using storage::TimerKind;

uint32_t expireLeases(Change& change, uint32_t rowsMax) {
  uint32_t moved = 0;
  uint64_t bytes = 0;
  State& state = change.state;
  // Closed leases stay in `deadlines` until the entry ends, so the place moves on by itself.
  for (auto at = state.deadlines.begin(); at != state.deadlines.end() && at->first <= change.nowMs(); ++at) {
    Lease* lease = state.findLease(at->second);
    CAPSTAN_ASSERT(lease != nullptr, at->second.hex());
    for (uint32_t item = 0; item < lease->row.items.size(); ++item) {
      if (lease->row.items[item].closed) continue;
      if (moved == rowsMax || bytes >= stepBytesMax) return moved;
      ++moved;
      closeItem(change, *lease, item);
      if (jobExpired(change, lease->row.items[item])) bytes += lease->row.items[item].storedBytes;
    }
  }
  return moved;
}

std::string clockKey(ClockKind clock, uint64_t ms) {
  std::string key(1, static_cast<char>(clock));
  storage::append64(key, ms);
  return key;
}

// The rows of one clock that are due at `nowMs`. `next` becomes the first instant that may be due later.
template <class Each>
uint32_t forDue(Change& change, Family family, ClockKind clock, uint64_t nowMs, uint64_t& next, uint32_t rowsMax,
                Each each) {
  if (next > nowMs || rowsMax == 0) return 0;
  const std::string end = clockKey(clock, nowMs + 1);
  const auto [rows, isAll] = change.rows.scan(family, clockKey(clock, next), end, rowsMax);
  if (!isAll) {
    next = storage::number64(rows.back().first, 1);
  } else {
    const std::string clockEnd(1, static_cast<char>(static_cast<uint8_t>(clock) + 1));
    const auto later = change.rows.scan(family, end, clockEnd, 1).rows;
    next = later.empty() ? UINT64_MAX : storage::number64(later[0].first, 1);
  }
  for (const auto& [key, value] : rows) each(key, value);
  return static_cast<uint32_t>(rows.size());
}

uint32_t evictDead(Change& change, Queue& queue, uint32_t rowsMax) {
  const uint64_t keepMs = queue.row.settings.deadKeepMs;
  // The timer was made for the first one of then, so nothing lies before it but what was removed.
  const uint64_t firstMs = queue.row.deadDueMs - keepMs;
  queue.row.deadDueMs = 0;
  const ScannedRows found =
      change.rows.scan(Family::dead, storage::deadKey(queue.number, firstMs, JobId{}),
                       storage::deadKey(queue.number, change.nowMs() - keepMs + 1, JobId{}), rowsMax);
  for (const auto& [key, row] : found.rows) {
    dropDead(change, key, row);
    ++queue.row.counters.evicted;
  }
  ensureDeadTimer(change, queue, found.rows.empty() ? firstMs : storage::number64(found.rows.back().first, 4));
  return static_cast<uint32_t>(found.rows.size());
}

void endKeyedResult(Change& change, const std::string& key, uint64_t dueMs) {
  const auto row = change.rows.get(Family::requests, key);
  if (row && KeyedResultRow::decode(*row).untilMs == dueMs) change.rows.remove(Family::requests, key);
}

// A timer acts only if the row it refers to states the same instant.
// `evictionsLeft`: how many dead jobs this tick may still drop; what is left keeps its timer.
void fire(Change& change, const std::string& timer, uint32_t& evictionsLeft) {
  change.rows.remove(Family::timers, timer);
  const uint64_t dueMs = storage::number64(timer, 1);
  const std::string reference = timer.substr(10);
  switch (static_cast<TimerKind>(timer[9])) {
    case TimerKind::session: {
      const uint64_t number = storage::number64(reference, 0);
      const auto found = change.state.sessions.find(number);
      if (found != change.state.sessions.end() && found->second.row.dueMs == dueMs) dropSession(change, number);
      return;
    }
    case TimerKind::idempotency:
      endKeyedResult(change, reference, dueMs);
      return;
    case TimerKind::dead: {
      Queue* queue = change.state.queueOf(storage::number32(reference, 0));
      if (queue == nullptr || queue->row.deadDueMs != dueMs) return;
      if (change.moved() >= movedBytesMax) evictionsLeft = 0;
      evictionsLeft -= evictDead(change, *queue, evictionsLeft);
      return;
    }
  }
  CAPSTAN_ASSERT(false, static_cast<int>(timer[9]));
}

}  // namespace

void tick(Change& change, uint32_t rowsMax) {
  State& state = change.state;
  uint32_t left = rowsMax;
  left -= expireLeases(change, left);
  const auto due = [&](const std::string& key, const std::string& record) { jobDue(change, key, record); };
  const uint64_t wallMs = change.stamp.wallMs < 0 ? 0 : static_cast<uint64_t>(change.stamp.wallMs);
  left -= forDue(change, Family::scheduled, ClockKind::elapsed, change.nowMs(), state.scheduledNext[0], left, due);
  left -= forDue(change, Family::scheduled, ClockKind::wall, wallMs, state.scheduledNext[1], left, due);
  uint32_t evictionsLeft = left;
  left -= forDue(change, Family::timers, ClockKind::elapsed, change.nowMs(), state.timersNext, left,
                 [&](const std::string& key, const std::string&) { fire(change, key, evictionsLeft); });
  if (left > 0 && !state.operations.empty()) stepBulk(change, left);
}

}  // namespace capstan::fsm
