// Rebuilds the memory of a shard from its stored rows. Owns the order in which families are read. Called when a state
// is opened.
#include "fsm/state.h"

#include "base/check.h"
#include "codec/request.h"

namespace capstan::fsm {
namespace {

using storage::Family;

template <class Row>
void forEachRow(storage::Database& database, Family family, std::string_view prefix, Row row) {
  const auto iterator = database.iterate(family);
  for (iterator->Seek({prefix.data(), prefix.size()});
       iterator->Valid() && iterator->key().ToStringView().starts_with(prefix); iterator->Next()) {
    row(iterator->key().ToStringView(), iterator->value().ToStringView());
  }
  CAPSTAN_OS_CHECK(iterator->status().ok(), iterator->status().ToString());
}

void loadQueues(State& state, storage::Database& database) {
  forEachRow(database, Family::queues, "q", [&](std::string_view key, std::string_view value) {
    auto queue = std::make_unique<Queue>();
    queue->number = storage::number32(key, 1);
    queue->row = QueueRow::decode(value);
    queue->hash = codec::queueHash(queue->row.tenant, queue->row.name);
    queue->stored = true;
    state.queuesByName[queueName(queue->row.tenant, queue->row.name)] = queue.get();
    state.queues[queue->number] = std::move(queue);
  });
  forEachRow(database, Family::groups, "", [&](std::string_view key, std::string_view value) {
    Queue* queue = state.queueOf(storage::number32(key, 0));
    CAPSTAN_ASSERT(queue != nullptr, storage::number32(key, 0));
    if (key[4] == 'g') {
      const uint32_t number = storage::number32(key, 5);
      Group& group = queue->groups[number];
      group.row = GroupRow::decode(value);
      group.stored = true;
      queue->groupNumbers[group.row.name] = number;
      ++state.groupCount;
    } else {
      auto& level = queue->levels[static_cast<uint8_t>(key[5])];
      if (!level) level = std::make_unique<Level>();
      level->turn = TurnRow::decode(value);
      level->turnStored = true;
    }
  });
}

void loadLanes(State& state, storage::Database& database) {
  forEachRow(database, Family::lanes, "", [&](std::string_view key, std::string_view value) {
    const storage::LaneKey laneKey = storage::laneOf(key);
    Queue* queue = state.queueOf(laneKey.queue);
    CAPSTAN_ASSERT(queue != nullptr && laneKey.priority < levelCount, laneKey.queue);
    auto& level = queue->levels[laneKey.priority];
    if (!level) level = std::make_unique<Level>();
    Lane& lane = level->lanes[laneKey.group];
    const LaneRow row = LaneRow::decode(value);
    lane.key = laneKey;
    lane.count = row.count;
    lane.cursor = row.cursor;
    lane.stored = true;
    ++state.laneCount;
  });
}

void loadLeases(State& state, storage::Database& database) {
  forEachRow(database, Family::leases, "", [&](std::string_view key, std::string_view value) {
    auto lease = std::make_unique<Lease>();
    lease->id = storage::idAt<LeaseId>(key, 0);
    lease->row = LeaseRow::decode(value);
    lease->stored = true;
    if (const auto marks = database.get(Family::leaseMarks, key)) {
      lease->row.deadlineMs = decodeMarks(*marks, lease->row.items);
      lease->marksStored = true;
    }
    for (uint32_t at = 0; at < lease->row.items.size(); ++at) {
      const LeaseItem& item = lease->row.items[at];
      if (item.closed) continue;
      ++lease->open;
      Lane* lane = state.findLane(item.lane);
      CAPSTAN_ASSERT(lane != nullptr && lane->leased < lane->count, item.lane.queue);
      ++lane->leased;
      state.leasedJobs[item.id] = {lease.get(), at};
    }
    CAPSTAN_ASSERT(lease->open > 0);
    state.deadlines.insert({lease->row.deadlineMs, lease->id});
    state.leases[lease->id] = std::move(lease);
  });
}

void loadSessions(State& state, storage::Database& database) {
  const auto iterator = database.iterate(Family::sessions);
  iterator->SeekToFirst();
  while (iterator->Valid()) {
    const std::string_view key = iterator->key().ToStringView();
    const uint64_t number = storage::number64(key, 0);
    CAPSTAN_ASSERT(storage::number64(key, 8) == 0, number);
    state.sessions[number].row = SessionRow::decode(iterator->value().ToStringView());
    if (number == UINT64_MAX) break;
    iterator->Seek(storage::sessionKey(number + 1, 0));
  }
  CAPSTAN_OS_CHECK(iterator->status().ok(), iterator->status().ToString());
}

// Sums that no row holds.
void countReady(State& state) {
  for (auto& [number, queue] : state.queues) {
    for (uint8_t priority = 0; priority < levelCount; ++priority) {
      if (!queue->levels[priority]) continue;
      Level& level = *queue->levels[priority];
      for (auto& [group, lane] : level.lanes) {
        queue->ready += lane.ready();
        queue->leased += lane.leased;
        if (lane.ready() > 0) level.readyGroups.insert(group);
      }
      if (!level.readyGroups.empty()) queue->readyLevels |= 1u << priority;
    }
  }
}

// Of the first row of that clock; UINT64_MAX: none.
uint64_t firstDue(storage::Database& database, Family family, uint8_t clock) {
  const auto iterator = database.iterate(family);
  iterator->Seek(std::string(1, static_cast<char>(clock)));
  CAPSTAN_OS_CHECK(iterator->status().ok(), iterator->status().ToString());
  if (!iterator->Valid() || static_cast<uint8_t>(iterator->key()[0]) != clock) return UINT64_MAX;
  return storage::number64(iterator->key().ToStringView(), 1);
}

}  // namespace

void State::load(storage::Database& database) {
  const auto stored = database.get(Family::meta, metaKey);
  if (!stored) return;
  meta = Meta::decode(*stored);
  founded = true;
  loadQueues(*this, database);
  loadLanes(*this, database);
  loadLeases(*this, database);
  loadSessions(*this, database);
  countReady(*this);
  forEachRow(database, Family::operations, "", [&](std::string_view key, std::string_view value) {
    const OperationRow row = OperationRow::decode(value);
    if (!row.finished) operations[storage::number64(key, 0)] = row;
  });
  scheduledNext = {firstDue(database, Family::scheduled, 0), firstDue(database, Family::scheduled, 1)};
  timersNext = firstDue(database, Family::timers, 0);
}

Queue* State::findQueue(std::string_view tenant, std::string_view name) {
  const auto found = queuesByName.find(queueName(tenant, name));
  return found == queuesByName.end() ? nullptr : found->second;
}

Queue* State::queueOf(uint32_t number) {
  const auto found = queues.find(number);
  return found == queues.end() ? nullptr : found->second.get();
}

Lane* State::findLane(const storage::LaneKey& key) {
  Queue* queue = queueOf(key.queue);
  if (queue == nullptr || key.priority >= levelCount || !queue->levels[key.priority]) return nullptr;
  auto& lanes = queue->levels[key.priority]->lanes;
  const auto found = lanes.find(key.group);
  return found == lanes.end() ? nullptr : &found->second;
}

Lease* State::findLease(const LeaseId& id) {
  const auto found = leases.find(id);
  return found == leases.end() ? nullptr : found->second.get();
}

}  // namespace capstan::fsm
