// What every operation shares while an entry is applied: making and touching rows, ids, attempts, timers, and the one
// write at the end. Owns the order in which touched rows are written, which is the order in which they were touched.
#include "fsm/change.h"

#include <xxhash.h>

#include <utility>

#include "base/check.h"
#include "codec/request.h"
#include "fsm/ids.h"
#include "fsm/lanes.h"

namespace capstan::fsm {

using storage::Family;

namespace {

// The next number that is free, round and round, so that those in use are not looked through each time. 0 is never
// given.
template <class IsUsed>
uint32_t freeNumber(uint32_t& last, uint32_t numberMax, IsUsed isUsed) {
  for (uint32_t tries = 0; tries < numberMax; ++tries) {
    last = last < numberMax ? last + 1 : 1;
    if (!isUsed(last)) return last;
  }
  CAPSTAN_ASSERT(false, numberMax);
}

}  // namespace

Queue& Change::makeQueue(std::string_view tenant, std::string_view name) {
  auto made = std::make_unique<Queue>();
  Queue& queue = *made;
  queue.number = freeNumber(state.meta.queueNumber, queueNumberMax, [&](uint32_t number) {
    return state.queues.contains(number) || queuesDropped.contains(number);
  });
  queue.hash = codec::queueHash(tenant, name);
  queue.row.tenant = tenant;
  queue.row.name = name;
  queue.row.settings = defaults;
  state.queuesByName[queueName(tenant, name)] = &queue;
  state.queues[queue.number] = std::move(made);
  touch(queue);
  return queue;
}

void Change::touch(Queue& queue) {
  if (queue.touched) return;
  queue.touched = true;
  queuesTouched.push_back(queue.number);
  tell(queue);
}

void Change::tell(Queue& queue) {
  if (queue.told) return;
  queue.told = true;
  queuesToTell.push_back(queue.number);
}

void Change::bump(Queue& queue) {
  touch(queue);
  queue.bumped = true;
}

uint32_t Change::groupNumber(Queue& queue, std::string_view name) {
  if (name.empty()) return 0;
  const auto found = queue.groupNumbers.find(std::string(name));
  if (found != queue.groupNumbers.end()) return found->second;
  const uint32_t number =
      freeNumber(queue.row.groupNumber, groupNumberMax, [&](uint32_t tried) { return queue.groups.contains(tried); });
  queue.groups[number].row.name = name;
  queue.groupNumbers[std::string(name)] = number;
  ++state.groupCount;
  touch(queue);
  return number;
}

void Change::addToGroup(Queue& queue, uint32_t group, int64_t jobs) {
  if (group == 0) return;
  const auto found = queue.groups.find(group);
  CAPSTAN_ASSERT(found != queue.groups.end(), queue.number, group);
  found->second.row.jobs += static_cast<uint64_t>(jobs);
  if (found->second.touched) return;
  found->second.touched = true;
  groupsTouched.emplace_back(queue.number, group);
}

void Change::dropQueue(Queue& queue) {
  CAPSTAN_ASSERT(queue.ready == 0 && queue.leased == 0 && queue.row.counters.scheduled == 0, queue.number);
  touch(queue);
  for (const auto& [number, group] : queue.groups) {
    if (group.stored) rows.remove(Family::groups, storage::groupKey(queue.number, number));
  }
  state.groupCount -= queue.groups.size();
  for (uint8_t priority = 0; priority < levelCount; ++priority) {
    if (!queue.levels[priority]) continue;
    if (queue.levels[priority]->turnStored) rows.remove(Family::groups, storage::turnKey(queue.number, priority));
    for (auto& [group, lane] : queue.levels[priority]->lanes) {
      CAPSTAN_ASSERT(lane.count == 0, queue.number, group);
      dropWindow(state, lane);
      if (lane.stored) rows.remove(Family::lanes, storage::laneKey(lane.key));
      --state.laneCount;
    }
  }
  if (queue.stored) {
    rows.remove(Family::queues, storage::queueKey(queue.number));
    rows.remove(Family::queues, "n" + queueName(queue.row.tenant, queue.row.name));
  }
  state.queuesByName.erase(queueName(queue.row.tenant, queue.row.name));
  queuesDropped.insert(queue.number);
  state.queues.erase(queue.number);
}

Lane& Change::laneFor(Queue& queue, uint8_t priority, uint32_t group) {
  auto& level = queue.levels[priority];
  if (!level) level = std::make_unique<Level>();
  const auto [found, made] = level->lanes.try_emplace(group);
  Lane& lane = found->second;
  if (made) {
    lane.key = {queue.number, priority, group};
    ++state.laneCount;
  }
  touch(lane);
  return lane;
}

void Change::touch(Lane& lane) {
  if (lane.touched) return;
  lane.touched = true;
  lanesTouched.push_back(lane.key);
}

void Change::touch(Queue& queue, uint8_t priority) {
  Level& level = *queue.levels[priority];
  if (level.turnTouched) return;
  level.turnTouched = true;
  turnsTouched.emplace_back(queue.number, priority);
}

void Change::touch(Lease& lease) {
  if (lease.touched) return;
  lease.touched = true;
  leasesTouched.push_back(lease.id);
}

Session& Change::touchSession(uint64_t number) {
  Session& session = state.sessions.at(number);
  if (!session.touched) {
    session.touched = true;
    sessionsTouched.push_back(number);
  }
  return session;
}

JobId Change::nextJobId(const storage::LaneKey& lane) {
  Meta& meta = state.meta;
  const uint64_t wallMs = stamp.wallMs < 0 ? 0 : static_cast<uint64_t>(stamp.wallMs);
  if (wallMs > meta.idMs) {
    meta.idMs = wallMs;
    meta.idCounter = 0;
  } else if (++meta.idCounter > idCounterMax) {
    ++meta.idMs;
    meta.idCounter = 0;
  }
  return makeJobId(meta.idMs, meta.idCounter, state.options.shard, lane);
}

uint64_t Change::random(std::string_view salt) const {
  std::string bytes(reinterpret_cast<const char*>(stamp.seed.data()), stamp.seed.size());
  bytes.append(salt);
  return XXH3_64bits(bytes.data(), bytes.size());
}

std::optional<AttemptRow> Change::attemptsOf(const JobId& id) {
  if (state.meta.attemptRows == 0) return std::nullopt;
  const auto row = rows.get(Family::attempts, storage::idKey(id));
  if (!row) return std::nullopt;
  return AttemptRow::decode(*row);
}

void Change::putAttempts(const JobId& id, const AttemptRow& row, bool existed) {
  rows.put(Family::attempts, storage::idKey(id), row.encode());
  if (!existed) ++state.meta.attemptRows;
}

void Change::dropAttempts(const JobId& id, bool existed) {
  if (!existed) return;
  CAPSTAN_ASSERT(state.meta.attemptRows > 0, id.hex());
  rows.remove(Family::attempts, storage::idKey(id));
  --state.meta.attemptRows;
}

void Change::addTimer(uint64_t dueMs, storage::TimerKind kind, std::string_view reference) {
  rows.put(Family::timers, storage::timerKey(storage::ClockKind::elapsed, dueMs, kind, reference), "");
  state.timersNext = std::min(state.timersNext, dueMs);
}

void Change::writeLanes() {
  for (const storage::LaneKey& key : lanesTouched) {
    Lane* lane = state.findLane(key);
    if (lane == nullptr) continue;  // went with its queue
    lane->touched = false;
    lane->puts.clear();
    lane->removed.clear();
    lane->removedSorted = true;
    if (lane->puts.capacity() > 64) std::vector<ReadyJob>().swap(lane->puts);
    if (lane->removed.capacity() > 64) std::vector<JobId>().swap(lane->removed);
    if (lane->count > 0) {
      rows.put(Family::lanes, storage::laneKey(key), LaneRow{lane->count, lane->cursor}.encode());
      lane->stored = true;
      continue;
    }
    if (lane->stored) rows.remove(Family::lanes, storage::laneKey(key));
    dropWindow(state, *lane);
    state.queueOf(key.queue)->levels[key.priority]->lanes.erase(key.group);
    --state.laneCount;
  }
  lanesTouched.clear();
}

void Change::writeLeases() {
  for (const LeaseId& id : leasesTouched) {
    Lease* lease = state.findLease(id);
    CAPSTAN_ASSERT(lease != nullptr, id.hex());
    const std::string key = storage::idKey(id);
    lease->touched = false;
    if (lease->open == 0) {
      if (lease->stored) rows.remove(Family::leases, key);
      if (lease->marksStored) rows.remove(Family::leaseMarks, key);
      state.deadlines.erase({lease->row.deadlineMs, id});
      state.leases.erase(id);
      continue;
    }
    if (!lease->stored) {
      rows.put(Family::leases, key, lease->row.encode());
      lease->stored = true;
    }
    if (lease->marksTouched) {
      rows.put(Family::leaseMarks, key, encodeMarks(lease->row.deadlineMs, lease->row.items));
      lease->marksStored = true;
      lease->marksTouched = false;
    }
  }
  leasesTouched.clear();
}

void Change::writeTurnsAndGroups() {
  for (const auto& [number, priority] : turnsTouched) {
    Queue* queue = state.queueOf(number);
    if (queue == nullptr) continue;
    Level& level = *queue->levels[priority];
    level.turnTouched = false;
    level.turnStored = true;
    rows.put(Family::groups, storage::turnKey(number, priority), level.turn.encode());
  }
  turnsTouched.clear();
  for (const auto& [number, groupNumber] : groupsTouched) {
    Queue* queue = state.queueOf(number);
    if (queue == nullptr) continue;
    Group& group = queue->groups.at(groupNumber);
    group.touched = false;
    if (group.row.jobs > 0) {
      rows.put(Family::groups, storage::groupKey(number, groupNumber), group.row.encode());
      group.stored = true;
      continue;
    }
    if (group.stored) rows.remove(Family::groups, storage::groupKey(number, groupNumber));
    queue->groupNumbers.erase(group.row.name);
    queue->groups.erase(groupNumber);
    --state.groupCount;
  }
  groupsTouched.clear();
}

void Change::writeQueues() {
  for (const uint32_t number : queuesTouched) {
    Queue* queue = state.queueOf(number);
    if (queue == nullptr) continue;
    rows.put(Family::queues, storage::queueKey(number), queue->row.encode());
    if (!queue->stored) {
      rows.put(Family::queues, "n" + queueName(queue->row.tenant, queue->row.name), RowWriter().number(number).take());
      queue->stored = true;
    }
    queue->touched = false;
  }
  queuesTouched.clear();
  queuesDropped.clear();
}

// A fetch cannot be given more than leased jobs leave room for. What is held back for that is told once there is room:
// nothing else touches those queues then.
void Change::tellQueues(std::vector<QueueReady>& queuesTold) {
  if (limits.leasedJobsMax != 0) state.leasedJobsMax = limits.leasedJobsMax;
  const uint64_t leased = state.leasedJobs.size();
  const uint64_t most = state.leasedJobsMax == 0 ? UINT64_MAX : state.leasedJobsMax;
  const uint64_t room = most > leased ? most - leased : 0;
  if (room > 0) {
    for (const uint32_t number : std::exchange(state.heldBack, {})) {
      Queue* queue = state.queueOf(number);
      if (queue == nullptr) continue;
      tell(*queue);
      queue->bumped = true;
    }
  }
  for (const uint32_t number : queuesToTell) {
    Queue* queue = state.queueOf(number);
    if (queue == nullptr) continue;
    const uint64_t grantable = queue->grantable();
    if (grantable > room) state.heldBack.insert(number);
    queuesTold.push_back({queue->hash, std::min(grantable, room), queue->bumped});
    queue->told = false;
    queue->bumped = false;
  }
  queuesToTell.clear();
}

void Change::writeSessions() {
  for (const uint64_t number : sessionsTouched) {
    const auto found = state.sessions.find(number);
    if (found == state.sessions.end()) continue;  // closed
    found->second.touched = false;
    rows.put(Family::sessions, storage::sessionKey(number, 0), found->second.row.encode());
  }
  sessionsTouched.clear();
}

void Change::finish(uint64_t index, uint64_t term, std::vector<QueueReady>& queuesTold) {
  writeLeases();
  writeLanes();
  writeTurnsAndGroups();
  writeQueues();
  tellQueues(queuesTold);
  writeSessions();
  Meta& meta = state.meta;
  XXH3_state_t* hash = XXH3_createState();
  CAPSTAN_OS_CHECK(hash != nullptr, "memory for the digest");
  XXH3_128bits_reset(hash);
  XXH3_128bits_update(hash, meta.digest.data(), meta.digest.size());
  XXH3_128bits_update(hash, rows.bytes().data(), rows.bytes().size());
  const XXH128_hash_t digest = XXH3_128bits_digest(hash);
  XXH3_freeState(hash);
  putBig64(meta.digest.data(), digest.high64);
  putBig64(meta.digest.data() + 8, digest.low64);
  meta.index = index;
  meta.term = term;
  meta.elapsedMs = stamp.elapsedMs;
  meta.wallMs = stamp.wallMs;
  rows.put(Family::meta, metaKey, meta.encode());
  rows.commit();
  movedBytes = 0;
}

}  // namespace capstan::fsm
