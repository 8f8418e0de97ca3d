// The state behind a Worker (worker.h): connections with what waits to be sent to them, calls, events. Owns all of it.
// worker.cc takes what clients send and what JavaScript decides; worker_collect.cc takes what the engine has finished
// and gives out replies and events.
//
// Threading: the worker's thread. Events stand in the order in which they must be told: `empty` before the `entryDone`
// of its entry, `close` after the connection's last bytes.
#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <memory>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include "boundary.capnp.h"
#include "engine/worker.h"
#include "engine/worker_calls.h"
#include "rpc/connection.h"

namespace capstan::engine {

using EventRecord = std::array<uint32_t, schema::EVENT_WORDS>;

class WorkerState final : public Worker, private rpc::ConnectionOwner {
 public:
  WorkerState(Engine& engine, const codec::Limits& limits, uint32_t number, CompletionQueue& completions);
  ~WorkerState() override;

  uint32_t connectionOpen() override;
  void connectionClose(uint32_t connection) override;
  uint32_t receive(uint32_t connection, ByteSpan chunk, std::span<uint32_t> calls) override;
  uint32_t buffered(uint32_t connection) override;
  void setWritable(uint32_t connection, bool writable) override;
  uint32_t wakeEarly(std::span<const uint32_t> handles, std::span<uint32_t> woken) override;
  int32_t propose(uint32_t shard, std::span<const uint32_t> handles) override;
  int32_t read(uint32_t handle) override;
  bool park(uint32_t handle) override;
  bool expire(uint32_t handle) override;
  void answer(uint32_t handle, uint16_t code, uint32_t retryAfterMs) override;
  void answerInfo(uint32_t handle, std::string_view version) override;
  void shutdownCalls() override;
  uint32_t collect(std::span<uint8_t> slab, std::span<uint32_t> events) override;
  bool moreToCollect() override;

 private:
  // A frame, or the reply of a call that is encoded when its turn has come.
  struct Outgoing {
    std::vector<uint8_t> frame;
    size_t sent = 0;
    bool isReturn = false;
    uint32_t question = 0;
    uint32_t call = 0;  // handle; 0: none
  };
  struct Connection {
    Connection(uint32_t number, const codec::Limits& limits, rpc::ConnectionOwner& owner)
        : number(number), protocol(limits, owner) {}
    const uint32_t number;
    rpc::Connection protocol;
    std::deque<Outgoing> outbox;
    size_t framesBytes = 0;  // of frames in the outbox that belong to no call
    bool isWritable = true;
    bool isListed = false;   // in `sendable`
    bool isClosing = false;  // `close` is told behind its last bytes
  };
  struct Grant {
    uint32_t shard;
    LeaseId lease;
  };
  class Filling;  // the slab of one `collect`

  // rpc::ConnectionOwner, for `receiving`
  bool hasRoom() const override { return recordCount < records.size() / schema::CALL_WORDS; }
  uint32_t called(uint32_t question, std::unique_ptr<codec::Request> request) override;
  void canceled(uint32_t call) override;
  void send(std::vector<uint8_t> frame, bool isReturn, uint32_t question) override;

  Connection& connectionAt(uint32_t number);
  void writeRecord(const Call& call, schema::CallClass callClass);
  void closeProtocol(Connection& connection);
  void listSendable(Connection& connection);
  void dropCall(Call& call);
  void tellDropped(Call& call);
  int32_t proposeBatch(uint32_t shard);
  void refuseEnqueues();
  int32_t startRead(Call& call, ReadCommand command);
  void finishWith(Call& call, schema::ErrorCode code, uint32_t retryAfterMs);
  void queueReply(Call& call);
  void leaveSleep(Call& call);
  bool isWaitingFetch(const Call& call) const;

  void takeCompletions();
  void takeEntry(Completion& completion);
  void takeResult(Call& call, CommandResult result, uint64_t appliedIndex);
  void takeRead(Completion& completion);
  void takeWake(uint32_t handle);
  static void wakeCall(Call& call);
  void giveBack(const Call& call);
  void proposeUnsends();
  void tell(schema::EventKind kind, uint32_t first = 0, uint32_t second = 0, uint32_t third = 0);
  void tellEvents(Filling& filling);
  void fillReplies(Filling& filling);
  bool fillNext(Connection& connection, Filling& filling);
  bool fillCall(Connection& connection, Outgoing& next, Filling& filling);
  bool fillFrame(Connection& connection, Outgoing& next, Filling& filling);

  Engine& engine;
  const codec::Limits limits;
  const uint32_t number;
  CompletionQueue& completions;

  std::unordered_map<uint32_t, std::unique_ptr<Connection>> connections;
  uint32_t lastConnection = 0;
  CallTable calls;
  uint32_t lastTicket = 0;
  std::string version;  // as answerInfo gave it

  Connection* receiving = nullptr;  // within `receive`: whose bytes, and the records it writes
  std::span<uint32_t> records;
  uint32_t recordCount = 0;

  std::vector<Call*> batch;  // of the entry that is being made
  std::vector<QueueArrivals> arrivals;
  std::vector<CallerSlot> early;
  std::deque<uint32_t> sendable;   // connections with something to send
  std::deque<EventRecord> events;  // not told yet
  std::vector<Grant> unsends;      // grants that nobody got
  std::vector<Completion> taken;   // reused
};

}  // namespace capstan::engine
