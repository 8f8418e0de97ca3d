// One entry on its way into the state: its stamps and limits, the write batch, and the rows of lanes, queues, groups,
// turns, leases and sessions that it touched, each of which is written once at the end. Owns the batch and those lists.
// Made by the state machine for each entry; every operation gets it.
#pragma once

#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "codec/entry.h"
#include "codec/limits.h"
#include "codec/views.h"
#include "entry.capnp.h"
#include "fsm/state.h"
#include "fsm/transaction.h"

namespace capstan::fsm {

class Change {
 public:
  Change(State& state, storage::Database& database) : state(state), rows(database), database(database) {}

  State& state;
  Transaction rows;
  storage::Database& database;
  codec::Stamp stamp;
  codec::StateLimits limits;
  codec::QueueDefaults defaults;

  uint64_t nowMs() const { return stamp.elapsedMs; }

  // Queues and groups. `queueForEnqueue` makes what does not exist; the caller has checked the limits.
  Queue& makeQueue(std::string_view tenant, std::string_view name);
  void touch(Queue& queue);
  void tell(Queue& queue);  // its waiting fetches, without a change of its row
  void bump(Queue& queue);
  uint32_t groupNumber(Queue& queue, std::string_view name);  // makes it; "" is 0
  void addToGroup(Queue& queue, uint32_t group, int64_t jobs);
  void dropQueue(Queue& queue);  // when nothing of it is left

  // Lanes. A lane is made by its first job and goes with its last one.
  Lane& laneFor(Queue& queue, uint8_t priority, uint32_t group);
  void touch(Lane& lane);
  void touch(Queue& queue, uint8_t priority);  // its turn
  void touch(Lease& lease);
  Session& touchSession(uint64_t number);

  JobId nextJobId(const storage::LaneKey& lane);
  // A reproducible number from the entry's seed.
  uint64_t random(std::string_view salt) const;

  std::optional<AttemptRow> attemptsOf(const JobId& id);
  void putAttempts(const JobId& id, const AttemptRow& row, bool existed);
  void dropAttempts(const JobId& id, bool existed);

  // Counts bytes of job records that this entry reads or writes beside those that it brings itself.
  void countMoved(uint64_t bytes) { movedBytes += bytes; }
  uint64_t moved() const { return movedBytes; }

  void addTimer(uint64_t dueMs, storage::TimerKind kind, std::string_view reference);

  // Writes every touched row and `meta`, chains the digest, and commits. `queuesTold` gets what waiting fetches are to
  // hear.
  void finish(uint64_t index, uint64_t term, std::vector<QueueReady>& queuesTold);

 private:
  void writeLanes();
  void writeLeases();
  void writeTurnsAndGroups();
  void writeQueues();
  void tellQueues(std::vector<QueueReady>& queuesTold);
  void writeSessions();

  uint64_t movedBytes = 0;
  std::vector<storage::LaneKey> lanesTouched;
  std::vector<std::pair<uint32_t, uint8_t>> turnsTouched;
  std::vector<std::pair<uint32_t, uint32_t>> groupsTouched;
  std::vector<uint32_t> queuesTouched;
  std::vector<uint32_t> queuesToTell;
  // Their rows are in the database until the entry is written, so their numbers are not given again in it.
  std::set<uint32_t> queuesDropped;
  std::vector<LeaseId> leasesTouched;
  std::vector<uint64_t> sessionsTouched;
};

}  // namespace capstan::fsm
