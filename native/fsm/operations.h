// Every operation that an entry may carry, one function each. They change the state through Change and answer with a
// value; a refused command has changed nothing. Owns nothing. Called by commands.cc only.
#pragma once

#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "capstan.capnp.h"
#include "fsm/change.h"

namespace capstan::fsm {

CommandResult refuse(schema::ErrorCode code, std::string message, std::string field = "", uint32_t retryAfterMs = 0);
// LIMIT_REACHED: `count` is the replicated limit, `what` its plural.
CommandResult refuseAtLimit(uint64_t count, const std::string& what, std::string field = "queue");

// op_enqueue.cc
CommandResult enqueue(Change& change, std::string_view tenant, schema::EnqueueRequest::Reader request);
// What an exchange asks before it applies anything: the error, or null. Sums over several calls of one exchange.
struct EnqueuePlan {
  std::set<std::string> newQueues;
  std::set<std::pair<std::string, std::string>> newGroups;                     // queue, group
  std::set<std::pair<std::pair<std::string, std::string>, uint8_t>> newLanes;  // and priority
};
std::unique_ptr<Error> checkEnqueue(Change& change, std::string_view tenant, schema::EnqueueRequest::Reader request,
                                    EnqueuePlan& plan);

// op_fetch.cc: the fetches of an entry, dealt one job a round in the order of their commands.
struct Caller {
  CommandResult* result = nullptr;
  std::string_view tenant;
  schema::FetchRequest::Reader request;
  bool waits = false;  // when it comes out empty
};
void fetchAll(Change& change, std::vector<Caller>& callers);
// A stored grant once more: what is still open of it.
void regrant(Change& change, CommandResult& result);

// op_settle.cc
CommandResult ack(Change& change, schema::AckRequest::Reader request);
CommandResult fail(Change& change, schema::FailRequest::Reader request);
uint64_t bytesOf(Change& change, schema::FailRequest::Reader request);  // of the records that it may move
CommandResult refuseMoved();                                            // `busy`: the entry has moved enough
CommandResult extend(Change& change, schema::ExtendRequest::Reader request);
CommandResult release(Change& change, schema::ReleaseRequest::Reader request);
void unsend(Change& change, schema::Unsend::Reader request);

// op_exchange.cc. False: refused whole, `result` says why. The fetch, if any, is left to fetchAll: parts.back().
bool exchange(Change& change, std::string_view tenant, schema::ExchangeRequest::Reader request, CommandResult& result);

// op_sessions.cc
CommandResult openSession(Change& change, schema::OpenSessionRequest::Reader request);
CommandResult closeSession(Change& change, schema::CloseSessionRequest::Reader request);
void keepSession(Change& change, uint64_t number);  // a request was heard
void dropSession(Change& change, uint64_t number);

// op_queues.cc
CommandResult setQueue(Change& change, std::string_view tenant, schema::SetQueueRequest::Reader request);
CommandResult deleteQueue(Change& change, std::string_view tenant, schema::DeleteQueueRequest::Reader request);

// op_jobs.cc
CommandResult deleteJobs(Change& change, std::string_view tenant, schema::DeleteJobsRequest::Reader request);
CommandResult redriveDead(Change& change, std::string_view tenant, schema::DeadRequest::Reader request);
CommandResult deleteDead(Change& change, std::string_view tenant, schema::DeadRequest::Reader request);

// op_tick.cc
void tick(Change& change, uint32_t rowsMax);

}  // namespace capstan::fsm
