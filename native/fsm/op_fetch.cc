// fetch: grants the smallest ready jobs of the listed queues to each caller of an entry, one a round, each under a
// lease of its own. Owns the dealing. Inputs: queues in order, jobsMax, bytesMax, leaseMs, worker.
#include "base/check.h"
#include "fsm/jobs.h"
#include "fsm/leases.h"
#include "fsm/operations.h"

namespace capstan::fsm {
namespace {

struct Hand {
  std::vector<Queue*> queues;  // null: there is none of that name
  uint32_t jobsMax = 0;
  uint64_t bytesMax = 0;
  uint64_t bytes = 0;
  std::vector<LeaseItem> items;
  std::vector<std::shared_ptr<const RecordBytes>> records;
  bool done = false;
  bool leasesFull = false;
};

struct Candidate {
  Queue* queue = nullptr;
  Lane* lane = nullptr;
  uint16_t queueIndex = 0;
};

Candidate findCandidate(const Hand& hand) {
  for (size_t at = 0; at < hand.queues.size(); ++at) {
    if (hand.queues[at] == nullptr) continue;
    if (Lane* lane = nextLane(*hand.queues[at])) return {hand.queues[at], lane, static_cast<uint16_t>(at)};
  }
  return {};
}

// One job for this caller; false when it gets no more.
bool dealOne(Change& change, Hand& hand, size_t leasedNow) {
  if (hand.items.size() >= hand.jobsMax) return false;
  const Candidate candidate = findCandidate(hand);
  if (candidate.lane == nullptr) return false;
  const ReadyJob& first = firstReady(change, *candidate.lane);
  if (!hand.items.empty() && hand.bytes + first.payloadBytes > hand.bytesMax) return false;
  if (leasedNow >= change.limits.leasedJobsMax) {
    hand.leasesFull = true;
    return false;
  }
  ReadyJob job = takeFirst(change, *candidate.queue, *candidate.lane);
  passTurn(change, *candidate.queue, *candidate.lane);
  hand.bytes += job.payloadBytes;
  LeaseItem item;
  item.id = job.id;
  item.lane = candidate.lane->key;
  item.payloadBytes = job.payloadBytes;
  item.storedBytes = job.storedBytes;
  item.maxAttempts = job.maxAttempts;
  const auto attempts = change.attemptsOf(job.id);
  item.attempts = attempts ? attempts->attempts : 0;
  item.queueIndex = candidate.queueIndex;
  // Claimed at once, so that a refill for the next caller does not see it; makeLease fills in where it stands.
  change.state.leasedJobs.emplace(job.id, LeasePlace{});
  hand.items.push_back(item);
  hand.records.push_back(std::move(job.record));
  return true;
}

GrantedJob grantedOf(Change& change, const LeaseItem& item) {
  GrantedJob job;
  job.id = item.id;
  job.attempt = item.attempts + 1;
  const Queue* queue = change.state.queueOf(item.lane.queue);
  CAPSTAN_ASSERT(queue != nullptr, item.lane.queue);
  job.maxAttempts = item.maxAttempts == 0 ? queue->row.settings.maxAttempts : item.maxAttempts;
  job.queueIndex = item.queueIndex;
  job.payloadBytes = item.payloadBytes;
  return job;
}

void answer(Change& change, Hand& hand, const Caller& caller) {
  CommandResult& result = *caller.result;
  if (hand.items.empty()) {
    if (hand.leasesFull && caller.waits) {
      // It goes on waiting; its queues are told when there is room for leased jobs again.
      for (Queue* queue : hand.queues) {
        if (queue != nullptr && queue->grantable() > 0) change.tell(*queue);
      }
    } else if (hand.leasesFull) {
      result =
          refuse(schema::ErrorCode::BUSY,
                 "the limit of " + std::to_string(change.limits.leasedJobsMax) + " leased jobs is reached", "", 100);
    }
    return;
  }
  const auto worker = caller.request.getWorker();
  for (const LeaseItem& item : hand.items) change.state.leasedJobs.erase(item.id);
  Lease& lease = makeLease(change, codec::viewOf(worker), caller.request.getLeaseMs(), std::move(hand.items));
  result.lease = lease.id;
  result.token = lease.row.token;
  result.leaseMs = lease.row.leaseMs;
  result.jobs.reserve(lease.row.items.size());
  for (size_t at = 0; at < lease.row.items.size(); ++at) {
    const LeaseItem& item = lease.row.items[at];
    GrantedJob job = grantedOf(change, item);
    job.record = std::move(hand.records[at]);
    if (!job.record) {
      job.record = recordOfPut(*change.state.findLane(item.lane), item.id);
      if (!job.record) job.key = storage::jobKey(item.lane, item.id);
    }
    result.jobs.push_back(std::move(job));
  }
}

}  // namespace

void fetchAll(Change& change, std::vector<Caller>& callers) {
  std::vector<Hand> hands(callers.size());
  for (size_t at = 0; at < callers.size(); ++at) {
    const auto request = callers[at].request;
    hands[at].jobsMax = request.getJobsMax();
    hands[at].bytesMax = request.getBytesMax();
    for (const auto name : request.getQueues()) {
      hands[at].queues.push_back(change.state.findQueue(callers[at].tenant, codec::viewOf(name)));
    }
  }
  for (size_t active = hands.size(); active > 0;) {
    active = 0;
    for (Hand& hand : hands) {
      if (hand.done) continue;
      hand.done = !dealOne(change, hand, change.state.leasedJobs.size());
      if (!hand.done) ++active;
    }
  }
  for (size_t at = 0; at < callers.size(); ++at) answer(change, hands[at], callers[at]);
}

void regrant(Change& change, CommandResult& result) {
  Lease* lease = change.state.findLease(result.lease);
  if (lease == nullptr || lease->open == 0 || lease->row.deadlineMs <= change.nowMs()) {
    result.lease = LeaseId{};
    result.token = 0;
    result.leaseMs = 0;
    return;
  }
  for (const LeaseItem& item : lease->row.items) {
    if (item.closed) continue;
    GrantedJob job = grantedOf(change, item);
    job.key = storage::jobKey(item.lane, item.id);
    result.jobs.push_back(std::move(job));
  }
}

}  // namespace capstan::fsm
