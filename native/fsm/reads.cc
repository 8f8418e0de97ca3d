// listQueues, getQueue, peek, getJob, listDead and getOperation. Owns the opaque places at which a list goes on: the
// key of the last row that was looked at. See reads.h.
#include "fsm/reads.h"

#include <algorithm>

#include "base/check.h"
#include "fsm/ids.h"

namespace capstan::fsm {
namespace {

using codec::Method;
using schema::ErrorCode;
using schema::JobState;
using storage::ClockKind;
using storage::Family;

constexpr uint32_t rowsLookedMax = 20'000;        // of one read; then it ends early, with a place to go on
constexpr uint64_t recordBytesMax = 32ull << 20;  // kept in memory for one read
constexpr uint64_t rowOverheadBytes = 512;        // of a job in a reply, without payload

ReadResult refused(ErrorCode code, std::string message, std::string field) {
  ReadResult result;
  result.code = code;
  result.error = std::make_unique<Error>(Error{code, std::move(message), std::move(field), 0});
  return result;
}

// What one read still may take.
struct Page {
  const ReadCommand& command;
  ReadResult& result;
  uint32_t looked = 0;
  uint64_t replyBytes = 0;
  uint64_t recordBytes = 0;

  bool isFull() const {
    return result.jobs.size() >= command.limit || looked >= rowsLookedMax || replyBytes >= codec::readBytesMax ||
           recordBytes >= recordBytesMax;
  }
  void add(JobInfoValue job) {
    recordBytes += uint64_t{job.record->wordCount} * 8;
    replyBytes += rowOverheadBytes + std::min<uint64_t>(uint64_t{job.record->wordCount} * 8, command.payloadBytesMax);
    result.jobs.push_back(std::move(job));
  }
};

QueueInfoValue infoOf(const Queue& queue) {
  QueueInfoValue info;
  info.name = queue.row.name;
  info.settings.paused = queue.row.paused;
  info.settings.values = queue.row.settings;
  info.ready = queue.ready;
  info.leased = queue.leased;
  info.scheduled = queue.row.counters.scheduled;
  info.dead = queue.row.counters.dead;
  info.groups = queue.groups.size();
  info.enqueuedTotal = queue.row.counters.enqueued;
  info.ackedTotal = queue.row.counters.acked;
  info.failedTotal = queue.row.counters.failed;
  info.expiredTotal = queue.row.counters.expired;
  info.deadTotal = queue.row.counters.died;
  info.bytes = queue.row.counters.bytes;
  info.deleting = queue.row.deleting;
  return info;
}

JobInfoValue jobOf(const State& state, const storage::Database& database, const Queue& queue, const JobId& id,
                   JobState jobState, std::string_view record, uint32_t payloadBytesMax) {
  JobInfoValue job;
  job.id = id;
  job.queue = queue.row.name;
  job.state = jobState;
  job.payloadBytesMax = payloadBytesMax;
  job.record = copyRecord(record);
  const uint32_t ofRecord = readFacts(record).maxAttempts;
  job.maxAttempts = ofRecord == 0 ? queue.row.settings.maxAttempts : ofRecord;
  if (state.meta.attemptRows == 0) return job;
  if (const auto row = database.get(Family::attempts, storage::idKey(id))) {
    const AttemptRow attempts = AttemptRow::decode(*row);
    job.attempts = attempts.attempts;
    job.lastError = attempts.lastError;
  }
  return job;
}

uint64_t dueInMs(const State& state, std::string_view scheduledKey) {
  const uint64_t dueMs = storage::number64(scheduledKey, 1);
  const bool elapsed = static_cast<ClockKind>(scheduledKey[0]) == ClockKind::elapsed;
  const uint64_t nowMs =
      elapsed ? state.meta.elapsedMs : static_cast<uint64_t>(std::max<int64_t>(0, state.meta.wallMs));
  return dueMs > nowMs ? dueMs - nowMs : 0;
}

ReadResult listQueues(State& state, const ReadCommand& command) {
  ReadResult result;
  const std::string prefix = queueName(command.tenant, command.prefix);
  const std::string last = queueName(command.tenant, command.after);
  auto at = !command.after.empty() && last >= prefix ? state.queuesByName.upper_bound(last)
                                                     : state.queuesByName.lower_bound(prefix);
  for (; at != state.queuesByName.end() && at->first.starts_with(prefix); ++at) {
    if (result.queues.size() >= command.limit) {
      result.next = result.queues.back().name;
      break;
    }
    result.queues.push_back(infoOf(*at->second));
  }
  return result;
}

// The ready jobs of one lane from `from` on. False: the page is full.
bool peekLane(const State& state, const storage::Database& database, const Queue& queue, const Lane& lane,
              const JobId& from, Page& page) {
  const std::string prefix = storage::laneKey(lane.key);
  const auto iterator = database.iterate(Family::jobs);
  for (iterator->Seek(storage::jobKey(lane.key, std::max(from, lane.cursor)));
       iterator->Valid() && iterator->key().starts_with(prefix); iterator->Next()) {
    if (page.isFull()) return false;
    ++page.looked;
    page.result.next = iterator->key().ToString();
    const auto id = storage::idAt<JobId>(iterator->key().ToStringView(), storage::laneKeyBytes);
    if (state.leasedJobs.contains(id)) continue;
    page.add(jobOf(state, database, queue, id, JobState::READY, iterator->value().ToStringView(),
                   page.command.payloadBytesMax));
  }
  CAPSTAN_OS_CHECK(iterator->status().ok(), iterator->status().ToString());
  return true;
}

void peekReady(const State& state, const storage::Database& database, const Queue& queue, Page& page) {
  const std::string& place = page.command.after;
  const bool goesOn = place.size() == storage::jobKeyBytes;
  const storage::LaneKey first = goesOn ? storage::laneOf(place) : storage::LaneKey{queue.number, levelCount - 1, 0};
  for (int priority = std::min<int>(first.priority, levelCount - 1); priority >= 0; --priority) {
    const auto& level = queue.levels[static_cast<size_t>(priority)];
    if (!level) continue;
    const bool sameLevel = priority == first.priority;
    for (auto lane = level->lanes.lower_bound(sameLevel ? first.group : 0); lane != level->lanes.end(); ++lane) {
      if (lane->second.ready() == 0) continue;
      const bool sameLane = goesOn && sameLevel && lane->first == first.group;
      const JobId from = sameLane ? after(storage::idAt<JobId>(place, storage::laneKeyBytes)) : JobId{};
      if (page.isFull() || !peekLane(state, database, queue, lane->second, from, page)) return;
    }
  }
  page.result.next.clear();
}

// `scheduled` is ordered by time over all queues: those of others are passed by.
void peekScheduled(const State& state, const storage::Database& database, const Queue& queue, Page& page) {
  const auto iterator = database.iterate(Family::scheduled);
  for (iterator->Seek(page.command.after.empty() ? std::string() : page.command.after + '\0'); iterator->Valid();
       iterator->Next()) {
    if (page.isFull()) return;
    ++page.looked;
    page.result.next = iterator->key().ToString();
    const std::string_view key = iterator->key().ToStringView();
    const auto id = storage::idAt<JobId>(key, 9);
    if (homeOf(id).queue != queue.number) continue;
    JobInfoValue job = jobOf(state, database, queue, id, JobState::SCHEDULED, iterator->value().ToStringView(),
                             page.command.payloadBytesMax);
    job.dueInMs = dueInMs(state, key);
    page.add(std::move(job));
  }
  CAPSTAN_OS_CHECK(iterator->status().ok(), iterator->status().ToString());
  page.result.next.clear();
}

void listDead(const State& state, const storage::Database& database, const Queue& queue, Page& page) {
  std::string prefix;
  storage::append32(prefix, queue.number);
  const auto iterator = database.iterate(Family::dead);
  const bool goesOn = page.command.after.starts_with(prefix);
  for (iterator->Seek(goesOn ? page.command.after + '\0' : prefix);
       iterator->Valid() && iterator->key().starts_with(prefix); iterator->Next()) {
    if (page.isFull()) return;
    ++page.looked;
    page.result.next = iterator->key().ToString();
    const auto [wallMs, record] = decodeDead(iterator->value().ToStringView());
    const auto id = storage::idAt<JobId>(iterator->key().ToStringView(), 12);
    JobInfoValue job = jobOf(state, database, queue, id, JobState::DEAD, record, page.command.payloadBytesMax);
    job.deadMs = wallMs;
    page.add(std::move(job));
  }
  CAPSTAN_OS_CHECK(iterator->status().ok(), iterator->status().ToString());
  page.result.next.clear();
}

ReadResult getJob(State& state, const storage::Database& database, const ReadCommand& command) {
  const auto unknown = [] { return refused(ErrorCode::NOT_FOUND, "there is no such job (any more)", "id"); };
  // Every job's id names its queue, wherever its record is.
  const storage::LaneKey home = homeOf(command.id);
  Queue* queue = state.queueOf(home.queue);
  if (queue == nullptr || queue->row.tenant != command.tenant) return unknown();
  ReadResult result;
  if (const auto leased = state.leasedJobs.find(command.id); leased != state.leasedJobs.end()) {
    const Lease& lease = *leased->second.lease;
    const LeaseItem& item = lease.row.items[leased->second.item];
    const auto record = database.get(Family::jobs, storage::jobKey(item.lane, command.id));
    CAPSTAN_ASSERT(record.has_value(), command.id.hex());
    JobInfoValue job = jobOf(state, database, *state.queueOf(item.lane.queue), command.id, JobState::LEASED, *record,
                             command.payloadBytesMax);
    job.worker = lease.row.worker;
    job.dueInMs = lease.row.deadlineMs > state.meta.elapsedMs ? lease.row.deadlineMs - state.meta.elapsedMs : 0;
    result.jobs.push_back(std::move(job));
    return result;
  }
  if (const auto row = database.get(Family::places, storage::idKey(command.id))) {
    const auto [family, key] = decodePlace(*row);
    const auto value = database.get(family, key);
    CAPSTAN_ASSERT(value.has_value(), command.id.hex());
    if (family == Family::scheduled) {
      result.jobs.push_back(
          jobOf(state, database, *queue, command.id, JobState::SCHEDULED, *value, command.payloadBytesMax));
      result.jobs[0].dueInMs = dueInMs(state, key);
    } else {
      const auto [wallMs, record] = decodeDead(*value);
      result.jobs.push_back(
          jobOf(state, database, *queue, command.id, JobState::DEAD, record, command.payloadBytesMax));
      result.jobs[0].deadMs = wallMs;
    }
    return result;
  }
  const auto record = database.get(Family::jobs, storage::jobKey(home, command.id));
  if (!record) return unknown();
  result.jobs.push_back(jobOf(state, database, *queue, command.id, JobState::READY, *record, command.payloadBytesMax));
  return result;
}

ReadResult getOperation(const State& state, const storage::Database& database, const ReadCommand& command) {
  const auto row = database.get(Family::operations, storage::operationKey(command.operation));
  if (!row) {
    return refused(ErrorCode::NOT_FOUND, "there is no such operation, or it ended long ago", "operation");
  }
  const OperationRow operation = OperationRow::decode(*row);
  ReadResult result;
  result.operation = command.operation;
  result.operationDone = operation.done;
  result.operationFinished = operation.finished;
  return result;
}

ReadResult serverInfo(const State& state) {
  ReadResult result;
  result.server.clusterId = state.meta.clusterId;
  result.server.appliedIndex = state.meta.index;
  result.server.digest = state.meta.digest;
  result.server.clusterVersion = state.meta.clusterVersion;
  return result;
}

ReadResult readQueue(State& state, const storage::Database& database, const ReadCommand& command) {
  const Queue* queue = state.findQueue(command.tenant, command.queue);
  if (queue == nullptr) return refused(ErrorCode::NOT_FOUND, "there is no such queue", "queue");
  ReadResult result;
  Page page{command, result};
  if (command.method == Method::getQueue) {
    result.queues.push_back(infoOf(*queue));
  } else if (command.method == Method::listDead) {
    listDead(state, database, *queue, page);
  } else if (static_cast<JobState>(command.state) == JobState::SCHEDULED) {
    peekScheduled(state, database, *queue, page);
  } else {
    peekReady(state, database, *queue, page);
  }
  return result;
}

ReadResult dispatch(State& state, const storage::Database& database, const ReadCommand& command) {
  switch (command.method) {
    case Method::listQueues:
      return listQueues(state, command);
    case Method::getQueue:
    case Method::peek:
    case Method::listDead:
      return readQueue(state, database, command);
    case Method::getJob:
      return getJob(state, database, command);
    case Method::getOperation:
      return getOperation(state, database, command);
    default:
      CAPSTAN_ASSERT(command.method == Method::serverInfo, static_cast<int>(command.method));
      return serverInfo(state);
  }
}

}  // namespace

ReadResult readState(State& state, const storage::Database& database, const ReadCommand& command) {
  ReadResult result = dispatch(state, database, command);
  result.appliedIndex = state.meta.index;
  return result;
}

}  // namespace capstan::fsm
