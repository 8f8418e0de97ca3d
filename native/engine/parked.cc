// Sleep, wake and the passing on of wakes; the story is in parked.h. Owns the registry only. Called by the apply thread
// after each entry and by the listener workers.
#include "engine/parked.h"

#include <algorithm>

#include "base/check.h"

namespace capstan::engine {
namespace {

constexpr size_t sequenceCells = 65536;
constexpr uint32_t retryAfterFullMs = 1000;

}  // namespace

ParkedFetches::ParkedFetches(uint32_t parkedMax)
    : parkedMax(parkedMax), sequences(sequenceCells, 0), withheld(sequenceCells, false) {}

void ParkedFetches::reset(uint64_t appliedIndex, std::vector<CallerSlot>& wakes) {
  const std::lock_guard guard(mutex);
  std::fill(sequences.begin(), sequences.end(), appliedIndex);
  std::fill(withheld.begin(), withheld.end(), false);
  std::vector<std::pair<uint64_t, uint64_t>> asleep;  // arrival, key
  for (const auto& [key, caller] : callers) {
    if (caller.wokenFor == 0) asleep.emplace_back(caller.arrival, key);
  }
  std::sort(asleep.begin(), asleep.end());
  for (const auto& [arrival, key] : asleep) {
    Caller& caller = callers.at(key);
    const uint64_t queue = caller.queues.front();
    const CallerSlot slot = queues.at(queue).waiting.at(arrival);
    leaveQueues(caller);
    caller.wokenFor = queue;
    ++queues[queue].awake;
    --perWorker[slot.worker];
    wakes.push_back(slot);
  }
}

Result<uint64_t> ParkedFetches::park(const ParkRequest& request) {
  CAPSTAN_ASSERT(!request.queues.empty());
  const std::lock_guard guard(mutex);
  const CallerSlot slot{request.worker, request.slot};
  // Its fetch came out empty, so its wake is over; what it left is looked at when an entry touches the queue again.
  forgetAwake(slot, true);
  CAPSTAN_ASSERT(!callers.contains(keyOf(slot)), request.worker, request.slot);
  for (const uint64_t queue : request.queues) {
    if (sequenceOf(queue) > request.emptyAtIndex) return uint64_t{0};
  }
  uint32_t& asleep = perWorker[request.worker];
  if (asleep >= parkedMax) {
    return Error{schema::ErrorCode::BUSY, "too many fetches wait on this worker", "", retryAfterFullMs};
  }
  ++asleep;
  const uint64_t arrival = request.arrival != 0 ? request.arrival : nextArrival++;
  for (const uint64_t queue : request.queues) queues[queue].waiting.emplace(arrival, slot);
  callers.emplace(keyOf(slot), Caller{arrival, request.queues});
  return arrival;
}

bool ParkedFetches::unpark(CallerSlot caller) {
  const std::lock_guard guard(mutex);
  const auto found = callers.find(keyOf(caller));
  if (found == callers.end() || found->second.wokenFor != 0) return false;
  leaveQueues(found->second);
  callers.erase(found);
  --perWorker[caller.worker];
  return true;
}

void ParkedFetches::endWake(CallerSlot caller, std::vector<CallerSlot>& wakes) {
  const std::lock_guard guard(mutex);
  const uint64_t queue = forgetAwake(caller, false);
  if (queue != 0) wakeFor(queue, wakes);
}

void ParkedFetches::closeWorker(uint32_t worker, std::vector<CallerSlot>& wakes) {
  const std::lock_guard guard(mutex);
  std::vector<uint64_t> left;
  for (auto at = callers.begin(); at != callers.end();) {
    if (at->first >> 32 != worker) {
      ++at;
      continue;
    }
    if (at->second.wokenFor != 0) {
      left.push_back(at->second.wokenFor);
      if (!at->second.isEarly) --queues.at(at->second.wokenFor).awake;
    } else {
      leaveQueues(at->second);
    }
    at = callers.erase(at);
  }
  perWorker.erase(worker);
  std::sort(left.begin(), left.end());
  for (const uint64_t queue : left) wakeFor(queue, wakes);
}

void ParkedFetches::wakeEarly(uint32_t worker, std::span<const QueueArrivals> arrivals,
                              std::vector<CallerSlot>& wakes) {
  const std::lock_guard guard(mutex);
  for (const QueueArrivals& arrival : arrivals) {
    if (holdsBack(arrival.queueHash)) continue;
    for (uint64_t job = 0; job < arrival.jobs; ++job) {
      const auto found = queues.find(arrival.queueHash);
      if (found == queues.end() || found->second.waiting.empty()) break;
      if (found->second.waiting.begin()->second.worker != worker) break;
      wakes.push_back(wakeFirst(arrival.queueHash, true));
      dropIfIdle(arrival.queueHash);
    }
  }
}

void ParkedFetches::applied(uint64_t index, std::span<const Fetched> fetched, std::span<const fsm::QueueReady> touched,
                            std::vector<CallerSlot>& wakes) {
  const std::lock_guard guard(mutex);
  std::vector<uint64_t> left;
  for (const Fetched& one : fetched) {
    const uint64_t queue = forgetAwake(one.caller, one.isEmpty);
    if (queue != 0) left.push_back(queue);
  }
  for (const fsm::QueueReady& ready : touched) {
    if (ready.grantable > 0) holdsBack(ready.queueHash) = false;
    if (ready.bumped) sequenceOf(ready.queueHash) = std::max(sequenceOf(ready.queueHash), index);
    const auto found = queues.find(ready.queueHash);
    if (found != queues.end()) found->second.grantable = ready.grantable;
  }
  for (const fsm::QueueReady& ready : touched) wakeFor(ready.queueHash, wakes);
  for (const uint64_t queue : left) wakeFor(queue, wakes);
}

size_t ParkedFetches::parkedCount() const {
  const std::lock_guard guard(mutex);
  size_t count = 0;
  for (const auto& [worker, asleep] : perWorker) count += asleep;
  return count;
}

// A queue named twice in one fetch holds its caller once.
void ParkedFetches::leaveQueues(const Caller& caller) {
  for (const uint64_t queue : caller.queues) {
    const auto found = queues.find(queue);
    if (found == queues.end()) continue;
    found->second.waiting.erase(caller.arrival);
    dropIfIdle(queue);
  }
}

uint64_t ParkedFetches::forgetAwake(CallerSlot slot, bool isEmpty) {
  const auto found = callers.find(keyOf(slot));
  if (found == callers.end() || found->second.wokenFor == 0) return 0;
  const Caller caller = std::move(found->second);
  callers.erase(found);
  if (caller.isEarly) {
    if (isEmpty) holdsBack(caller.wokenFor) = true;
  } else {
    --queues.at(caller.wokenFor).awake;
    dropIfIdle(caller.wokenFor);
  }
  return caller.wokenFor;
}

void ParkedFetches::wakeFor(uint64_t queue, std::vector<CallerSlot>& wakes) {
  for (;;) {
    const auto found = queues.find(queue);
    if (found == queues.end()) return;
    const Queue& state = found->second;
    if (state.waiting.empty() || state.awake >= state.grantable) return dropIfIdle(queue);
    wakes.push_back(wakeFirst(queue, false));
  }
}

// The queue has someone waiting.
CallerSlot ParkedFetches::wakeFirst(uint64_t queue, bool isEarly) {
  Queue& state = queues.at(queue);
  const CallerSlot slot = state.waiting.begin()->second;
  Caller& caller = callers.at(keyOf(slot));
  caller.wokenFor = queue;
  caller.isEarly = isEarly;
  // Counted first: leaving its queues must not drop this one.
  if (!isEarly) ++state.awake;
  leaveQueues(caller);
  --perWorker[slot.worker];
  return slot;
}

void ParkedFetches::dropIfIdle(uint64_t queue) {
  const auto found = queues.find(queue);
  if (found != queues.end() && found->second.waiting.empty() && found->second.awake == 0) queues.erase(found);
}

}  // namespace capstan::engine
