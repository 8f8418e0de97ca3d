// ack, fail, extend, release and unsend: what a worker says of the jobs it holds. A lease that is over answers
// leaseLost for each of its jobs. Inputs: lease; ids, or all that is still open. Owns nothing.
#include "base/check.h"
#include "fsm/jobs.h"
#include "fsm/leases.h"
#include "fsm/operations.h"

namespace capstan::fsm {
namespace {

using schema::ErrorCode;

// Closes the items of `ids` (or every open one) and hands each to `settle`.
template <class Ids, class Settle>
CommandResult settleAll(Change& change, capnp::Data::Reader leaseId, bool all, Ids ids, Settle settle) {
  CommandResult result;
  Lease* lease = aliveLease(change, leaseId);
  if (all) {
    if (lease == nullptr) return refuse(ErrorCode::LEASE_LOST, "the lease is over or was never granted", "lease");
    for (uint32_t at = 0; at < lease->row.items.size(); ++at) {
      if (lease->row.items[at].closed) continue;
      closeItem(change, *lease, at);
      settle(lease->row.items[at]);
      ++result.accepted;
    }
    return result;
  }
  for (uint32_t at = 0; at < ids.size(); ++at) {
    const auto item = lease == nullptr ? std::nullopt : openItem(change, *lease, ids[at]);
    if (!item) {
      result.refused.push_back({at, ErrorCode::LEASE_LOST});
      continue;
    }
    closeItem(change, *lease, *item);
    settle(lease->row.items[*item]);
    ++result.accepted;
  }
  return result;
}

}  // namespace

CommandResult ack(Change& change, schema::AckRequest::Reader request) {
  return settleAll(change, request.getLease(), request.getAll(), request.getIds(), [&](const LeaseItem& item) {
    Queue* queue = change.state.queueOf(item.lane.queue);
    CAPSTAN_ASSERT(queue != nullptr, item.lane.queue);
    ++queue->row.counters.acked;
    jobDone(change, item);
  });
}

CommandResult release(Change& change, schema::ReleaseRequest::Reader request) {
  return settleAll(change, request.getLease(), request.getAll(), request.getIds(),
                   [&](const LeaseItem& item) { jobReturned(change, item); });
}

uint64_t bytesOf(Change& change, schema::FailRequest::Reader request) {
  const Lease* lease = aliveLease(change, request.getLease());
  if (lease == nullptr) return 0;
  uint64_t bytes = 0;
  for (const auto job : request.getJobs()) {
    if (const auto item = openItem(change, *lease, job.getId())) bytes += lease->row.items[*item].storedBytes;
  }
  return bytes;
}

CommandResult refuseMoved() {
  constexpr uint32_t retryAfterMs = 50;
  return refuse(ErrorCode::BUSY, "too many bytes of jobs are moved at once", "", retryAfterMs);
}

CommandResult fail(Change& change, schema::FailRequest::Reader request) {
  // The first of an entry goes whatever it moves: a lease has a bound of its own.
  if (change.moved() > 0 && change.moved() + bytesOf(change, request) > movedBytesMax) return refuseMoved();
  CommandResult result;
  Lease* lease = aliveLease(change, request.getLease());
  const auto jobs = request.getJobs();
  for (uint32_t at = 0; at < jobs.size(); ++at) {
    const auto item = lease == nullptr ? std::nullopt : openItem(change, *lease, jobs[at].getId());
    if (!item) {
      result.refused.push_back({at, ErrorCode::LEASE_LOST});
      continue;
    }
    closeItem(change, *lease, *item);
    const uint64_t delayMs = jobs[at].getRetryDelayMs();
    jobFailed(change, lease->row.items[*item], codec::viewOf(jobs[at].getReason()),
              delayMs == 0 ? std::nullopt : std::optional(delayMs), jobs[at].getDead());
    ++result.accepted;
  }
  return result;
}

CommandResult extend(Change& change, schema::ExtendRequest::Reader request) {
  Lease* lease = aliveLease(change, request.getLease());
  if (lease == nullptr) return refuse(ErrorCode::LEASE_LOST, "the lease is over or was never granted", "lease");
  setDeadline(change, *lease, change.nowMs() + request.getLeaseMs());
  CommandResult result;
  result.accepted = lease->open;
  result.leaseMs = request.getLeaseMs();
  return result;
}

void unsend(Change& change, schema::Unsend::Reader request) {
  Lease* lease = grantedLease(change, request.getLease());
  if (lease == nullptr) return;
  for (uint32_t at = 0; at < lease->row.items.size(); ++at) {
    if (lease->row.items[at].closed) continue;
    closeItem(change, *lease, at);
    jobReturned(change, lease->row.items[at]);
  }
}

}  // namespace capstan::fsm
