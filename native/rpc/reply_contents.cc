// Fills the responses; what each field means is said in schemas/capstan.capnp and compat.capnp. Owns no state. Called
// by replies.cc. The bounds at the end must cover what the filling above them writes.
#include "rpc/reply_contents.h"

#include <capnp/serialize.h>

#include <algorithm>
#include <string>

#include "base/check.h"
#include "entry.capnp.h"
#include "error_text.h"

namespace capstan::rpc {
namespace {

using codec::Method;
namespace compat = schema::compat;

// A stored record, read in place: our own bytes, so nothing is limited.
class RecordReader {
 public:
  explicit RecordReader(const RecordBytes& record)
      : segment(reinterpret_cast<const capnp::word*>(record.words.get()), record.wordCount),
        message(kj::arrayPtr(&segment, 1), unlimited()) {}
  schema::JobRecord::Reader root() { return message.getRoot<schema::JobRecord>(); }

 private:
  static capnp::ReaderOptions unlimited() {
    capnp::ReaderOptions options;
    options.traversalLimitInWords = UINT64_MAX;
    return options;
  }
  const kj::ArrayPtr<const capnp::word> segment;
  capnp::SegmentArrayMessageReader message;
};

template <class Bytes>
capnp::Data::Reader dataOf(const Bytes& bytes) {
  return {reinterpret_cast<const kj::byte*>(bytes.data()), bytes.size()};
}

capnp::Text::Reader textOf(const std::string& text) { return {text.c_str(), text.size()}; }

template <class Response>
void fillError(Response response, const CommandResult& result) {
  if (result.code == schema::ErrorCode::OK) return;
  Error plain{result.code, "", "", 0};
  fillStatus(response.initStatus(), result.error == nullptr ? plain : *result.error);
}

void fill(schema::EnqueueResponse::Builder response, const CommandResult& result) {
  fillError(response, result);
  auto ids = response.initIds(result.ids.size());
  for (size_t i = 0; i < result.ids.size(); i++) ids.set(i, dataOf(result.ids[i].bytes));
}

void fill(schema::SettleResponse::Builder response, const CommandResult& result) {
  fillError(response, result);
  response.setAccepted(result.accepted);
  if (result.refused.empty()) return;
  auto refused = response.initRefused(result.refused.size());
  for (size_t i = 0; i < result.refused.size(); i++) {
    refused[i].setIndex(result.refused[i].index);
    refused[i].setCode(result.refused[i].code);
  }
}

void fill(schema::ExtendResponse::Builder response, const CommandResult& result) {
  fillError(response, result);
  response.setOpenJobs(result.accepted);
  response.setLeaseMs(result.leaseMs);
}

void fillJob(schema::FetchedJob::Builder to, const GrantedJob& job) {
  RecordReader reader(*job.record);
  const auto record = reader.root();
  to.setId(dataOf(job.id.bytes));
  to.setPayload(record.getPayload());
  to.setQueueIndex(job.queueIndex);
  to.setPriority(record.getPriority());
  to.setAttempt(job.attempt);
  to.setMaxAttempts(job.maxAttempts);
  to.setEnqueuedMs(record.getEnqueuedMs());
  if (record.hasGroupName()) to.setGroup(record.getGroupName());
  if (record.hasHeaders()) to.setHeaders(record.getHeaders());
  if (record.hasContentType()) to.setContentType(record.getContentType());
}

void fillFetch(schema::FetchResponse::Builder response, const CommandResult& result, uint64_t appliedIndex) {
  fillError(response, result);
  response.setAppliedIndex(appliedIndex);
  if (result.jobs.empty()) return;
  response.setLease(dataOf(result.lease.bytes));
  response.setToken(result.token);
  response.setLeaseMs(result.leaseMs);
  auto jobs = response.initJobs(result.jobs.size());
  for (size_t i = 0; i < result.jobs.size(); i++) fillJob(jobs[i], result.jobs[i]);
}

// The parts stand one kind behind the other, as many of each as the request has. A result that was kept for another
// request under the same sequence may have fewer.
template <class List>
void fillParts(List list, const std::vector<CommandResult>& parts, size_t& at) {
  for (auto response : list) {
    if (at < parts.size()) {
      fill(response, parts[at++]);
    } else {
      response.initStatus().setCode(schema::ErrorCode::UNKNOWN);
    }
  }
}

void fillExchange(schema::ExchangeResponse::Builder response, const Reply& reply) {
  const CommandResult& result = *reply.command;
  const auto body = reply.request->body<schema::ExchangeRequest>();
  fillError(response, result);
  if (result.parts.empty()) return;
  size_t at = 0;
  fillParts(response.initAcks(body.getAcks().size()), result.parts, at);
  fillParts(response.initFails(body.getFails().size()), result.parts, at);
  fillParts(response.initReleases(body.getReleases().size()), result.parts, at);
  fillParts(response.initExtends(body.getExtends().size()), result.parts, at);
  fillParts(response.initEnqueues(body.getEnqueues().size()), result.parts, at);
  if (body.hasFetch() && at < result.parts.size())
    fillFetch(response.initFetch(), result.parts[at], reply.appliedIndex);
}

void fill(schema::OpenSessionResponse::Builder response, const Reply& reply) {
  response.setSession(reply.command->session);
  const uint64_t keepMs = reply.request->body<schema::OpenSessionRequest>().getKeepMs();
  response.setKeepMs(keepMs == 0 ? reply.sessionKeepMsDefault : keepMs);
}

void fillOperation(schema::OperationResponse::Builder response, uint64_t operation, uint64_t done, bool finished) {
  response.setOperation(operation);
  response.setDone(done);
  response.setFinished(finished);
}

void fillQueue(schema::QueueInfo::Builder to, const QueueInfoValue& queue) {
  to.setName(textOf(queue.name));
  auto settings = to.initSettings();
  settings.setPaused(queue.settings.paused);
  settings.setMaxAttempts(queue.settings.values.maxAttempts);
  settings.setBackoffBaseMs(queue.settings.values.backoffBaseMs);
  settings.setBackoffFactorPercent(queue.settings.values.backoffFactorPercent);
  settings.setBackoffMaxMs(queue.settings.values.backoffMaxMs);
  settings.setBackoffJitterPercent(queue.settings.values.backoffJitterPercent);
  settings.setDeadKeepMs(queue.settings.values.deadKeepMs);
  settings.setGroupQuantum(queue.settings.values.groupQuantum);
  to.setReady(queue.ready);
  to.setLeased(queue.leased);
  to.setScheduled(queue.scheduled);
  to.setDead(queue.dead);
  to.setGroups(queue.groups);
  to.setEnqueuedTotal(queue.enqueuedTotal);
  to.setAckedTotal(queue.ackedTotal);
  to.setFailedTotal(queue.failedTotal);
  to.setExpiredTotal(queue.expiredTotal);
  to.setDeadTotal(queue.deadTotal);
  to.setBytes(queue.bytes);
  to.setDeleting(queue.deleting);
}

void fillJobInfo(schema::JobInfo::Builder to, const JobInfoValue& job) {
  to.setId(dataOf(job.id.bytes));
  to.setQueue(textOf(job.queue));
  to.setState(job.state);
  to.setAttempts(job.attempts);
  to.setMaxAttempts(job.maxAttempts);
  to.setDueInMs(job.dueInMs);
  to.setDeadMs(job.deadMs);
  if (!job.lastError.empty()) to.setLastError(textOf(job.lastError));
  if (!job.worker.empty()) to.setWorker(textOf(job.worker));
  if (job.record == nullptr) return;
  RecordReader reader(*job.record);
  const auto record = reader.root();
  to.setPriority(record.getPriority());
  to.setEnqueuedMs(record.getEnqueuedMs());
  if (record.hasGroupName()) to.setGroup(record.getGroupName());
  if (record.hasHeaders()) to.setHeaders(record.getHeaders());
  if (record.hasContentType()) to.setContentType(record.getContentType());
  const auto payload = record.getPayload();
  to.setPayload(payload.slice(0, std::min<size_t>(payload.size(), job.payloadBytesMax)));
  to.setPayloadBytes(payload.size());
}

void fillJobs(schema::JobsResponse::Builder response, const ReadResult& read) {
  auto jobs = response.initJobs(read.jobs.size());
  for (size_t i = 0; i < read.jobs.size(); i++) fillJobInfo(jobs[i], read.jobs[i]);
  response.setNext(dataOf(read.next));
  response.setAppliedIndex(read.appliedIndex);
}

void fillQueues(schema::ListQueuesResponse::Builder response, const ReadResult& read) {
  auto queues = response.initQueues(read.queues.size());
  for (size_t i = 0; i < read.queues.size(); i++) fillQueue(queues[i], read.queues[i]);
  response.setNext(textOf(read.next));
  response.setAppliedIndex(read.appliedIndex);
}

void fillInfo(schema::ServerInfoResponse::Builder response, const Reply& reply) {
  const ServerStateValue& server = reply.read->server;
  response.setVersion(textOf(std::string(reply.version)));
  response.setClusterId(dataOf(server.clusterId.bytes));
  response.setNodeId(server.nodeId);
  response.setAppliedIndex(server.appliedIndex);
  response.setDurableIndex(server.durableIndex);
  response.setDigest(dataOf(server.digest));
  response.setLeaderId(server.leaderId);
  response.setClusterVersion(server.clusterVersion);
  response.setTerm(server.term);
}

void fillRead(capnp::AnyPointer::Builder response, const Reply& reply) {
  const ReadResult& read = *reply.read;
  switch (reply.request->method) {
    case Method::getQueue:
    case Method::setQueue: {
      auto to = response.initAs<schema::QueueResponse>();
      if (!read.queues.empty()) fillQueue(to.initQueue(), read.queues.front());
      return to.setAppliedIndex(read.appliedIndex);
    }
    case Method::listQueues:
      return fillQueues(response.initAs<schema::ListQueuesResponse>(), read);
    case Method::peek:
    case Method::listDead:
      return fillJobs(response.initAs<schema::JobsResponse>(), read);
    case Method::getJob: {
      auto to = response.initAs<schema::JobResponse>();
      if (!read.jobs.empty()) fillJobInfo(to.initJob(), read.jobs.front());
      return to.setAppliedIndex(read.appliedIndex);
    }
    case Method::getOperation:
      return fillOperation(response.initAs<schema::OperationResponse>(), read.operation, read.operationDone,
                           read.operationFinished);
    case Method::serverInfo:
      return fillInfo(response.initAs<schema::ServerInfoResponse>(), reply);
    default:
      CAPSTAN_ASSERT(false, static_cast<uint16_t>(reply.request->method));
  }
}

void fillPolled(compat::PollResponse::Builder response, const CommandResult& result) {
  auto items = response.initItems(result.jobs.size());
  if (result.jobs.empty()) {
    response.initLease(0);
    return;
  }
  response.setLease(dataOf(result.lease.bytes));
  for (size_t i = 0; i < result.jobs.size(); i++) {
    RecordReader reader(*result.jobs[i].record);
    items[i].setContents(reader.root().getPayload());
    items[i].setId(dataOf(result.jobs[i].id.bytes));
  }
}

void fillAdded(compat::AddResponse::Builder response, const CommandResult& result) {
  auto ids = response.initIds(result.ids.size());
  for (size_t i = 0; i < result.ids.size(); i++) ids.set(i, dataOf(result.ids[i].bytes));
}

void fillCommand(capnp::AnyPointer::Builder response, const Reply& reply) {
  const CommandResult& result = *reply.command;
  const bool isDone = result.code == schema::ErrorCode::OK;
  switch (reply.request->method) {
    case Method::enqueue:
      return fill(response.initAs<schema::EnqueueResponse>(), result);
    case Method::fetch:
      return fillFetch(response.initAs<schema::FetchResponse>(), result, reply.appliedIndex);
    case Method::ack:
    case Method::fail:
    case Method::release:
    case Method::deleteJobs:
      return fill(response.initAs<schema::SettleResponse>(), result);
    case Method::extend:
      return fill(response.initAs<schema::ExtendResponse>(), result);
    case Method::exchange:
      return fillExchange(response.initAs<schema::ExchangeResponse>(), reply);
    case Method::openSession:
      return fill(response.initAs<schema::OpenSessionResponse>(), reply);
    case Method::closeSession:
      response.initAs<schema::StatusResponse>();
      return;
    case Method::deleteQueue:
    case Method::redriveDead:
    case Method::deleteDead:
      return fillOperation(response.initAs<schema::OperationResponse>(), result.operation, result.operationDone,
                           result.operationFinished);
    case Method::queueberAdd:
      return fillAdded(response.initAs<compat::AddResponse>(), result);
    case Method::queueberRemove:
      return response.initAs<compat::RemoveResponse>().setRemoved(isDone && result.accepted > 0);
    case Method::queueberPoll:
      return fillPolled(response.initAs<compat::PollResponse>(), result);
    case Method::queueberExtend:
      return response.initAs<compat::ExtendResponse>().setExtended(isDone && result.accepted > 0);
    default:
      // Reads and setQueue are answered by a read unless they are refused.
      CAPSTAN_ASSERT(false, static_cast<uint16_t>(reply.request->method));
  }
}

constexpr size_t structBytes = 512;  // the largest response struct, an empty status, list tags
constexpr size_t partBytes = 160;    // of an exchange: any part's response and status
constexpr size_t jobBytes = 128;     // FetchedJob, JobInfo or PolledItem around its record: struct, id, paddings
constexpr size_t queueBytes = 256;   // QueueInfo with its settings

size_t errorBytes(const std::unique_ptr<Error>& error) { return error == nullptr ? 0 : refusalBytesMax(*error); }

// Every refused result has its error.
const Error* errorOf(const Reply& reply) {
  if (reply.read != nullptr) return reply.read->code == schema::ErrorCode::OK ? nullptr : reply.read->error.get();
  const CommandResult& result = *reply.command;
  if (result.code == schema::ErrorCode::OK || !result.parts.empty()) return nullptr;
  return result.error.get();
}

size_t resultBytes(const CommandResult& result) {
  size_t bytes = partBytes + errorBytes(result.error) + result.ids.size() * 24 + result.refused.size() * 8;
  for (const GrantedJob& job : result.jobs) bytes += jobBytes + size_t{job.record->wordCount} * 8;
  for (const CommandResult& part : result.parts) bytes += resultBytes(part);
  return bytes;
}

size_t readBytes(const ReadResult& read) {
  size_t bytes = read.next.size() + 16;
  for (const QueueInfoValue& queue : read.queues) bytes += queueBytes + queue.name.size();
  for (const JobInfoValue& job : read.jobs) {
    bytes += jobBytes + 256 + job.queue.size() + job.lastError.size() + job.worker.size();
    if (job.record != nullptr) bytes += size_t{job.record->wordCount} * 8;
  }
  return bytes;
}

}  // namespace

void fillStatus(schema::Status::Builder status, const Error& error) {
  status.setCode(error.code);
  status.setRetryAfterMs(error.retryAfterMs);
  const std::string message =
      error.message.empty() ? std::string(schema::errorText(error.code).summary) : error.message;
  status.setMessage(textOf(message));
  if (!error.field.empty()) status.setField(textOf(error.field));
}

void fillRefusal(capnp::AnyPointer::Builder response, const Error& error) {
  auto status = response.initAsAnyStruct(0, 1).getPointerSection()[0];
  fillStatus(status.initAs<schema::Status>(), error);
}

void fillResponse(capnp::AnyPointer::Builder response, const Reply& reply) {
  if (reply.read != nullptr) return fillRead(response, reply);
  fillCommand(response, reply);
}

size_t refusalBytesMax(const Error& error) { return 256 + error.message.size() + error.field.size(); }

size_t responseBytesMax(const Reply& reply) {
  if (reply.read != nullptr) return structBytes + reply.version.size() + readBytes(*reply.read);
  return structBytes + resultBytes(*reply.command);
}

const Error* refusalOf(const Reply& reply) {
  return codec::isQueueber(reply.request->method) ? nullptr : errorOf(reply);
}

const Error* exceptionOf(const Reply& reply) {
  if (!codec::isQueueber(reply.request->method)) return nullptr;
  const bool isSettling =
      reply.request->method == Method::queueberRemove || reply.request->method == Method::queueberExtend;
  const schema::ErrorCode code = reply.command->code;
  if (isSettling && (code == schema::ErrorCode::LEASE_LOST || code == schema::ErrorCode::NOT_FOUND)) return nullptr;
  return errorOf(reply);
}

}  // namespace capstan::rpc
