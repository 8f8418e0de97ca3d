// Ready windows, their refill and their budgets, and the cyclic turn among the groups of a level. Owns the rule that a
// window holds every ready job below `coveredTo`; nothing else in the state depends on what it holds. See lanes.h.
#include "fsm/lanes.h"

#include <algorithm>

#include "base/check.h"
#include "fsm/ids.h"

namespace capstan::fsm {
namespace {

using storage::Family;

constexpr uint64_t windowBytesBase = 256;  // the window itself
constexpr uint64_t refillBytesMax = 8u << 20;
constexpr size_t refillJobsMax = 1024;

uint64_t recordSize(const ReadyJob& job) { return job.record ? uint64_t{job.record->wordCount} * 8 : 0; }

struct ById {
  bool operator()(const ReadyJob& job, const JobId& id) const { return job.id < id; }
};

void forget(State& state, const ReadyJob& job) {
  state.windowBytes -= sizeof(ReadyJob);
  state.recordBytes -= recordSize(job);
}

void use(State& state, Lane& lane) { state.windowUse.splice(state.windowUse.end(), state.windowUse, lane.window->use); }

Window& windowOf(State& state, Lane& lane) {
  if (!lane.window) {
    lane.window = std::make_unique<Window>();
    lane.window->coveredTo = lane.cursor;
    lane.window->use = state.windowUse.insert(state.windowUse.end(), &lane);
    state.windowBytes += windowBytesBase;
  }
  return *lane.window;
}

// Other lanes' windows go first; this one's is bounded by its own count.
void keepBudgets(State& state, Lane& lane) {
  while (state.windowBytes > state.options.windowBytesMax && state.windowUse.front() != &lane) {
    dropWindow(state, *state.windowUse.front());
  }
}

// Whether a record of so many bytes may be kept for this lane, and counts it.
bool takeRecordBytes(State& state, Lane& lane, uint64_t bytes) {
  while (state.recordBytes + bytes > state.options.payloadCacheBytes && state.windowUse.front() != &lane) {
    dropWindow(state, *state.windowUse.front());
  }
  if (state.recordBytes + bytes > state.options.payloadCacheBytes) return false;
  state.recordBytes += bytes;
  return true;
}

void attachRecord(State& state, Lane& lane, ReadyJob& job) {
  if (job.record && !takeRecordBytes(state, lane, recordSize(job))) job.record = nullptr;
}

void trim(State& state, Window& window) {
  while (window.jobs.size() > state.options.windowJobsMax) {
    window.complete = false;
    window.coveredTo = window.jobs.back().id;
    forget(state, window.jobs.back());
    window.jobs.pop_back();
  }
}

void insertReady(State& state, Lane& lane, ReadyJob job) {
  Window& window = *lane.window;
  if (!window.complete && job.id >= window.coveredTo) return;
  use(state, lane);
  attachRecord(state, lane, job);
  state.windowBytes += sizeof(ReadyJob);
  if (window.jobs.empty() || window.jobs.back().id < job.id) {
    window.jobs.push_back(std::move(job));
  } else {
    const auto place = std::lower_bound(window.jobs.begin(), window.jobs.end(), job.id, ById());
    CAPSTAN_ASSERT(place->id != job.id, job.id.hex());
    window.jobs.insert(place, std::move(job));
  }
  trim(state, window);
  keepBudgets(state, lane);
}

// `lane.ready()` is counted already.
void becameReady(Change& change, Queue& queue, Lane& lane, ReadyJob job) {
  change.touch(lane);
  change.bump(queue);
  ++queue.ready;
  if (lane.ready() == 1) {
    // The only one: whatever the window knew, this is all there is now.
    Level& level = *queue.levels[lane.key.priority];
    level.readyGroups.insert(lane.key.group);
    queue.readyLevels |= 1u << lane.key.priority;
    Window& window = windowOf(change.state, lane);
    CAPSTAN_ASSERT(window.jobs.empty(), window.jobs.size());
    window.complete = true;
  }
  if (lane.count == 1 || job.id < lane.cursor) lane.cursor = job.id;
  if (lane.window) insertReady(change.state, lane, std::move(job));
}

void stoppedBeingReady(Change& change, Queue& queue, Lane& lane) {
  change.touch(lane);
  change.touch(queue);
  CAPSTAN_ASSERT(queue.ready > 0, queue.number);
  --queue.ready;
  if (lane.ready() > 0) return;
  Level& level = *queue.levels[lane.key.priority];
  level.readyGroups.erase(lane.key.group);
  if (level.readyGroups.empty()) queue.readyLevels &= ~(1u << lane.key.priority);
}

bool wasRemoved(Lane& lane, const JobId& id) {
  if (lane.removed.empty()) return false;
  if (!lane.removedSorted) {
    std::sort(lane.removed.begin(), lane.removed.end());
    lane.removedSorted = true;
  }
  return std::binary_search(lane.removed.begin(), lane.removed.end(), id);
}

void removeRow(Change& change, Lane& lane, const JobId& id) {
  change.rows.remove(Family::jobs, storage::jobKey(lane.key, id));
  CAPSTAN_ASSERT(lane.count > 0, lane.key.queue);
  --lane.count;
  const auto put = std::lower_bound(lane.puts.begin(), lane.puts.end(), id, ById());
  if (put != lane.puts.end() && put->id == id) lane.puts.erase(put);
  lane.removedSorted = lane.removedSorted && (lane.removed.empty() || lane.removed.back() < id);
  lane.removed.push_back(id);
}

// Rows of the lane from the window's end on: those of the database that the entry did not remove, and those it put.
void refill(Change& change, Lane& lane) {
  State& state = change.state;
  Window& window = windowOf(state, lane);
  CAPSTAN_ASSERT(window.jobs.empty() && !window.complete && lane.ready() > 0, lane.key.queue);
  ++state.refills;
  const JobId start = std::max(window.coveredTo, lane.cursor);
  auto put = std::lower_bound(lane.puts.begin(), lane.puts.end(), start, ById());
  const std::string prefix = storage::laneKey(lane.key);
  const auto iterator = change.database.iterate(Family::jobs);
  iterator->Seek(storage::jobKey(lane.key, start));
  const size_t jobsMax = std::min<size_t>(refillJobsMax, state.options.windowJobsMax);
  uint64_t bytes = 0;
  use(state, lane);
  for (;;) {
    const bool hasStored = iterator->Valid() && iterator->key().starts_with(prefix);
    const bool hasPut = put != lane.puts.end();
    if (!hasStored && !hasPut) {
      window.complete = true;
      break;
    }
    const JobId storedId =
        hasStored ? storage::idAt<JobId>(iterator->key().ToStringView(), storage::laneKeyBytes) : JobId{};
    const bool takePut = hasPut && (!hasStored || put->id <= storedId);
    const JobId id = takePut ? put->id : storedId;
    if (window.jobs.size() >= jobsMax || (bytes > refillBytesMax && !window.jobs.empty())) {
      window.coveredTo = id;
      break;
    }
    if (takePut) {
      if (!change.state.leasedJobs.contains(id)) {
        ReadyJob job = *put;
        attachRecord(state, lane, job);
        bytes += recordSize(job);
        state.windowBytes += sizeof(ReadyJob);
        window.jobs.push_back(std::move(job));
      }
      ++put;
      if (hasStored && id == storedId) iterator->Next();
      continue;
    }
    if (!wasRemoved(lane, id) && !change.state.leasedJobs.contains(id)) {
      const std::string_view value = iterator->value().ToStringView();
      const RecordFacts facts = readFacts(value);
      ReadyJob job{id, facts.payloadBytes, facts.storedBytes, facts.maxAttempts, nullptr};
      if (takeRecordBytes(state, lane, value.size())) {
        job.record = copyRecord(value);
        bytes += value.size();
      }
      state.windowBytes += sizeof(ReadyJob);
      window.jobs.push_back(std::move(job));
    }
    iterator->Next();
  }
  CAPSTAN_OS_CHECK(iterator->status().ok(), iterator->status().ToString());
  CAPSTAN_ASSERT(!window.jobs.empty(), lane.key.queue, lane.count, lane.leased);
  keepBudgets(state, lane);
}

}  // namespace

void putJob(Change& change, Queue& queue, Lane& lane, ReadyJob job) {
  CAPSTAN_ASSERT(job.record != nullptr, job.id.hex());
  change.rows.put(Family::jobs, storage::jobKey(lane.key, job.id), viewOf(*job.record));
  ++lane.count;
  if (lane.puts.empty() || lane.puts.back().id < job.id) {
    lane.puts.push_back(job);
  } else {
    lane.puts.insert(std::lower_bound(lane.puts.begin(), lane.puts.end(), job.id, ById()), job);
  }
  becameReady(change, queue, lane, std::move(job));
}

const ReadyJob& firstReady(Change& change, Lane& lane) {
  if (!lane.window || lane.window->jobs.empty()) refill(change, lane);
  return lane.window->jobs.front();
}

ReadyJob takeFirst(Change& change, Queue& queue, Lane& lane) {
  firstReady(change, lane);
  Window& window = *lane.window;
  ReadyJob job = std::move(window.jobs.front());
  forget(change.state, job);
  window.jobs.pop_front();
  use(change.state, lane);
  ++lane.leased;
  ++queue.leased;
  lane.cursor = after(job.id);
  stoppedBeingReady(change, queue, lane);
  return job;
}

void unlease(Change& change, Queue& queue, Lane& lane, ReadyJob job) {
  CAPSTAN_ASSERT(lane.leased > 0 && queue.leased > 0, queue.number);
  --lane.leased;
  --queue.leased;
  becameReady(change, queue, lane, std::move(job));
}

void removeLeased(Change& change, Queue& queue, Lane& lane, const JobId& id) {
  CAPSTAN_ASSERT(lane.leased > 0 && queue.leased > 0, queue.number);
  --lane.leased;
  --queue.leased;
  change.touch(lane);
  change.touch(queue);
  removeRow(change, lane, id);
}

void removeReady(Change& change, Queue& queue, Lane& lane, const JobId& id) {
  if (lane.window) {
    auto& jobs = lane.window->jobs;
    const auto found = std::lower_bound(jobs.begin(), jobs.end(), id, ById());
    if (found != jobs.end() && found->id == id) {
      forget(change.state, *found);
      jobs.erase(found);
    }
  }
  removeRow(change, lane, id);
  stoppedBeingReady(change, queue, lane);
}

std::shared_ptr<const RecordBytes> recordOfPut(const Lane& lane, const JobId& id) {
  const auto put = std::lower_bound(lane.puts.begin(), lane.puts.end(), id, ById());
  return put != lane.puts.end() && put->id == id ? put->record : nullptr;
}

std::shared_ptr<const RecordBytes> recordOf(Change& change, Lane& lane, const JobId& id) {
  if (auto put = recordOfPut(lane, id)) return put;
  if (wasRemoved(lane, id)) return nullptr;
  const auto stored = change.database.get(Family::jobs, storage::jobKey(lane.key, id));
  return stored ? copyRecord(*stored) : nullptr;
}

std::vector<JobId> firstRows(Change& change, Lane& lane, const JobId& from, size_t rowsMax) {
  std::vector<JobId> ids;
  const std::string prefix = storage::laneKey(lane.key);
  const auto iterator = change.database.iterate(Family::jobs);
  auto put = std::lower_bound(lane.puts.begin(), lane.puts.end(), from, ById());
  for (iterator->Seek(storage::jobKey(lane.key, from));
       iterator->Valid() && iterator->key().starts_with(prefix) && ids.size() < rowsMax; iterator->Next()) {
    const auto id = storage::idAt<JobId>(iterator->key().ToStringView(), storage::laneKeyBytes);
    // One that the entry removed and put again comes by its put.
    for (; put != lane.puts.end() && put->id <= id && ids.size() < rowsMax; ++put) ids.push_back(put->id);
    if (!wasRemoved(lane, id) && ids.size() < rowsMax) ids.push_back(id);
  }
  CAPSTAN_OS_CHECK(iterator->status().ok(), iterator->status().ToString());
  for (; put != lane.puts.end() && ids.size() < rowsMax; ++put) ids.push_back(put->id);
  return ids;
}

Lane* nextLane(Queue& queue) {
  if (queue.grantable() == 0) return nullptr;
  CAPSTAN_ASSERT(queue.readyLevels != 0, queue.number);
  const auto priority = static_cast<uint8_t>(31 - __builtin_clz(queue.readyLevels));
  Level& level = *queue.levels[priority];
  auto group = level.readyGroups.begin();
  if (level.readyGroups.size() > 1) {
    const auto own = level.readyGroups.find(level.turn.group);
    if (own != level.readyGroups.end() && level.turn.credit > 0) {
      group = own;
    } else {
      group = level.readyGroups.upper_bound(level.turn.group);
      if (group == level.readyGroups.end()) group = level.readyGroups.begin();
    }
  }
  return &level.lanes.at(*group);
}

void passTurn(Change& change, Queue& queue, const Lane& lane) {
  Level& level = *queue.levels[lane.key.priority];
  const TurnRow before = level.turn;
  // `lane` has given its job out; whether it was alone is what stood before that.
  const size_t others = level.readyGroups.size() - (level.readyGroups.contains(lane.key.group) ? 1 : 0);
  if (others == 0) {
    level.turn = {lane.key.group, 0};
  } else if (level.turn.group == lane.key.group && level.turn.credit > 0) {
    --level.turn.credit;
  } else {
    level.turn = {lane.key.group, std::max(1u, queue.row.settings.groupQuantum) - 1};
  }
  if (before.group != level.turn.group || before.credit != level.turn.credit) change.touch(queue, lane.key.priority);
}

void dropWindow(State& state, Lane& lane) {
  if (!lane.window) return;
  for (const ReadyJob& job : lane.window->jobs) forget(state, job);
  state.windowBytes -= windowBytesBase;
  state.windowUse.erase(lane.window->use);
  lane.window = nullptr;
}

}  // namespace capstan::fsm
