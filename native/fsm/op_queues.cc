// setQueue and deleteQueue: a queue's settings, its pause, and its end with everything in it. Owns nothing. Inputs:
// queue; settings, pause, resume.
#include "base/check.h"
#include "fsm/bulk.h"
#include "fsm/jobs.h"
#include "fsm/operations.h"

namespace capstan::fsm {
namespace {

using schema::ErrorCode;

template <class Value>
void changeTo(Value& setting, Value value) {
  if (value != 0) setting = value;
}

codec::QueueDefaults changed(codec::QueueDefaults to, schema::QueueSettings::Reader from) {
  changeTo(to.maxAttempts, from.getMaxAttempts());
  changeTo(to.backoffBaseMs, from.getBackoffBaseMs());
  changeTo(to.backoffFactorPercent, from.getBackoffFactorPercent());
  changeTo(to.backoffMaxMs, from.getBackoffMaxMs());
  changeTo(to.backoffJitterPercent, from.getBackoffJitterPercent());
  changeTo(to.groupQuantum, from.getGroupQuantum());
  changeTo(to.deadKeepMs, from.getDeadKeepMs());
  if (from.getNoBackoff()) to.backoffBaseMs = 0;
  if (from.getNoJitter()) to.backoffJitterPercent = 0;
  return to;
}

void applySettings(Change& change, Queue& queue, const codec::QueueDefaults& settings) {
  const bool keepsOtherwise = settings.deadKeepMs != queue.row.settings.deadKeepMs;
  queue.row.settings = settings;
  if (!keepsOtherwise) return;
  queue.row.deadDueMs = 0;  // the old timer states another instant and does nothing
  ensureDeadTimer(change, queue);
}

}  // namespace

CommandResult setQueue(Change& change, std::string_view tenant, schema::SetQueueRequest::Reader request) {
  const std::string_view name = codec::viewOf(request.getQueue());
  Queue* queue = change.state.findQueue(tenant, name);
  if (queue != nullptr && queue->row.deleting) {
    return refuse(ErrorCode::QUEUE_DELETING, "the queue is being deleted", "queue", 1000);
  }
  if (queue == nullptr && change.state.queues.size() >= change.limits.queuesMax) {
    return refuseAtLimit(change.limits.queuesMax, "queues");
  }
  const codec::QueueDefaults& before = queue == nullptr ? change.defaults : queue->row.settings;
  const codec::QueueDefaults settings = changed(before, request.getSettings());
  const bool changesBackoff =
      settings.backoffBaseMs != before.backoffBaseMs || settings.backoffMaxMs != before.backoffMaxMs;
  if (changesBackoff && settings.backoffBaseMs > settings.backoffMaxMs) {
    return refuse(ErrorCode::INVALID_ARGUMENT,
                  "settings.backoffBaseMs: " + std::to_string(settings.backoffBaseMs) +
                      " is above backoffMaxMs, which " +
                      (settings.backoffMaxMs == before.backoffMaxMs ? "is " : "is to be ") +
                      std::to_string(settings.backoffMaxMs),
                  "settings.backoffBaseMs");
  }
  if (queue == nullptr) queue = &change.makeQueue(tenant, name);
  applySettings(change, *queue, settings);
  if (request.getPause()) queue->row.paused = true;
  if (request.getResume() && queue->row.paused) {
    queue->row.paused = false;
    change.bump(*queue);
  }
  change.touch(*queue);
  return {};
}

CommandResult deleteQueue(Change& change, std::string_view tenant, schema::DeleteQueueRequest::Reader request) {
  Queue* queue = change.state.findQueue(tenant, codec::viewOf(request.getQueue()));
  if (queue == nullptr) return refuse(ErrorCode::NOT_FOUND, "there is no such queue", "queue");
  if (queue->row.deleting) {
    CommandResult result;
    for (const auto& [number, operation] : change.state.operations) {
      if (operation.kind != OperationKind::deleteQueue || operation.queue != queue->number) continue;
      result.operation = number;
      result.operationDone = operation.done;
    }
    CAPSTAN_ASSERT(result.operation != 0, queue->number);
    return result;
  }
  queue->row.deleting = true;
  queue->row.deadDueMs = 0;
  change.touch(*queue);
  OperationRow operation;
  operation.kind = OperationKind::deleteQueue;
  operation.queue = queue->number;
  return beginBulk(change, std::move(operation), rowsInRequestMax);
}

}  // namespace capstan::fsm
