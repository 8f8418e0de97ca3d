// Moves jobs between families: liftRecord takes a record out of its lane, becomeJob puts one in. Owns the order of the
// writes of each move and the arithmetic of back-off. Called by the operations, see jobs.h.
#include "fsm/jobs.h"

#include "base/check.h"
#include "fsm/ids.h"

namespace capstan::fsm {
namespace {

using storage::ClockKind;
using storage::Family;

struct Placed {
  Queue& queue;
  Lane& lane;
};

Placed placeOf(Change& change, const LeaseItem& item) {
  Queue* queue = change.state.queueOf(item.lane.queue);
  Lane* lane = change.state.findLane(item.lane);
  CAPSTAN_ASSERT(queue != nullptr && lane != nullptr, item.id.hex());
  return {*queue, *lane};
}

uint32_t attemptsMaxOf(const Queue& queue, uint32_t ofRecord) {
  return ofRecord == 0 ? queue.row.settings.maxAttempts : ofRecord;
}

// base × factor^(attempts - 1), at most the queue's maximum, ± its jitter.
uint64_t backoffMs(const Change& change, const Queue& queue, const JobId& id, uint32_t attempts) {
  const codec::QueueDefaults& settings = queue.row.settings;
  uint64_t delayMs = std::min(settings.backoffBaseMs, settings.backoffMaxMs);
  for (uint32_t step = 1; step < attempts && delayMs < settings.backoffMaxMs && delayMs > 0; ++step) {
    const uint64_t before = delayMs;
    delayMs = static_cast<uint64_t>(static_cast<unsigned __int128>(delayMs) * settings.backoffFactorPercent / 100);
    delayMs = std::min(delayMs, settings.backoffMaxMs);
    if (delayMs == before) break;
  }
  const uint64_t spreadMs =
      static_cast<uint64_t>(static_cast<unsigned __int128>(delayMs) * settings.backoffJitterPercent / 100);
  if (spreadMs == 0) return delayMs;
  const uint64_t shiftMs = change.random(storage::idKey(id)) % (2 * spreadMs + 1);
  return delayMs + shiftMs > spreadMs ? delayMs + shiftMs - spreadMs : 0;
}

void forgetJob(Change& change, Queue& queue, uint32_t group, uint64_t storedBytes) {
  change.touch(queue);
  CAPSTAN_ASSERT(queue.row.counters.bytes >= storedBytes, queue.number);
  queue.row.counters.bytes -= storedBytes;
  change.addToGroup(queue, group, -1);
}

ReadyJob readyOf(const LeaseItem& item) {
  return {item.id, item.payloadBytes, item.storedBytes, item.maxAttempts, nullptr};
}

// Takes the record out of `jobs`; the item is closed.
std::shared_ptr<const RecordBytes> liftRecord(Change& change, const Placed& placed, const JobId& id) {
  std::shared_ptr<const RecordBytes> record = recordOf(change, placed.lane, id);
  CAPSTAN_ASSERT(record != nullptr, id.hex());
  removeLeased(change, placed.queue, placed.lane, id);
  change.countMoved(uint64_t{record->wordCount} * 8);
  return record;
}

void die(Change& change, const LeaseItem& item, const Placed& placed) {
  const std::shared_ptr<const RecordBytes> record = liftRecord(change, placed, item.id);
  const std::string key = storage::deadKey(placed.queue.number, change.nowMs(), item.id);
  change.rows.put(Family::dead, key, encodeDead(change.stamp.wallMs, viewOf(*record)));
  change.rows.put(Family::places, storage::idKey(item.id), encodePlace(Family::dead, key));
  ++placed.queue.row.counters.dead;
  ++placed.queue.row.counters.died;
  ensureDeadTimer(change, placed.queue);
}

JobId idOfScheduled(std::string_view key) { return storage::idAt<JobId>(key, 9); }
JobId idOfDead(std::string_view key) { return storage::idAt<JobId>(key, 12); }

void becomeJob(Change& change, Queue& queue, const JobId& id, std::string_view record) {
  const RecordFacts facts = readFacts(record);
  change.countMoved(record.size());
  change.rows.remove(Family::places, storage::idKey(id));
  // Beyond lanesMax too: what is due must neither be lost nor wait without end. Each lane that is made here is one of
  // a queue and a group that the limits of those have let in, and commands that ask for new lanes are refused.
  Lane& lane = change.laneFor(queue, facts.priority, facts.group);
  putJob(change, queue, lane, {id, facts.payloadBytes, facts.storedBytes, facts.maxAttempts, copyRecord(record)});
}

// Ends a job whose record is not in its lane; `count` is the counter of its family.
void dropRecord(Change& change, Family family, const std::string& key, const JobId& id, std::string_view record,
                uint64_t Counters::*count) {
  const RecordFacts facts = readFacts(record);
  Queue* queue = change.state.queueOf(facts.queue);
  CAPSTAN_ASSERT(queue != nullptr && queue->row.counters.*count > 0, facts.queue);
  change.countMoved(record.size());
  change.rows.remove(family, key);
  change.rows.remove(Family::places, storage::idKey(id));
  change.dropAttempts(id, change.attemptsOf(id).has_value());
  --(queue->row.counters.*count);
  forgetJob(change, *queue, facts.group, facts.storedBytes);
}

}  // namespace

void closeItem(Change& change, Lease& lease, uint32_t item) {
  LeaseItem& closing = lease.row.items[item];
  CAPSTAN_ASSERT(!closing.closed && lease.open > 0, closing.id.hex());
  closing.closed = true;
  --lease.open;
  lease.marksTouched = true;
  change.touch(lease);
  change.state.leasedJobs.erase(closing.id);
}

void jobDone(Change& change, const LeaseItem& item) {
  const Placed placed = placeOf(change, item);
  removeLeased(change, placed.queue, placed.lane, item.id);
  change.dropAttempts(item.id, item.attempts > 0);
  forgetJob(change, placed.queue, item.lane.group, item.storedBytes);
}

void jobReturned(Change& change, const LeaseItem& item) {
  if (item.doomed) return jobDone(change, item);
  const Placed placed = placeOf(change, item);
  unlease(change, placed.queue, placed.lane, readyOf(item));
}

bool jobExpired(Change& change, const LeaseItem& item) {
  if (item.doomed) {
    jobDone(change, item);
    return false;
  }
  const Placed placed = placeOf(change, item);
  const uint32_t attempts = item.attempts + 1;
  change.touch(placed.queue);
  ++placed.queue.row.counters.expired;
  change.putAttempts(item.id, {attempts, "the lease ended without an answer"}, item.attempts > 0);
  const uint32_t attemptsMax = attemptsMaxOf(placed.queue, item.maxAttempts);
  const bool dies = attemptsMax != codec::unlimitedAttempts && attempts >= attemptsMax;
  if (dies) {
    die(change, item, placed);
  } else {
    unlease(change, placed.queue, placed.lane, readyOf(item));
  }
  return dies;
}

void jobFailed(Change& change, const LeaseItem& item, std::string_view reason, std::optional<uint64_t> delayMs,
               bool dies) {
  if (item.doomed) return jobDone(change, item);
  const Placed placed = placeOf(change, item);
  const uint32_t attempts = item.attempts + 1;
  change.touch(placed.queue);
  ++placed.queue.row.counters.failed;
  change.putAttempts(item.id, {attempts, std::string(reason)}, item.attempts > 0);
  const uint32_t attemptsMax = attemptsMaxOf(placed.queue, item.maxAttempts);
  if (dies || (attemptsMax != codec::unlimitedAttempts && attempts >= attemptsMax)) return die(change, item, placed);
  const uint64_t waitMs = delayMs ? *delayMs : backoffMs(change, placed.queue, item.id, attempts);
  if (waitMs == 0) return unlease(change, placed.queue, placed.lane, readyOf(item));
  const std::shared_ptr<const RecordBytes> record = liftRecord(change, placed, item.id);
  const uint64_t dueMs = change.nowMs() + waitMs;
  const std::string key = storage::scheduledKey(ClockKind::elapsed, dueMs, item.id);
  change.rows.put(Family::scheduled, key, viewOf(*record));
  change.rows.put(Family::places, storage::idKey(item.id), encodePlace(Family::scheduled, key));
  change.state.scheduledNext[0] = std::min(change.state.scheduledNext[0], dueMs);
  ++placed.queue.row.counters.scheduled;
}

void jobDue(Change& change, const std::string& key, std::string_view record) {
  Queue* queue = change.state.queueOf(readFacts(record).queue);
  CAPSTAN_ASSERT(queue != nullptr, readFacts(record).queue);
  if (queue->row.deleting) return dropScheduled(change, key, record);
  change.rows.remove(Family::scheduled, key);
  change.touch(*queue);
  --queue->row.counters.scheduled;
  becomeJob(change, *queue, idOfScheduled(key), record);
}

void dropScheduled(Change& change, const std::string& key, std::string_view record) {
  dropRecord(change, Family::scheduled, key, idOfScheduled(key), record, &Counters::scheduled);
}

void dropDead(Change& change, const std::string& key, std::string_view row) {
  dropRecord(change, Family::dead, key, idOfDead(key), decodeDead(row).second, &Counters::dead);
}

uint64_t dropJob(Change& change, Queue& queue, Lane& lane, const JobId& id) {
  const auto leased = change.state.leasedJobs.find(id);
  if (leased != change.state.leasedJobs.end()) {
    const LeasePlace place = leased->second;
    const LeaseItem& item = place.lease->row.items[place.item];
    closeItem(change, *place.lease, place.item);
    jobDone(change, item);
    return item.storedBytes;
  }
  const std::shared_ptr<const RecordBytes> record = recordOf(change, lane, id);
  CAPSTAN_ASSERT(record != nullptr, id.hex());
  removeReady(change, queue, lane, id);
  change.dropAttempts(id, change.attemptsOf(id).has_value());
  change.countMoved(uint64_t{record->wordCount} * 8);
  const uint64_t bytes = readFacts(viewOf(*record)).storedBytes;
  forgetJob(change, queue, lane.key.group, bytes);
  return bytes;
}

void redriveJob(Change& change, const std::string& key, std::string_view row) {
  const auto [wallMs, record] = decodeDead(row);
  const JobId id = idOfDead(key);
  Queue* queue = change.state.queueOf(readFacts(record).queue);
  CAPSTAN_ASSERT(queue != nullptr && queue->row.counters.dead > 0, id.hex());
  change.rows.remove(Family::dead, key);
  change.dropAttempts(id, change.attemptsOf(id).has_value());
  change.touch(*queue);
  --queue->row.counters.dead;
  becomeJob(change, *queue, id, record);
}

void ensureDeadTimer(Change& change, Queue& queue, uint64_t firstMs) {
  if (queue.row.deadDueMs != 0 || queue.row.counters.dead == 0 || queue.row.deleting) return;
  const auto first = change.rows
                         .scan(Family::dead, storage::deadKey(queue.number, firstMs, JobId{}),
                               storage::deadKey(queue.number + 1, 0, JobId{}), 1)
                         .rows;
  CAPSTAN_ASSERT(!first.empty(), queue.number);
  queue.row.deadDueMs = storage::number64(first[0].first, 4) + queue.row.settings.deadKeepMs;
  change.touch(queue);
  std::string reference;
  storage::append32(reference, queue.number);
  change.addTimer(queue.row.deadDueMs, storage::TimerKind::dead, reference);
}

}  // namespace capstan::fsm
