// enqueue: jobs into one queue, all of them or none. Owns the checks of the replicated limits, which an exchange asks
// before it applies anything. Inputs: queue, jobs. Called by commands.cc and op_exchange.cc.
#include <algorithm>

#include "fsm/jobs.h"
#include "fsm/operations.h"

namespace capstan::fsm {
namespace {

using storage::ClockKind;
using storage::Family;

// When the job is ready: its clock and instant, or nothing for at once.
std::optional<std::pair<ClockKind, uint64_t>> dueOf(const Change& change, schema::NewJob::Reader job) {
  if (job.getRunAtMs() != 0) {
    if (job.getRunAtMs() <= change.stamp.wallMs) return std::nullopt;
    return std::pair{ClockKind::wall, static_cast<uint64_t>(job.getRunAtMs())};
  }
  if (job.getDelayMs() == 0) return std::nullopt;
  return std::pair{ClockKind::elapsed, change.nowMs() + job.getDelayMs()};
}

uint32_t knownGroup(const Queue* queue, std::string_view group) {
  if (queue == nullptr) return 0;
  const auto found = queue->groupNumbers.find(std::string(group));
  return found == queue->groupNumbers.end() ? 0 : found->second;
}

void putScheduled(Change& change, Queue& queue, const JobId& id, const RecordBytes& record, ClockKind clock,
                  uint64_t dueMs) {
  const std::string key = storage::scheduledKey(clock, dueMs, id);
  change.rows.put(Family::scheduled, key, viewOf(record));
  change.rows.put(Family::places, storage::idKey(id), encodePlace(Family::scheduled, key));
  uint64_t& next = change.state.scheduledNext[static_cast<size_t>(clock)];
  next = std::min(next, dueMs);
  ++queue.row.counters.scheduled;
}

}  // namespace

std::unique_ptr<Error> checkEnqueue(Change& change, std::string_view tenant, schema::EnqueueRequest::Reader request,
                                    EnqueuePlan& plan) {
  State& state = change.state;
  const std::string name(codec::viewOf(request.getQueue()));
  Queue* queue = state.findQueue(tenant, name);
  if (queue != nullptr && queue->row.deleting) {
    return std::make_unique<Error>(
        Error{schema::ErrorCode::QUEUE_DELETING, "the queue is being deleted", "queue", 1000});
  }
  if (queue == nullptr && plan.newQueues.insert(name).second) {
    if (state.queues.size() + plan.newQueues.size() > change.limits.queuesMax) {
      return refuseAtLimit(change.limits.queuesMax, "queues").error;
    }
  }
  uint32_t ungroupedLanes = 0;  // bit by priority
  for (const auto job : request.getJobs()) {
    const std::string_view group = codec::viewOf(job.getGroup());
    const uint32_t number = group.empty() ? 0 : knownGroup(queue, group);
    if (group.empty()) {
      if ((ungroupedLanes >> job.getPriority() & 1) != 0) continue;
      ungroupedLanes |= 1u << job.getPriority();
    } else if (number == 0) {
      plan.newGroups.emplace(name, group);
    }
    const bool isNew = queue == nullptr || (number == 0 && !group.empty()) ||
                       state.findLane({queue->number, job.getPriority(), number}) == nullptr;
    if (isNew) plan.newLanes.insert({{name, std::string(group)}, job.getPriority()});
  }
  if (state.groupCount + plan.newGroups.size() > change.limits.groupsMax) {
    return refuseAtLimit(change.limits.groupsMax, "groups").error;
  }
  if (state.laneCount + plan.newLanes.size() > change.limits.lanesMax)
    return refuseAtLimit(change.limits.lanesMax, "lanes").error;
  return nullptr;
}

CommandResult enqueue(Change& change, std::string_view tenant, schema::EnqueueRequest::Reader request) {
  EnqueuePlan plan;
  CommandResult result;
  if (auto error = checkEnqueue(change, tenant, request, plan)) {
    result.code = error->code;
    result.error = std::move(error);
    return result;
  }
  const auto jobs = request.getJobs();
  if (jobs.size() == 0) return result;
  const std::string_view name = codec::viewOf(request.getQueue());
  Queue* found = change.state.findQueue(tenant, name);
  Queue& queue = found != nullptr ? *found : change.makeQueue(tenant, name);
  result.ids.reserve(jobs.size());
  Lane* lane = nullptr;  // of the job before: mostly the same
  for (const auto job : jobs) {
    const uint32_t group = change.groupNumber(queue, codec::viewOf(job.getGroup()));
    const storage::LaneKey key{queue.number, job.getPriority(), group};
    const JobId id = change.nextJobId(key);
    RecordFacts facts{queue.number, key.priority, group, job.getMaxAttempts(), change.stamp.wallMs, 0, 0};
    facts.payloadBytes = static_cast<uint32_t>(job.getPayload().size());
    facts.storedBytes = storedBytesOf(job);
    std::shared_ptr<const RecordBytes> record = makeRecord(facts, job);
    if (const auto due = dueOf(change, job)) {
      putScheduled(change, queue, id, *record, due->first, due->second);
    } else {
      if (lane == nullptr || lane->key != key) lane = &change.laneFor(queue, key.priority, group);
      putJob(change, queue, *lane, {id, facts.payloadBytes, facts.storedBytes, facts.maxAttempts, std::move(record)});
    }
    change.addToGroup(queue, group, 1);
    queue.row.counters.bytes += facts.storedBytes;
    result.ids.push_back(id);
  }
  queue.row.counters.enqueued += jobs.size();
  change.touch(queue);
  return result;
}

}  // namespace capstan::fsm
