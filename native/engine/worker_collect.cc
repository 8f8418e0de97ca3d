// What the engine has finished becomes events and replies, and replies become bytes of a slab. Owns nothing beside
// WorkerState (worker_state.h). Called by the binding once or more for each turn of a worker's event loop.
//
// A slab holds what is due for one connection in one piece, so that it takes one write. A reply that does not fit into
// the rest of the slab begins the next one; one that is larger than a whole slab goes in pieces.
#include <unistd.h>

#include <algorithm>
#include <cstring>
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
using schema::ErrorCode;
using schema::EventKind;

constexpr uint32_t ownTicket = 0x80000000;  // of entries that JavaScript knows nothing of
constexpr uint32_t noSlot = 0;              // no call's handle
constexpr size_t unsendsPerEntry = 1024;
constexpr size_t unsendsMax = 100'000;  // beyond it the deadlines of the leases decide
constexpr size_t slabBytesMin = 64;
constexpr uint32_t retryAfterReadMs = 50;

// Results from below carry a code; for people they also carry a sentence.
void describe(ErrorCode code, std::unique_ptr<Error>& error) {
  if (code == ErrorCode::OK || error != nullptr) return;
  error = std::make_unique<Error>(Error{code, std::string(schema::errorText(code).summary), "", 0});
}

}  // namespace

// Positions in the slab and among the event records.
class WorkerState::Filling {
 public:
  Filling(std::span<uint8_t> slab, std::span<uint32_t> events) : slab(slab), events(events) {
    // Frames are built in place, so they begin on a word.
    at = (8 - reinterpret_cast<uintptr_t>(slab.data()) % 8) % 8;
    firstAt = at;
  }

  bool hasEventRoom() const { return count < events.size() / schema::EVENT_WORDS; }
  void put(const EventRecord& record) {
    CAPSTAN_ASSERT(hasEventRoom(), count);
    std::ranges::copy(record, events.subspan(size_t{count++} * schema::EVENT_WORDS).begin());
  }

  size_t room() const { return (slab.size() - at) & ~size_t{7}; }
  size_t roomWhenEmpty() const { return (slab.size() - firstAt) & ~size_t{7}; }
  std::span<uint8_t> rest() const { return slab.subspan(at, room()); }
  void took(size_t bytes) { at += bytes; }

  void beginWrite() {
    writeAt = at;
    callsDone = 0;
    bytesReleased = 0;
  }
  void finishedCall(uint32_t bytesHeld) {
    callsDone++;
    bytesReleased += bytesHeld;
  }
  // Whether a write of these calls' bytes may go on: their sum is told as 32 bits.
  bool mayRelease(uint32_t bytesHeld) const { return bytesReleased + bytesHeld <= UINT32_MAX; }
  void endWrite(uint32_t connection) {
    if (at == writeAt) return;
    put({static_cast<uint32_t>(EventKind::WRITE), connection, static_cast<uint32_t>(writeAt),
         static_cast<uint32_t>(at - writeAt), callsDone, static_cast<uint32_t>(bytesReleased)});
  }

 private:
  const std::span<uint8_t> slab;
  const std::span<uint32_t> events;
  size_t firstAt = 0;
  size_t at = 0;
  uint32_t count = 0;
  size_t writeAt = 0;
  uint32_t callsDone = 0;
  uint64_t bytesReleased = 0;

  friend class WorkerState;
};

WorkerState::~WorkerState() {
  taken.clear();
  completions.drain(taken);
  for (const Completion& completion : taken) {
    if (completion.kind == CompletionKind::accepted) {
      tell(EventKind::ACCEPTED, static_cast<uint32_t>(completion.fileDescriptor));
    }
  }
  for (const EventRecord& event : events) {
    if (event[0] != static_cast<uint32_t>(EventKind::ACCEPTED)) continue;
    ::close(static_cast<int>(event[1]));
    engine.connectionClosed();
  }
  for (size_t left = connections.size(); left > 0; left--) engine.connectionClosed();
  engine.closeWorker(number);
}

uint32_t WorkerState::collect(std::span<uint8_t> slab, std::span<uint32_t> into) {
  CAPSTAN_ASSERT(slab.size() >= slabBytesMin && into.size() >= schema::EVENT_WORDS, slab.size(), into.size());
  takeCompletions();
  Filling filling(slab, into);
  tellEvents(filling);
  fillReplies(filling);
  tellEvents(filling);
  proposeUnsends();
  return filling.count;
}

