// The steps of bulk operations: deleting a queue with everything in it, redriving and deleting dead jobs. Owns the
// order of the phases. Each step continues at the key where the last one ended. See bulk.h.
#include "fsm/bulk.h"

#include "base/check.h"
#include "fsm/ids.h"
#include "fsm/jobs.h"

namespace capstan::fsm {
namespace {

using storage::Family;

constexpr uint8_t phaseJobs = 0;
constexpr uint8_t phaseScheduled = 1;
constexpr uint8_t phaseDead = 2;
constexpr uint8_t phaseRest = 3;

std::string queuePrefix(uint32_t queue) {
  std::string prefix;
  storage::append32(prefix, queue);
  return prefix;
}

// Removes jobs of a queue that is being deleted, leased or not, in the order of their keys. Nothing is put into it any
// more, so what is left of a lane lies behind the last one removed: `place`, and the keys before it are not looked
// through again.
uint32_t dropJobs(Change& change, OperationRow& operation, Queue& queue, uint32_t rowsMax) {
  uint32_t looked = 0;
  uint64_t bytes = 0;
  for (auto& level : queue.levels) {
    if (!level) continue;
    for (auto& [group, lane] : level->lanes) {
      while (lane.count > 0) {
        if (looked >= rowsMax || bytes >= stepBytesMax) return looked;
        const bool goesOn = !operation.place.empty() && storage::laneOf(operation.place) == lane.key;
        const JobId from = goesOn ? after(storage::idAt<JobId>(operation.place, storage::laneKeyBytes)) : JobId{};
        const std::vector<JobId> ids = firstRows(change, lane, from, rowsMax - looked);
        CAPSTAN_ASSERT(!ids.empty(), queue.number, lane.count);
        for (const JobId& id : ids) {
          if (bytes >= stepBytesMax) break;
          bytes += dropJob(change, queue, lane, id);
          ++looked;
          ++operation.done;
          operation.place = storage::jobKey(lane.key, id);
        }
      }
    }
  }
  ++operation.phase;
  operation.place.clear();
  return looked;
}

// `scheduled` is ordered by time, so all of it is looked through; the id says whose a row is.
uint32_t dropScheduledOf(Change& change, OperationRow& operation, Queue& queue, uint32_t rowsMax) {
  const std::string end(1, 2);  // behind both clocks
  const auto [rows, isAll] = change.rows.scan(Family::scheduled, operation.place, end, rowsMax);
  for (const auto& [key, record] : rows) {
    if (readFacts(record).queue != queue.number) continue;
    dropScheduled(change, key, record);
    ++operation.done;
  }
  if (isAll || queue.row.counters.scheduled == 0) {
    ++operation.phase;
    operation.place.clear();
  } else {
    operation.place = rows.back().first + '\0';
  }
  return static_cast<uint32_t>(rows.size());
}

template <class Each>
uint32_t forDead(Change& change, OperationRow& operation, uint32_t rowsMax, const std::string& end, bool& finished,
                 Each each) {
  const std::string from = operation.place.empty() ? queuePrefix(operation.queue) : operation.place;
  const auto [rows, isAll] = change.rows.scan(Family::dead, from, end, rowsMax);
  for (const auto& [key, row] : rows) each(key, row);
  operation.done += rows.size();
  finished = isAll;
  if (!finished) operation.place = rows.back().first + '\0';
  return static_cast<uint32_t>(rows.size());
}

uint32_t stepDeleteQueue(Change& change, OperationRow& operation, uint32_t rowsMax) {
  Queue* queue = change.state.queueOf(operation.queue);
  CAPSTAN_ASSERT(queue != nullptr && queue->row.deleting, operation.queue);
  uint32_t looked = 0;
  if (operation.phase == phaseJobs) looked += dropJobs(change, operation, *queue, rowsMax);
  if (operation.phase == phaseScheduled && looked < rowsMax) {
    looked += dropScheduledOf(change, operation, *queue, rowsMax - looked);
  }
  if (operation.phase == phaseDead && looked < rowsMax) {
    bool finished = false;
    looked += forDead(change, operation, rowsMax - looked, behindPrefix(queuePrefix(queue->number)), finished,
                      [&](const std::string& key, const std::string& row) { dropDead(change, key, row); });
    if (finished) ++operation.phase;
  }
  if (operation.phase == phaseRest && looked < rowsMax) {
    change.dropQueue(*queue);
    operation.finished = true;
  }
  return looked;
}

void changeDeadRow(Change& change, OperationKind kind, const std::string& key, const std::string& row) {
  if (kind == OperationKind::redriveDead) {
    redriveJob(change, key, row);
  } else {
    dropDead(change, key, row);
  }
}

// Those that are dead no more, or again in vain, were settled by somebody else.
uint32_t stepDeadIds(Change& change, OperationRow& operation, const Queue& queue, uint32_t rowsMax) {
  uint32_t looked = 0;
  const uint64_t before = change.moved();
  size_t at = 0;
  for (; at < operation.place.size() && looked < rowsMax && change.moved() - before < stepBytesMax; at += 16) {
    ++looked;
    const auto key = findDeadRow(change, queue, storage::idAt<JobId>(operation.place, at));
    if (!key) continue;
    const auto row = change.rows.get(Family::dead, *key);
    CAPSTAN_ASSERT(row.has_value(), queue.number);
    changeDeadRow(change, operation.kind, *key, *row);
    ++operation.done;
  }
  operation.place.erase(0, at);
  operation.finished = operation.place.empty();
  return looked;
}

uint32_t stepDead(Change& change, OperationRow& operation, uint32_t rowsMax) {
  Queue* queue = change.state.queueOf(operation.queue);
  if (queue == nullptr || queue->row.deleting) {  // its dead jobs go with it
    operation.finished = true;
    return 0;
  }
  if (operation.phase == phaseOfIds) return stepDeadIds(change, operation, *queue, rowsMax);
  std::string end = queuePrefix(operation.queue);
  storage::append64(end, operation.untilMs);
  return forDead(
      change, operation, rowsMax, end, operation.finished,
      [&](const std::string& key, const std::string& row) { changeDeadRow(change, operation.kind, key, row); });
}

uint32_t step(Change& change, OperationRow& operation, uint32_t rowsMax) {
  return operation.kind == OperationKind::deleteQueue ? stepDeleteQueue(change, operation, rowsMax)
                                                      : stepDead(change, operation, rowsMax);
}

void forgetOld(Change& change, uint64_t newest) {
  if (newest <= finishedKept) return;
  const uint64_t old = newest - finishedKept;
  if (!change.state.operations.contains(old)) change.rows.remove(Family::operations, storage::operationKey(old));
}

}  // namespace

std::optional<std::string> findDeadRow(Change& change, const Queue& queue, const JobId& id) {
  const auto place = change.rows.get(Family::places, storage::idKey(id));
  if (!place) return std::nullopt;
  auto [family, key] = decodePlace(*place);
  if (family != Family::dead || storage::number32(key, 0) != queue.number) return std::nullopt;
  return std::move(key);
}

CommandResult beginBulk(Change& change, OperationRow operation, uint32_t rowsMax) {
  CommandResult result;
  if (change.moved() < movedBytesMax) step(change, operation, rowsMax);
  result.operationDone = operation.done;
  result.operationFinished = operation.finished;
  if (operation.finished) return result;
  result.operation = ++change.state.meta.operations;
  change.rows.put(Family::operations, storage::operationKey(result.operation), operation.encode());
  change.state.operations[result.operation] = std::move(operation);
  forgetOld(change, result.operation);
  return result;
}

uint32_t stepBulk(Change& change, uint32_t rowsMax) {
  uint32_t looked = 0;
  auto& running = change.state.operations;
  for (auto at = running.begin(); at != running.end() && looked < rowsMax && change.moved() < movedBytesMax;) {
    OperationRow& operation = at->second;
    looked += step(change, operation, rowsMax - looked);
    const std::string key = storage::operationKey(at->first);
    if (operation.finished && at->first + finishedKept <= change.state.meta.operations) {
      change.rows.remove(Family::operations, key);  // it took so long that nobody will forget it later
    } else {
      change.rows.put(Family::operations, key, operation.encode());
    }
    at = operation.finished ? running.erase(at) : std::next(at);
  }
  return looked;
}

}  // namespace capstan::fsm
