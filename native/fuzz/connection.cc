// Fuzz target `connection`: a client's bytes in any pieces, with answers, refusals, full and empty rooms in between.
// Owns the fake worker that stands behind the connection. A question is open once at a time, only open calls are
// canceled, every frame that goes out is whole and answers what it should, and nothing happens after an Abort.
//
//   input: steps, each one byte: 0-3 receive a piece, 4 answer a call (byte: which and how), 5 room on or off,
//   6 returns leave now, 7 whether returns leave at once, 8 whether calls are refused as busy
#include "rpc/connection.h"

#include <capnp/serialize.h>

#include <map>
#include <memory>

#include "base/check.h"
#include "fuzz/input.h"
#include "fuzz/targets.h"
#include "rpc/replies.h"

namespace capstan::fuzz {
namespace {

namespace wire = capnp::rpc;

class Worker final : public rpc::ConnectionOwner {
 public:
  bool hasRoom() const override { return isRoom; }

  uint32_t called(uint32_t question, std::unique_ptr<codec::Request> request) override {
    CAPSTAN_ASSERT(!isEnded);
    CAPSTAN_ASSERT(isRoom);
    for (const auto& [number, call] : calls) CAPSTAN_ASSERT(call.question != question, question);
    if (isBusy) return 0;
    calls.emplace(++lastCall, Call{question, std::move(request)});
    return lastCall;
  }

  void canceled(uint32_t call) override { CAPSTAN_ASSERT(calls.erase(call) == 1, call); }

  void send(std::vector<uint8_t> frame, bool isReturn, uint32_t question) override {
    CAPSTAN_ASSERT(!isEnded);
    check(frame, isReturn, question);
    if (isReturn) leaving.push_back(question);
    if (leavesAtOnce) leave();
  }

  void step(Input& input) {
    switch (input.byte() % 9) {
      default:
        return take(input.piece());
      case 4:
        return answer(input.byte());
      case 5:
        isRoom = !isRoom;
        if (isRoom) take({});
        return;
      case 6:
        return leave();
      case 7:
        leavesAtOnce = !leavesAtOnce;
        return leave();
      case 8:
        isBusy = !isBusy;
        return;
    }
  }

  void end() {
    isRoom = true;
    take({});
    CAPSTAN_ASSERT(connection.isClosed() || connection.buffered() < limits.frameBytesMax);
    while (!calls.empty()) answer(static_cast<uint8_t>(calls.size()));
    leave();
    CAPSTAN_ASSERT(connection.openCalls().empty());
    connection.abort("the end");
    connection.abort("the end");
    CAPSTAN_ASSERT(connection.isClosed());
  }

 private:
  struct Call {
    uint32_t question;
    std::unique_ptr<codec::Request> request;
  };

  void take(ByteSpan piece) {
    received += piece.size();
    connection.receive(piece);
    CAPSTAN_ASSERT(connection.buffered() <= received, connection.buffered(), received);
    const auto open = connection.openCalls();
    CAPSTAN_ASSERT(open.size() == calls.size(), open.size(), calls.size());
    for (const uint32_t number : open) CAPSTAN_ASSERT(calls.contains(number), number);
  }

  void answer(uint8_t how) {
    if (calls.empty()) return;
    const auto chosen = std::next(calls.begin(), how % calls.size());
    const Call call = std::move(chosen->second);
    const uint32_t number = chosen->first;
    CommandResult result;
    const bool isRead =
        call.request->callClass == schema::CallClass::READ || call.request->callClass == schema::CallClass::INFO;
    ReadResult read;
    // The parts of an exchange are as many as it asked for, and a queue's settings are answered by a read.
    const codec::Method method = call.request->method;
    const bool isPlain = method != codec::Method::exchange && method != codec::Method::setQueue;
    if (isRead || !isPlain || how % 2 == 0) {
      result.code = read.code = schema::ErrorCode::BUSY;
      result.error = std::make_unique<Error>(Error{result.code, "later", "field", 100});
      read.error = std::make_unique<Error>(*result.error);
    } else {
      result.ids.resize(call.request->jobs);
      result.accepted = call.request->jobs;
    }
    rpc::Reply reply;
    reply.question = call.question;
    reply.request = call.request.get();
    if (isRead) reply.read = &read;
    if (!isRead) reply.command = &result;
    const auto frame = rpc::encodeReply(reply);
    check(frame, true, call.question);
    CAPSTAN_ASSERT(frame.size() <= rpc::replyBytesMax(reply), frame.size());
    calls.erase(number);
    connection.returnSent(call.question);
  }

  void leave() {
    while (!leaving.empty()) {
      const uint32_t question = leaving.back();
      leaving.pop_back();
      connection.returnSent(question);
    }
  }

  void check(const std::vector<uint8_t>& frame, bool isReturn, uint32_t question) {
    CAPSTAN_ASSERT(frame.size() % 8 == 0, frame.size());
    std::vector<uint64_t> words(frame.size() / 8);
    std::memcpy(words.data(), frame.data(), frame.size());
    capnp::FlatArrayMessageReader reader(
        kj::arrayPtr(reinterpret_cast<const capnp::word*>(words.data()), words.size()));
    const auto message = reader.getRoot<wire::Message>();
    CAPSTAN_ASSERT(message.totalSize().wordCount <= words.size());
    if (message.isAbort()) isEnded = true;
    CAPSTAN_ASSERT(isReturn == message.isReturn());
    if (isReturn) CAPSTAN_ASSERT(message.getReturn().getAnswerId() == question, question);
  }

  codec::Limits limits;
  rpc::Connection connection{limits, *this};
  std::map<uint32_t, Call> calls;
  std::vector<uint32_t> leaving;
  uint64_t received = 0;
  uint32_t lastCall = 0;
  bool isRoom = true;
  bool leavesAtOnce = true;
  bool isBusy = false;
  bool isEnded = false;
};

}  // namespace

void connection(ByteSpan bytes) {
  Input input(bytes);
  Worker worker;
  while (!input.empty()) worker.step(input);
  worker.end();
}

}  // namespace capstan::fuzz