bool WorkerState::moreToCollect() { return !events.empty() || !sendable.empty(); }

void WorkerState::tell(EventKind kind, uint32_t first, uint32_t second, uint32_t third) {
  events.push_back({static_cast<uint32_t>(kind), first, second, third, 0, 0});
}

void WorkerState::tellEvents(Filling& filling) {
  while (!events.empty() && filling.hasEventRoom()) {
    filling.put(events.front());
    events.pop_front();
  }
}

void WorkerState::takeCompletions() {
  taken.clear();
  completions.drain(taken);
  for (Completion& completion : taken) {
    switch (completion.kind) {
      case CompletionKind::entry:
        takeEntry(completion);
        break;
      case CompletionKind::read:
        takeRead(completion);
        break;
      case CompletionKind::wake:
        takeWake(completion.slot);
        break;
      case CompletionKind::accepted:
        tell(EventKind::ACCEPTED, static_cast<uint32_t>(completion.fileDescriptor), completion.listener);
        break;
      case CompletionKind::state:
        tell(EventKind::STATE, completion.stateBits);
        break;
    }
  }
  taken.clear();
}

void WorkerState::takeEntry(Completion& completion) {
  if ((completion.ticket & ownTicket) != 0) return;
  CAPSTAN_ASSERT(completion.results.size() == completion.replySlots.size(), completion.results.size(),
                 completion.replySlots.size());
  for (size_t i = 0; i < completion.replySlots.size(); i++) {
    Call* call = calls.find(completion.replySlots[i]);
    CAPSTAN_ASSERT(call != nullptr && call->state == CallState::proposed, completion.replySlots[i]);
    takeResult(*call, std::move(completion.results[i]), completion.appliedIndex);
  }
  // Behind `empty` of its fetches: what is still proposed then has its answer.
  tell(EventKind::ENTRY_DONE, completion.ticket);
}

void WorkerState::takeResult(Call& call, CommandResult result, uint64_t appliedIndex) {
  if (call.isAwake) engine.settleWake(number, call.handle);
  call.isAwake = false;
  describe(result.code, result.error);
  std::erase_if(result.jobs, [](const GrantedJob& job) { return job.record == nullptr; });
  for (CommandResult& part : result.parts) {
    std::erase_if(part.jobs, [](const GrantedJob& job) { return job.record == nullptr; });
  }
  call.command = std::move(result);
  call.appliedIndex = appliedIndex;
  if (call.isCanceled) {
    giveBack(call);
    return tellDropped(call);
  }
  const bool isDone = call.command.code == ErrorCode::OK;
  if (isDone && isWaitingFetch(call) && call.command.jobs.empty()) {
    call.emptyAtIndex = appliedIndex;
    call.state = CallState::open;
    return tell(EventKind::EMPTY, call.handle);
  }
  if (isDone && call.request->method == Method::setQueue) {
    const int32_t refused = startRead(call, codec::makeQueueRead(*call.request, codec::defaultTenant));
    // It was done, and doing it again changes nothing.
    if (refused != 0) finishWith(call, static_cast<ErrorCode>(-refused), retryAfterReadMs);
    return;
  }
  queueReply(call);
}

void WorkerState::takeRead(Completion& completion) {
  Call* call = calls.find(completion.slot);
  CAPSTAN_ASSERT(call != nullptr && call->state == CallState::reading, completion.slot);
  if (call->isCanceled) return tellDropped(*call);
  CAPSTAN_ASSERT(completion.read != nullptr, completion.slot);
  describe(completion.read->code, completion.read->error);
  call->read = std::move(completion.read);
  call->appliedIndex = completion.appliedIndex;
  queueReply(*call);
}

// A call that is over by now has passed its wake on already.
void WorkerState::takeWake(uint32_t handle) {
  Call* call = calls.find(handle);
  if (call == nullptr || call->state != CallState::parked) return;
  wakeCall(*call);
  tell(EventKind::WAKE, handle);
}

void WorkerState::wakeCall(Call& call) {
  call.state = CallState::waking;
  call.isAwake = true;
}

// A grant of which no byte went out returns its jobs uncounted. One with a session stays: a replay may ask for it.
void WorkerState::giveBack(const Call& call) {
  if (call.request->storesResult || unsends.size() >= unsendsMax) return;
  const CommandResult* result = &call.command;
  if (call.request->method == Method::exchange && !result->parts.empty()) result = &result->parts.back();
  if (!result->lease.isZero()) unsends.push_back({call.shard, result->lease});
}

