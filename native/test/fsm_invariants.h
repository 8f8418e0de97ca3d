// Looks at every stored row of a state and holds it to what the rows say of one another: counts, places, groups,
// leases, sessions, timers, and that the next due instant was not stated too late. Owns nothing; it closes the node's
// state for the look and opens it again. Used by native/test/fsm_*_test.cc only.
#pragma once

#include <map>
#include <set>
#include <string>

#include "fsm/record.h"
#include "fsm/rows.h"
#include "storage/database.h"
#include "test/fsm_support.h"

namespace capstan::fsm {

class StateCheck {
 public:
  explicit StateCheck(const std::string& directory) : database(storage::Database::open({directory}).take()) {}

  void run() {
    // A row that was overwritten instead of removed and put would come back by this.
    for (size_t at = 0; at < storage::familyCount; ++at) {
      EXPECT_TRUE(database->raw().CompactRange({}, database->family(static_cast<Family>(at)), nullptr, nullptr).ok());
    }
    loadQueues();
    checkJobs();
    checkLeases();
    checkScheduled();
    checkDead();
    checkSums();
    checkSessions();
    checkRequests();
    checkOperations();
  }
  size_t jobs = 0;  // in any state

 private:
  using Family = storage::Family;
  struct QueueSums {
    QueueRow row;
    uint64_t scheduled = 0;
    uint64_t dead = 0;
    uint64_t bytes = 0;
    uint64_t firstDeadMs = UINT64_MAX;
    std::map<uint32_t, uint64_t> groups;
  };

  template <class Row>
  void forEach(Family family, Row row) {
    const auto iterator = database->iterate(family);
    for (iterator->SeekToFirst(); iterator->Valid(); iterator->Next()) {
      row(iterator->key().ToString(), iterator->value().ToString());
    }
  }
  bool has(Family family, const std::string& key) { return database->get(family, key).has_value(); }

