// The memory of one shard's state machine: queues, lanes with their ready windows, leases, sessions, running
// operations. All of it is a function of the stored rows (`load` rebuilds it) but for the windows, which are caches of
// one. Owns nothing on disk. Changed by the operations of fsm/ through Change (change.h), under the state machine's
// lock.
#pragma once

#include <array>
#include <deque>
#include <list>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/ids.h"
#include "fsm/record.h"
#include "fsm/rows.h"
#include "fsm/state_machine.h"
#include "storage/database.h"
#include "storage/keys.h"

namespace capstan::fsm {

// A job that is ready: what granting it needs to know.
struct ReadyJob {
  JobId id;
  uint32_t payloadBytes = 0;
  uint32_t storedBytes = 0;
  uint32_t maxAttempts = 0;
  std::shared_ptr<const RecordBytes> record;  // null: not cached
};

struct Lane;

// Cache: every ready job of the lane with an id below `coveredTo`, or every one when `complete`; sorted by id.
struct Window {
  std::deque<ReadyJob> jobs;
  JobId coveredTo;
  bool complete = false;
  std::list<Lane*>::iterator use;  // in State::windowUse
};

struct Lane {
  storage::LaneKey key;
  uint64_t count = 0;   // rows in `jobs`
  uint64_t leased = 0;  // of them
  JobId cursor;         // no ready job has a smaller id
  bool stored = false;  // its row exists
  std::unique_ptr<Window> window;

  // What the entry under way did to the rows of this lane; empty between entries.
  bool touched = false;
  std::vector<ReadyJob> puts;  // sorted by id
  std::vector<JobId> removed;
  bool removedSorted = true;

  uint64_t ready() const { return count - leased; }
};

// The lanes of one queue and priority.
struct Level {
  std::map<uint32_t, Lane> lanes;  // by group
  std::set<uint32_t> readyGroups;
  TurnRow turn;
  bool turnTouched = false;
  bool turnStored = false;  // its row exists
};

struct Group {
  GroupRow row;
  bool touched = false;
  bool stored = false;
};

inline constexpr size_t levelCount = 16;

struct Queue {
  uint32_t number = 0;
  uint64_t hash = 0;
  QueueRow row;
  uint64_t ready = 0;  // jobs in `jobs` that are not leased
  uint64_t leased = 0;
  std::array<std::unique_ptr<Level>, levelCount> levels;
  uint32_t readyLevels = 0;  // bit by priority
  std::map<uint32_t, Group> groups;
  std::unordered_map<std::string, uint32_t> groupNumbers;

  bool touched = false;  // this entry: its row is to be written
  bool told = false;     // this entry: its waiting fetches are to be told
  bool bumped = false;
  bool stored = false;

  uint64_t grantable() const { return row.paused || row.deleting ? 0 : ready; }
};

struct Lease {
  LeaseId id;
  LeaseRow row;         // `deadlineMs` as it stands now; the marks of items too
  uint32_t open = 0;    // items that are not closed
  bool stored = false;  // its row exists
  bool marksStored = false;
  bool marksTouched = false;
  bool touched = false;
};

struct LeasePlace {
  Lease* lease = nullptr;
  uint32_t item = 0;
};

struct Session {
  SessionRow row;
  bool touched = false;
  uint32_t awaited = 0;  // commands of the entry under way whose results are not among the row's yet
};

class State {
 public:
  explicit State(const Options& options) : options(options) {}

  void load(storage::Database& database);

  Queue* findQueue(std::string_view tenant, std::string_view name);
  Queue* queueOf(uint32_t number);
  Lane* findLane(const storage::LaneKey& key);
  Lease* findLease(const LeaseId& id);

  const Options options;
  Meta meta;
  bool founded = false;
  std::map<uint32_t, std::unique_ptr<Queue>> queues;
  std::map<std::string, Queue*> queuesByName;  // tenant, 0, name
  uint64_t laneCount = 0;
  uint64_t groupCount = 0;

  std::unordered_map<LeaseId, std::unique_ptr<Lease>> leases;
  std::set<std::pair<uint64_t, LeaseId>> deadlines;
  std::unordered_map<JobId, LeasePlace> leasedJobs;

  // What follows only says who is woken; nothing else of the state may depend on it, and it is not stored. Queues of
  // which waiting fetches were told less than is ready, since leased jobs were at their limit, and that limit as the
  // last entry that named it did (0: none has since the start).
  std::set<uint32_t> heldBack;
  uint32_t leasedJobsMax = 0;

  std::unordered_map<uint64_t, Session> sessions;
  std::map<uint64_t, OperationRow> operations;  // those that are not finished

  // The first instant at which a row of `scheduled` (by clock) or `timers` may fall due, and where a scan may begin.
  // At most too early, never too late.
  std::array<uint64_t, 2> scheduledNext{UINT64_MAX, UINT64_MAX};
  uint64_t timersNext = UINT64_MAX;

  std::list<Lane*> windowUse;  // least recently used first
  uint64_t windowBytes = 0;
  uint64_t recordBytes = 0;  // of records in windows
  uint64_t refills = 0;      // counters of this process
  uint64_t entries = 0;
};

inline std::string queueName(std::string_view tenant, std::string_view name) {
  return std::string(tenant) + '\0' + std::string(name);
}

}  // namespace capstan::fsm
