// Makes and finds leases. Owns the making of tokens and lease ids: the token is the next number of the shard, the id a
// keyed hash of it and the entry's seed. See leases.h.
#include "fsm/leases.h"

#include "base/check.h"
#include "fsm/siphash.h"

namespace capstan::fsm {
namespace {

LeaseId leaseIdOf(const Change& change, uint64_t token) {
  CAPSTAN_ASSERT(change.state.meta.secret.size() >= 16, change.state.meta.secret.size());
  std::array<uint8_t, 24> message;
  std::copy(change.stamp.seed.begin(), change.stamp.seed.end(), message.begin());
  putLittle<uint64_t>(message.data() + 16, token);
  const auto* key = reinterpret_cast<const uint8_t*>(change.state.meta.secret.data());
  LeaseId id;
  id.bytes = sipHash128(std::span<const uint8_t, 16>(key, 16), message);
  return id;
}

}  // namespace

Lease* grantedLease(Change& change, capnp::Data::Reader id) {
  const auto lease = codec::idOf<LeaseId>(id);
  return lease ? change.state.findLease(*lease) : nullptr;
}

Lease* aliveLease(Change& change, capnp::Data::Reader id) {
  Lease* lease = grantedLease(change, id);
  if (lease == nullptr || lease->open == 0 || lease->row.deadlineMs <= change.nowMs()) return nullptr;
  return lease;
}

std::optional<uint32_t> openItem(Change& change, const Lease& lease, capnp::Data::Reader id) {
  const auto job = codec::idOf<JobId>(id);
  if (!job) return std::nullopt;
  const auto found = change.state.leasedJobs.find(*job);
  if (found == change.state.leasedJobs.end() || found->second.lease != &lease) return std::nullopt;
  return found->second.item;
}

Lease& makeLease(Change& change, std::string_view worker, uint64_t leaseMs, std::vector<LeaseItem> items) {
  State& state = change.state;
  auto made = std::make_unique<Lease>();
  Lease& lease = *made;
  lease.row.token = ++state.meta.tokens;
  lease.id = leaseIdOf(change, lease.row.token);
  CAPSTAN_ASSERT(!state.leases.contains(lease.id) && !lease.id.isZero(), lease.row.token);
  lease.row.worker = worker;
  lease.row.leaseMs = leaseMs;
  lease.row.deadlineMs = change.nowMs() + leaseMs;
  lease.row.items = std::move(items);
  lease.open = static_cast<uint32_t>(lease.row.items.size());
  for (uint32_t at = 0; at < lease.open; ++at) {
    const bool added = state.leasedJobs.emplace(lease.row.items[at].id, LeasePlace{&lease, at}).second;
    CAPSTAN_ASSERT(added, lease.row.items[at].id.hex());
  }
  state.deadlines.insert({lease.row.deadlineMs, lease.id});
  state.leases[lease.id] = std::move(made);
  change.touch(lease);
  return lease;
}

void setDeadline(Change& change, Lease& lease, uint64_t deadlineMs) {
  change.state.deadlines.erase({lease.row.deadlineMs, lease.id});
  lease.row.deadlineMs = deadlineMs;
  change.state.deadlines.insert({deadlineMs, lease.id});
  lease.marksTouched = true;
  change.touch(lease);
}

}  // namespace capstan::fsm
