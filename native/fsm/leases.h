// Looking a lease up for a client: whether it is alive and which of its items an id means. Owns no data. Called by the
// operations that settle jobs, and by an exchange that asks before it applies.
#pragma once

#include <optional>

#include "fsm/change.h"

namespace capstan::fsm {

// The lease of these 16 bytes, over or not, that has not been closed yet.
Lease* grantedLease(Change& change, capnp::Data::Reader id);
// The same when it is alive: granted, not over, something open in it. From its deadline on it is
// lost, swept or not.
Lease* aliveLease(Change& change, capnp::Data::Reader id);
// The number of the open item with this id.
std::optional<uint32_t> openItem(Change& change, const Lease& lease, capnp::Data::Reader id);
// A lease with these items, whose jobs were taken from their lanes.
Lease& makeLease(Change& change, std::string_view worker, uint64_t leaseMs, std::vector<LeaseItem> items);
void setDeadline(Change& change, Lease& lease, uint64_t deadlineMs);

}  // namespace capstan::fsm
