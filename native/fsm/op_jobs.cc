// deleteJobs, redriveDead and deleteDead: single jobs by id, wherever they are, and all dead ones of a queue. Owns
// nothing. Inputs: ids; queue, ids or all.
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

// False: there is no such job.
bool deleteJob(Change& change, const JobId& id) {
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

template <class Each>
CommandResult forDeadIds(Change& change, Queue& queue, capnp::List<capnp::Data>::Reader ids, Each each) {
  CommandResult result;
  for (uint32_t at = 0; at < ids.size(); ++at) {
    const auto id = codec::idOf<JobId>(ids[at]);
    const auto row = id ? change.rows.get(Family::places, storage::idKey(*id)) : std::nullopt;
    if (!row) {
      result.refused.push_back({at, ErrorCode::NOT_FOUND});
      continue;
    }
    const auto [family, key] = decodePlace(*row);
    if (family != Family::dead || storage::number32(key, 0) != queue.number) {
      result.refused.push_back({at, ErrorCode::NOT_FOUND});
      continue;
    }
    const auto value = change.rows.get(family, key);
    CAPSTAN_ASSERT(value.has_value(), id->hex());
    each(key, *value);
    ++result.operationDone;
  }
  result.operationFinished = true;
  if (result.operationDone == 0 && !result.refused.empty()) {
    return refuse(ErrorCode::NOT_FOUND, "none of these jobs is dead in this queue", "ids");
  }
  return result;
}

CommandResult changeDead(Change& change, std::string_view tenant, schema::DeadRequest::Reader request,
                         OperationKind kind) {
  Queue* queue = change.state.findQueue(tenant, codec::viewOf(request.getQueue()));
  if (queue == nullptr) return refuse(ErrorCode::NOT_FOUND, "there is no such queue", "queue");
  if (queue->row.deleting) return refuse(ErrorCode::QUEUE_DELETING, "the queue is being deleted", "queue", 1000);
  if (!request.getAll()) {
    return forDeadIds(change, *queue, request.getIds(), [&](const std::string& key, const std::string& row) {
      if (kind == OperationKind::redriveDead) {
        redriveJob(change, key, row);
      } else {
        dropDead(change, key, row);
      }
    });
  }
  OperationRow operation;
  operation.kind = kind;
  operation.queue = queue->number;
  operation.untilMs = change.nowMs() + 1;
  return beginBulk(change, std::move(operation), rowsInRequestMax);
}

}  // namespace

CommandResult deleteJobs(Change& change, schema::DeleteJobsRequest::Reader request) {
  CommandResult result;
  const auto ids = request.getIds();
  for (uint32_t at = 0; at < ids.size(); ++at) {
    const auto id = codec::idOf<JobId>(ids[at]);
    if (id && deleteJob(change, *id)) {
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
