// What clients send and what JavaScript decides: connections, calls on their way to the engine, and answers that need
// no engine. Owns nothing beside WorkerState (worker_state.h). Called by the binding, once for each function of
// native.ts.
#include "engine/worker.h"

#include <algorithm>
#include <utility>

#include "base/check.h"
#include "codec/entry.h"
#include "codec/read_request.h"
#include "engine/worker_state.h"
#include "error_text.h"
#include "rpc/replies.h"

namespace capstan::engine {
namespace {

using codec::Method;
using schema::CallClass;
using schema::CallWord;
using schema::ErrorCode;
using schema::EventKind;

constexpr uint32_t ticketMax = 0x7fffffff;
constexpr uint32_t retryAfterDiskFullMs = 5000;
constexpr uint32_t retryAfterStopMs = 1000;
constexpr uint32_t retryAfterReadMs = 50;

// Frames that answer no call: they are not counted by JavaScript, whose limits stop reading a client that does not
// read. This one stops a single chunk from asking for more.
constexpr size_t framesBytesMax = 8u << 20;

uint32_t folded(uint64_t hash) {
  if (hash == 0) return 0;
  return std::max<uint32_t>(static_cast<uint32_t>(hash ^ hash >> 32), 1);
}

}  // namespace

Result<std::unique_ptr<Worker>> Worker::open(Engine& engine, const codec::Limits& limits, std::function<void()> ring) {
  CompletionQueue* completions = nullptr;
  const Result<uint32_t> number = engine.openWorker(std::move(ring), &completions);
  if (!number) return number.error();
  return std::unique_ptr<Worker>(std::make_unique<WorkerState>(engine, limits, number.value(), *completions));
}

WorkerState::WorkerState(Engine& engine, const codec::Limits& limits, uint32_t number, CompletionQueue& completions)
    : engine(engine), limits(limits), number(number), completions(completions) {}

uint32_t WorkerState::connectionOpen() {
  do {
    lastConnection++;
  } while (lastConnection == 0 || connections.contains(lastConnection));
  rpc::ConnectionOwner& owner = *this;
  connections.emplace(lastConnection, std::make_unique<Connection>(lastConnection, limits, owner));
  return lastConnection;
}

void WorkerState::connectionClose(uint32_t number) {
  const auto found = connections.find(number);
  if (found == connections.end()) return;
  closeProtocol(*found->second);
  for (const Outgoing& outgoing : found->second->outbox) {
    if (Call* call = calls.find(outgoing.call)) dropCall(*call);
  }
  connections.erase(found);
  engine.connectionClosed();
}

uint32_t WorkerState::receive(uint32_t number, ByteSpan chunk, std::span<uint32_t> into) {
  CAPSTAN_ASSERT(into.size() >= schema::CALL_WORDS, into.size());
  Connection& connection = connectionAt(number);
  if (connection.protocol.isClosed()) return 0;
  receiving = &connection;
  records = into;
  recordCount = 0;
  connection.protocol.receive(chunk);
  if (connection.framesBytes > framesBytesMax) connection.protocol.abort("too much is asked for without reading");
  receiving = nullptr;
  records = {};
  if (connection.protocol.isClosed()) closeProtocol(connection);
  return recordCount;
}

uint32_t WorkerState::called(uint32_t question, std::unique_ptr<codec::Request> request) {
  Call* call = calls.open();
  if (call == nullptr) return 0;
  call->connection = receiving->number;
  call->question = question;
  call->request = std::move(request);
  writeRecord(*call, call->request->callClass);
  return call->handle;
}

void WorkerState::canceled(uint32_t handle) {
  Call* call = calls.find(handle);
  if (call == nullptr) return;
  writeRecord(*call, CallClass::CANCELED);
  dropCall(*call);
}

void WorkerState::send(std::vector<uint8_t> frame, bool isReturn, uint32_t question) {
  receiving->framesBytes += frame.size();
  receiving->outbox.push_back(Outgoing{std::move(frame), 0, isReturn, question, 0});
  listSendable(*receiving);
}

void WorkerState::writeRecord(const Call& call, CallClass callClass) {
  CAPSTAN_ASSERT(hasRoom(), recordCount);
  const std::span<uint32_t> record = records.subspan(size_t{recordCount++} * schema::CALL_WORDS, schema::CALL_WORDS);
  const auto set = [record](CallWord word, uint32_t value) { record[static_cast<size_t>(word)] = value; };
  const codec::Request& request = *call.request;
  set(CallWord::HANDLE, call.handle);
  set(CallWord::CLASS, static_cast<uint32_t>(callClass));
  set(CallWord::METHOD, static_cast<uint32_t>(request.method));
  set(CallWord::QUEUE_KEY, folded(request.queueKey));
  set(CallWord::BYTES, request.bytes);
  set(CallWord::REPLY_BYTES_MAX, request.replyBytesMax);
  set(CallWord::WAIT_MS, request.waitMs);
  set(CallWord::JOBS, request.jobs);
}

uint32_t WorkerState::buffered(uint32_t number) {
  return static_cast<uint32_t>(connectionAt(number).protocol.buffered());
}

void WorkerState::setWritable(uint32_t number, bool writable) {
  Connection& connection = connectionAt(number);
  connection.isWritable = writable;
  listSendable(connection);
}

WorkerState::Connection& WorkerState::connectionAt(uint32_t number) {
  const auto found = connections.find(number);
  CAPSTAN_ASSERT(found != connections.end(), number);
  return *found->second;
}

void WorkerState::listSendable(Connection& connection) {
  if (connection.isListed || !connection.isWritable || connection.outbox.empty()) return;
  connection.isListed = true;
  sendable.push_back(connection.number);
}

// The protocol has ended: its calls end too, but replies that were ready before leave before the socket closes.
void WorkerState::closeProtocol(Connection& connection) {
  for (const uint32_t handle : connection.protocol.openCalls()) {
    Call* call = calls.find(handle);
    if (call != nullptr && call->state != CallState::answered) dropCall(*call);
  }
  if (connection.isClosing) return;
  connection.isClosing = true;
  if (connection.outbox.empty()) tell(EventKind::CLOSE, connection.number);
}

void WorkerState::dropCall(Call& call) {
  switch (call.state) {
    case CallState::proposed:
    case CallState::reading:
      call.isCanceled = true;  // the rest when its result comes
      return;
    case CallState::answered:
      giveBack(call);
      break;
    default:
      leaveSleep(call);
  }
  tellDropped(call);
}

// The end of a call without a reply that JavaScript counts.
void WorkerState::tellDropped(Call& call) {
  tell(EventKind::DROPPED, call.handle, call.bytesHeld(), call.connection);
  calls.free(call);
}

// Out of the registry of sleepers; what it was woken for goes to another.
void WorkerState::leaveSleep(Call& call) {
  const bool wasAsleep = call.state == CallState::parked && engine.unpark(number, call.handle);
  if (!wasAsleep && (call.state == CallState::parked || call.isAwake)) engine.passWake(number, call.handle);
  call.isAwake = false;
}

uint32_t WorkerState::wakeEarly(std::span<const uint32_t> handles, std::span<uint32_t> woken) {
  arrivals.clear();
  size_t left = woken.size();
  for (const uint32_t handle : handles) {
    const Call* call = calls.find(handle);
    if (call == nullptr || call->request->readyJobs == 0 || left == 0) continue;
    const uint32_t jobs = static_cast<uint32_t>(std::min<size_t>(call->request->readyJobs, left));
    arrivals.push_back({call->request->queueKey, jobs});
    left -= jobs;
  }
  if (arrivals.empty()) return 0;
  early.clear();
  engine.wakeEarly(number, arrivals, early);
  uint32_t count = 0;
  for (const CallerSlot caller : early) {
    Call* call = calls.find(caller.slot);
    CAPSTAN_ASSERT(call != nullptr && call->state == CallState::parked, caller.slot);
    wakeCall(*call);
    woken[count++] = caller.slot;
  }
  return count;
}

int32_t WorkerState::propose(uint32_t shard, std::span<const uint32_t> handles) {
  batch.clear();
  for (const uint32_t handle : handles) {
    Call* call = calls.find(handle);
    if (call == nullptr) continue;
    const CallClass callClass = call->request->callClass;
    CAPSTAN_ASSERT(callClass == CallClass::WRITE || callClass == CallClass::FETCH, handle);
    CAPSTAN_ASSERT(call->state == CallState::open || call->state == CallState::waking, handle);
    batch.push_back(call);
  }
  if (batch.empty()) return 0;
  return proposeBatch(shard);
}

int32_t WorkerState::proposeBatch(uint32_t shard) {
  std::vector<const codec::Request*> requests;
  Proposal proposal;
  requests.reserve(batch.size());
  proposal.replySlots.reserve(batch.size());
  for (const Call* call : batch) {
    requests.push_back(call->request.get());
    proposal.replySlots.push_back(call->handle);
    proposal.enqueues = proposal.enqueues || call->request->enqueues;
  }
  lastTicket = lastTicket == ticketMax ? 1 : lastTicket + 1;
  proposal.worker = number;
  proposal.shard = shard;
  proposal.ticket = lastTicket;
  proposal.entry = codec::buildEntry(requests, codec::defaultTenant, limits);
  const ErrorCode code = engine.propose(std::move(proposal));
  if (code == ErrorCode::DISK_FULL && std::ranges::any_of(batch, [](Call* call) { return !call->request->enqueues; })) {
    refuseEnqueues();
    return proposeBatch(shard);
  }
  if (code != ErrorCode::OK) return -static_cast<int32_t>(code);
  for (Call* call : batch) {
    call->state = CallState::proposed;
    call->shard = shard;
    // Its bytes are the entry's from here on: so they are in memory once, and counted once until the answer.
    call->request->releaseBody();
  }
  return static_cast<int32_t>(lastTicket);
}

// What only takes away goes on while the disk is full, so it must not share the fate of what adds.
void WorkerState::refuseEnqueues() {
  for (Call* call : batch) {
    if (call->request->enqueues) finishWith(*call, ErrorCode::DISK_FULL, retryAfterDiskFullMs);
  }
  std::erase_if(batch, [](const Call* call) { return call->request->enqueues; });
}

int32_t WorkerState::read(uint32_t handle) {
  Call* call = calls.find(handle);
  if (call == nullptr) return 0;
  CAPSTAN_ASSERT(call->request->callClass == CallClass::READ && call->state == CallState::open, handle);
  return startRead(*call, codec::makeRead(*call->request, codec::defaultTenant, limits));
}

int32_t WorkerState::startRead(Call& call, ReadCommand command) {
  const ErrorCode code = engine.read(
      ReadRequest{number, call.handle, call.shard, std::make_shared<const ReadCommand>(std::move(command))});
  if (code != ErrorCode::OK) return -static_cast<int32_t>(code);
  call.state = CallState::reading;
  return 0;
}

bool WorkerState::park(uint32_t handle) {
  Call* call = calls.find(handle);
  if (call == nullptr) return true;  // `dropped` is told already
  CAPSTAN_ASSERT(call->state == CallState::open && isWaitingFetch(*call), handle);
  const Result<uint64_t> arrival =
      engine.park(ParkRequest{number, handle, call->arrival, call->emptyAtIndex, call->request->queueHashes});
  if (!arrival) {
    call->isUnreserved = true;
    finishWith(*call, arrival.error().code, arrival.error().retryAfterMs);
    return true;
  }
  if (arrival.value() == 0) return false;
  call->arrival = arrival.value();
  call->state = CallState::parked;
  return true;
}

bool WorkerState::expire(uint32_t handle) {
  Call* call = calls.find(handle);
  if (call == nullptr || call->state == CallState::waking) return false;
  CAPSTAN_ASSERT(call->state == CallState::open || call->state == CallState::parked, handle);
  if (call->state == CallState::parked && !engine.unpark(number, handle)) return false;
  call->state = CallState::open;
  call->appliedIndex = call->emptyAtIndex;
  finishWith(*call, ErrorCode::OK, 0);
  return true;
}

void WorkerState::answer(uint32_t handle, uint16_t code, uint32_t retryAfterMs) {
  Call* call = calls.find(handle);
  if (call == nullptr) return;
  CAPSTAN_ASSERT(call->state == CallState::open || call->state == CallState::waking, handle, code);
  finishWith(*call, static_cast<ErrorCode>(code), retryAfterMs);
}

void WorkerState::answerInfo(uint32_t handle, std::string_view text) {
  Call* call = calls.find(handle);
  if (call == nullptr) return;
  CAPSTAN_ASSERT(call->request->callClass == CallClass::INFO && call->state == CallState::open, handle);
  version = text;
  const int32_t refused = startRead(*call, codec::makeRead(*call->request, codec::defaultTenant, limits));
  if (refused != 0) finishWith(*call, static_cast<ErrorCode>(-refused), retryAfterReadMs);
}

void WorkerState::shutdownCalls() {
  calls.forEach([this](Call& call) {
    if (call.state == CallState::parked || call.state == CallState::waking) {
      finishWith(call, ErrorCode::SHUTTING_DOWN, retryAfterStopMs);
    }
  });
}

// Answers a call that no engine works on.
void WorkerState::finishWith(Call& call, ErrorCode code, uint32_t retryAfterMs) {
  leaveSleep(call);
  call.command = CommandResult();
  call.command.code = code;
  if (code != ErrorCode::OK) {
    call.command.error =
        std::make_unique<Error>(Error{code, std::string(schema::errorText(code).summary), "", retryAfterMs});
  }
  queueReply(call);
}

void WorkerState::queueReply(Call& call) {
  call.state = CallState::answered;
  Connection& connection = connectionAt(call.connection);
  connection.outbox.push_back(Outgoing{{}, 0, true, call.question, call.handle});
  listSendable(connection);
}

bool WorkerState::isWaitingFetch(const Call& call) const {
  return call.request->callClass == CallClass::FETCH && call.request->waitMs != 0;
}

}  // namespace capstan::engine
