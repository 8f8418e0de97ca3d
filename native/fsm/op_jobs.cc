// deleteJobs, redriveDead and deleteDead: single jobs by id, wherever they are, and dead ones of a queue. Owns nothing.
// Inputs: ids; queue, ids or all. What an entry has no room for is refused with `busy` by deleteJobs, and left to the
// steps of an operation by the others.
#include <set>

#include "base/check.h"
#include "fsm/bulk.h"
#include "fsm/ids.h"
#include "fsm/jobs.h"
#include "fsm/leases.h"
#include "fsm/operations.h"

namespace capstan::fsm {
namespace {

using schema::ErrorCode;
using storage::Family;

// Every job's id names its queue, wherever its record is.
bool isOfTenant(Change& change, std::string_view tenant, const JobId& id) {
  const Queue* queue = change.state.queueOf(homeOf(id).queue);
  return queue != nullptr && queue->row.tenant == tenant;
}

// False: the tenant has no such job.
bool deleteJob(Change& change, std::string_view tenant, const JobId& id) {
  if (!isOfTenant(change, tenant, id)) return false;
  if (const auto leased = change.state.leasedJobs.find(id); leased != change.state.leasedJobs.end()) {
    Lease& lease = *leased->second.lease;
    LeaseItem& item = lease.row.items[leased->second.item];
    if (item.doomed) return true;
    item.doomed = true;
    lease.marksTouched = true;
    change.touch(lease);
    return true;
  }
  if (const auto row = change.rows.get(Family::places, storage::idKey(id))) {
    const auto [family, key] = decodePlace(*row);
    const auto value = change.rows.get(family, key);
    CAPSTAN_ASSERT(value.has_value(), id.hex());
    if (family == Family::scheduled) {
      dropScheduled(change, key, *value);
    } else {
      CAPSTAN_ASSERT(family == Family::dead, static_cast<int>(family));
      dropDead(change, key, *value);
    }
    return true;
  }
  const storage::LaneKey home = homeOf(id);
  Queue* queue = change.state.queueOf(home.queue);
  Lane* lane = change.state.findLane(home);
  if (queue == nullptr || lane == nullptr || recordOf(change, *lane, id) == nullptr) return false;
  dropJob(change, *queue, *lane, id);
  return true;
}

// Those of the ids that are dead in this queue; the others are refused in the result.
std::vector<JobId> findDead(Change& change, const Queue& queue, capnp::List<capnp::Data>::Reader ids,
                            CommandResult& result) {
  std::vector<JobId> found;
  for (uint32_t at = 0; at < ids.size(); ++at) {
    const auto id = codec::idOf<JobId>(ids[at]);
    if (id && findDeadRow(change, queue, *id)) {
      found.push_back(*id);
    } else {
      result.refused.push_back({at, ErrorCode::NOT_FOUND});
    }
  }
  return found;
}

bool hasLanesFor(Change& change, const std::vector<JobId>& jobs) {
  std::set<std::pair<uint8_t, uint32_t>> made;
  for (const JobId& id : jobs) {
    const storage::LaneKey lane = homeOf(id);
    if (change.state.findLane(lane) == nullptr) made.insert({lane.priority, lane.group});
  }
  return made.empty() || change.state.laneCount + made.size() <= change.limits.lanesMax;
}

CommandResult changeDeadIds(Change& change, Queue& queue, capnp::List<capnp::Data>::Reader ids, OperationKind kind) {
  CommandResult result;
  const std::vector<JobId> jobs = findDead(change, queue, ids, result);
  if (jobs.empty() && !result.refused.empty()) {
    return refuse(ErrorCode::NOT_FOUND, "none of these jobs is dead in this queue", "ids");
  }
  if (kind == OperationKind::redriveDead && !hasLanesFor(change, jobs))
    return refuseAtLimit(change.limits.lanesMax, "lanes");
  OperationRow operation;
  operation.kind = kind;
  operation.queue = queue.number;
  for (const JobId& id : jobs) operation.place.append(storage::idKey(id));
  operation.phase = phaseOfIds;
  CommandResult begun = beginBulk(change, std::move(operation), UINT32_MAX);
  begun.refused = std::move(result.refused);
  return begun;
}

CommandResult changeDead(Change& change, std::string_view tenant, schema::DeadRequest::Reader request,
                         OperationKind kind) {
  Queue* queue = change.state.findQueue(tenant, codec::viewOf(request.getQueue()));
  if (queue == nullptr) return refuse(ErrorCode::NOT_FOUND, "there is no such queue", "queue");
  if (queue->row.deleting) return refuse(ErrorCode::QUEUE_DELETING, "the queue is being deleted", "queue", 1000);
  if (!request.getAll()) return changeDeadIds(change, *queue, request.getIds(), kind);
  if (kind == OperationKind::redriveDead && change.state.laneCount >= change.limits.lanesMax) {
    return refuseAtLimit(change.limits.lanesMax, "lanes");
  }
  OperationRow operation;
  operation.kind = kind;
  operation.queue = queue->number;
  operation.untilMs = change.nowMs() + 1;
  return beginBulk(change, std::move(operation), rowsInRequestMax);
}

}  // namespace

CommandResult deleteJobs(Change& change, std::string_view tenant, schema::DeleteJobsRequest::Reader request) {
  CommandResult result;
  const auto ids = request.getIds();
  for (uint32_t at = 0; at < ids.size(); ++at) {
    const auto id = codec::idOf<JobId>(ids[at]);
    if (change.moved() >= movedBytesMax) {
      result.refused.push_back({at, ErrorCode::BUSY});
    } else if (id && deleteJob(change, tenant, *id)) {
      ++result.accepted;
    } else {
      result.refused.push_back({at, ErrorCode::NOT_FOUND});
    }
  }
  return result;
}

CommandResult redriveDead(Change& change, std::string_view tenant, schema::DeadRequest::Reader request) {
  return changeDead(change, tenant, request, OperationKind::redriveDead);
}

CommandResult deleteDead(Change& change, std::string_view tenant, schema::DeadRequest::Reader request) {
  return changeDead(change, tenant, request, OperationKind::deleteDead);
}

}  // namespace capstan::fsm