void WorkerState::proposeUnsends() {
  while (!unsends.empty()) {
    const uint32_t shard = unsends.back().shard;
    std::vector<LeaseId> leases;
    size_t at = unsends.size();
    for (; at > 0 && unsends[at - 1].shard == shard && leases.size() < unsendsPerEntry; at--) {
      leases.push_back(unsends[at - 1].lease);
    }
    Proposal proposal;
    proposal.worker = number;
    proposal.shard = shard;
    proposal.ticket = ownTicket;
    proposal.entry = codec::buildUnsendEntry(leases);
    proposal.replySlots.assign(leases.size(), noSlot);
    const ErrorCode code = engine.propose(std::move(proposal));
    // Busy passes: entries are under way, and their results bring the next `collect`. Else the deadlines decide.
    if (code == ErrorCode::BUSY) return;
    unsends.resize(at);
  }
}

void WorkerState::fillReplies(Filling& filling) {
  while (!sendable.empty() && filling.hasEventRoom()) {
    const auto found = connections.find(sendable.front());
    if (found == connections.end()) {
      sendable.pop_front();
      continue;
    }
    Connection& connection = *found->second;
    filling.beginWrite();
    bool isFull = false;
    while (connection.isWritable && !connection.outbox.empty() && !isFull) {
      isFull = !fillNext(connection, filling);
      if (!isFull) connection.outbox.pop_front();
    }
    filling.endWrite(connection.number);
    if (isFull) return;
    sendable.pop_front();
    connection.isListed = false;
    if (connection.isClosing && connection.outbox.empty()) tell(EventKind::CLOSE, connection.number);
  }
}

// True when the connection's next frame has left whole, false when the slab has no room for more of it.
bool WorkerState::fillNext(Connection& connection, Filling& filling) {
  Outgoing& next = connection.outbox.front();
  if (next.call != 0 && next.sent == 0 && next.frame.empty()) {
    if (calls.find(next.call) == nullptr) return true;  // dropped meanwhile
    if (!fillCall(connection, next, filling)) return false;
    if (next.frame.empty()) return true;
  }
  return fillFrame(connection, next, filling);
}

// Encodes a reply in place; one that is larger than a slab becomes a frame. False: it begins the next slab.
bool WorkerState::fillCall(Connection& connection, Outgoing& next, Filling& filling) {
  Call& call = *calls.find(next.call);
  if (!filling.mayRelease(call.bytesHeld())) return false;
  rpc::Reply reply;
  reply.question = call.question;
  reply.request = call.request.get();
  reply.read = call.read.get();
  reply.command = call.read == nullptr ? &call.command : nullptr;
  reply.appliedIndex = call.appliedIndex;
  reply.version = version;
  reply.sessionKeepMsDefault = limits.sessionKeepMsDefault;
  const size_t bytesMax = rpc::replyBytesMax(reply);
  size_t bytes = 0;
  if (bytesMax <= filling.room()) {
    bytes = rpc::encodeReply(reply, filling.rest().first((bytesMax + 7) & ~size_t{7}));
  } else if (bytesMax <= filling.roomWhenEmpty()) {
    return false;
  }
  if (bytes == 0) {
    next.frame = rpc::encodeReply(reply);
    return true;
  }
  connection.protocol.returnSent(call.question);
  filling.took(bytes);
  if (call.isUnreserved) {
    tellDropped(call);
  } else {
    filling.finishedCall(call.bytesHeld());
    calls.free(call);
  }
  return true;
}

bool WorkerState::fillFrame(Connection& connection, Outgoing& next, Filling& filling) {
  const size_t bytes = std::min(filling.room(), next.frame.size() - next.sent);
  if (bytes == 0) return false;
  Call* call = calls.find(next.call);
  if (call != nullptr && next.sent == 0) {
    // From now on the client has it, and the frame is all that is needed.
    call->state = CallState::sending;
    call->command = CommandResult();
    call->read = nullptr;
  }
  if (next.isReturn && next.sent == 0) connection.protocol.returnSent(next.question);
  std::memcpy(filling.rest().data(), next.frame.data() + next.sent, bytes);
  filling.took(bytes);
  next.sent += bytes;
  if (next.sent < next.frame.size()) return false;
  if (next.call == 0) {
    connection.framesBytes -= next.frame.size();
  } else if (call != nullptr && call->isUnreserved) {
    tellDropped(*call);
  } else if (call != nullptr) {
    filling.finishedCall(call->bytesHeld());
    calls.free(*call);
  }
  return true;
}

}  // namespace capstan::engine