  void loadQueues() {
    meta = Meta::decode(*database->get(Family::meta, metaKey));
    size_t names = 0;
    forEach(Family::queues, [&](const std::string& key, const std::string& value) {
      if (key[0] == 'n') {
        ++names;
        return;
      }
      queues[storage::number32(key, 1)].row = QueueRow::decode(value);
    });
    EXPECT_EQ(names, queues.size());
  }
  void count(std::string_view record, const JobId& id) {
    const RecordFacts facts = readFacts(record);
    ASSERT_TRUE(queues.contains(facts.queue)) << id.hex();
    QueueSums& queue = queues.at(facts.queue);
    queue.bytes += facts.storedBytes;
    if (facts.group != 0) ++queue.groups[facts.group];
    EXPECT_TRUE(all.insert(id).second) << id.hex() << " is stored twice";
    ++jobs;
  }
  void checkJobs() {
    forEach(Family::jobs, [&](const std::string& key, const std::string& value) {
      const storage::LaneKey lane = storage::laneOf(key);
      const RecordFacts facts = readFacts(value);
      EXPECT_TRUE(facts.queue == lane.queue && facts.priority == lane.priority && facts.group == lane.group);
      const auto id = storage::idAt<JobId>(key, storage::laneKeyBytes);
      lanes[lane].push_back(id);
      EXPECT_FALSE(has(Family::places, storage::idKey(id))) << id.hex();
      count(value, id);
    });
  }
  void checkLeases() {
    std::set<JobId> leased;
    forEach(Family::leases, [&](const std::string& key, const std::string& value) {
      LeaseRow row = LeaseRow::decode(value);
      if (const auto marks = database->get(Family::leaseMarks, key)) row.deadlineMs = decodeMarks(*marks, row.items);
      size_t open = 0;
      for (const LeaseItem& item : row.items) {
        if (item.closed) continue;
        ++open;
        EXPECT_TRUE(leased.insert(item.id).second) << item.id.hex() << " is leased twice";
        EXPECT_TRUE(has(Family::jobs, storage::jobKey(item.lane, item.id))) << item.id.hex();
        EXPECT_EQ(has(Family::attempts, storage::idKey(item.id)), item.attempts > 0);
      }
      EXPECT_GT(open, 0u);
      elapsedDue = std::min(elapsedDue, row.deadlineMs);
    });
    forEach(Family::leaseMarks, [&](const std::string& key, const std::string&) {
      EXPECT_TRUE(has(Family::leases, key)) << "marks without a lease";
    });
    size_t laneRows = 0;
    forEach(Family::lanes, [&](const std::string& key, const std::string& value) {
      ++laneRows;
      const LaneRow row = LaneRow::decode(value);
      const auto& ids = lanes[storage::laneOf(key)];
      EXPECT_EQ(row.count, ids.size());
      for (const JobId& id : ids) EXPECT_TRUE(leased.contains(id) || !(id < row.cursor)) << id.hex();
    });
    EXPECT_EQ(laneRows, lanes.size());
  }
  void checkPlace(const JobId& id, Family family, const std::string& key) {
    ++placed;
    const auto place = database->get(Family::places, storage::idKey(id));
    ASSERT_TRUE(place.has_value()) << id.hex();
    EXPECT_EQ(decodePlace(*place), std::pair(family, key));
  }
  void checkScheduled() {
    forEach(Family::scheduled, [&](const std::string& key, const std::string& value) {
      const auto id = storage::idAt<JobId>(key, 9);
      checkPlace(id, Family::scheduled, key);
      count(value, id);
      ++queues[readFacts(value).queue].scheduled;
      if (key[0] == 0) elapsedDue = std::min(elapsedDue, storage::number64(key, 1));
      if (key[0] == 1) wallDue = std::min(wallDue, storage::number64(key, 1));
    });
  }
  void checkDead() {
    forEach(Family::dead, [&](const std::string& key, const std::string& value) {
      const auto id = storage::idAt<JobId>(key, 12);
      checkPlace(id, Family::dead, key);
      const auto [wallMs, record] = decodeDead(value);
      EXPECT_EQ(readFacts(record).queue, storage::number32(key, 0));
      count(record, id);
      QueueSums& queue = queues[storage::number32(key, 0)];
      ++queue.dead;
      queue.firstDeadMs = std::min(queue.firstDeadMs, storage::number64(key, 4));
    });
  }
  void checkSums() {
    size_t places = 0;
    forEach(Family::places, [&](const std::string&, const std::string&) { ++places; });
    EXPECT_EQ(places, placed);
    size_t attempts = 0;
    forEach(Family::attempts, [&](const std::string& key, const std::string&) {
      ++attempts;
      EXPECT_TRUE(all.contains(storage::idAt<JobId>(key, 0))) << "attempts of no job";
    });
    EXPECT_EQ(attempts, meta.attemptRows);
    std::map<uint32_t, std::map<uint32_t, uint64_t>> groups;
    forEach(Family::groups, [&](const std::string& key, const std::string& value) {
      ASSERT_TRUE(queues.contains(storage::number32(key, 0)));
      if (key[4] == 'g') groups[storage::number32(key, 0)][storage::number32(key, 5)] = GroupRow::decode(value).jobs;
    });
    for (const auto& [number, queue] : queues) {
      EXPECT_EQ(queue.row.counters.scheduled, queue.scheduled);
      EXPECT_EQ(queue.row.counters.dead, queue.dead);
      EXPECT_EQ(queue.row.counters.bytes, queue.bytes);
      EXPECT_EQ(groups[number], queue.groups) << queue.row.name;
      if (queue.dead == 0 || queue.row.deleting) continue;
      EXPECT_NE(queue.row.deadDueMs, 0u);
      EXPECT_LE(queue.row.deadDueMs, queue.firstDeadMs + queue.row.settings.deadKeepMs);
      std::string reference;
      storage::append32(reference, number);
      checkTimer(queue.row.deadDueMs, storage::TimerKind::dead, reference);
    }
  }
  void checkTimer(uint64_t dueMs, storage::TimerKind kind, const std::string& reference) {
    EXPECT_TRUE(has(Family::timers, storage::timerKey(storage::ClockKind::elapsed, dueMs, kind, reference)))
        << dueMs << " of kind " << static_cast<int>(kind);
    elapsedDue = std::min(elapsedDue, dueMs);
  }
  void checkSessions() {
    std::map<uint64_t, SessionRow> rows;
    std::map<uint64_t, std::pair<uint64_t, uint64_t>> results;
    forEach(Family::sessions, [&](const std::string& key, const std::string& value) {
      const uint64_t number = storage::number64(key, 0);
      const uint64_t sequence = storage::number64(key, 8);
      if (sequence == 0) {
        rows[number] = SessionRow::decode(value);
        return;
      }
      ASSERT_TRUE(rows.contains(number));
      ++results[number].first;
      results[number].second += value.size();
      EXPECT_GE(sequence, rows[number].lowest) << "a result that nothing will drop";
      for (const auto& [from, to] : rows[number].received) EXPECT_FALSE(from <= sequence && sequence < to);
    });
    for (const auto& [number, row] : rows) {
      EXPECT_EQ(row.results, results[number].first);
      EXPECT_EQ(row.resultBytes, results[number].second);
      std::string reference;
      storage::append64(reference, number);
      checkTimer(row.dueMs, storage::TimerKind::session, reference);
    }
  }
  void checkRequests() {
    forEach(Family::requests, [&](const std::string& key, const std::string& value) {
      checkTimer(KeyedResultRow::decode(value).untilMs, storage::TimerKind::idempotency, key);
    });
  }
  void checkOperations() {
    std::set<uint32_t> deleting;
    forEach(Family::operations, [&](const std::string&, const std::string& value) {
      const OperationRow row = OperationRow::decode(value);
      if (row.finished) return;
      isAnythingRunning = true;
      if (row.kind != OperationKind::deleteQueue) return;
      EXPECT_TRUE(deleting.insert(row.queue).second);
    });
    for (const auto& [number, queue] : queues) EXPECT_EQ(queue.row.deleting, deleting.contains(number));
  }

 public:
  uint64_t elapsedDue = UINT64_MAX;
  uint64_t wallDue = UINT64_MAX;
  bool isAnythingRunning = false;

 private:
  std::unique_ptr<storage::Database> database;
  Meta meta;
  std::map<uint32_t, QueueSums> queues;
  std::map<storage::LaneKey, std::vector<JobId>> lanes;
  std::set<JobId> all;
  size_t placed = 0;
};

// Returns how many jobs there are.
inline size_t checkState(Node& node) {
  node.machine->flush(true, true);
  const NextDue before = node.machine->nextDue();
  node.close();
  auto check = std::make_unique<StateCheck>(node.options.directory);
  check->run();
  const size_t jobs = check->jobs;
  const uint64_t elapsedDue = check->elapsedDue;
  const uint64_t wallDue = check->wallDue;
  EXPECT_EQ(before.now, check->isAnythingRunning);
  check = nullptr;
  node.open();
  const NextDue after = node.machine->nextDue();
  for (const NextDue& said : {before, after}) {
    EXPECT_LE(said.elapsedMs, elapsedDue) << "due earlier than was said";
    EXPECT_LE(static_cast<uint64_t>(said.wallMs), wallDue) << "due earlier than was said";
  }
  return jobs;
}

}  // namespace capstan::fsm
