// One client's side of the Cap'n Proto RPC protocol, level 1, as its server: frames, the tables of questions and
// exports, and which calls are whole and allowed. Owns what is half received and the tables; never a socket, a thread,
// a call's fate or a reply's encoding (replies.h). Called by a listener worker with what its sockets received.
//
// Threading: one thread. Errors: what one call did wrong is answered to that call; what breaks the protocol ends the
// connection with an Abort that says why, and nothing is read after it. Nothing is thrown.
//
// A question's life; its number is free again when it is both returned and finished:
//
//   Bootstrap, Call ─▶ open ─┬─ Return was sent ─▶ returned ─ Finish ──────────▶ free
//                            └─ Finish ─▶ canceled, Return `canceled` was sent ─▶ free
//
// There is one exported object, the bootstrap, that answers both interfaces. No result of a call holds a capability, so
// a call pipelined on anything but the bootstrap's answer is refused at once.
#pragma once

#include <capnp/rpc.capnp.h>

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/bytes.h"
#include "codec/limits.h"
#include "codec/request.h"
#include "rpc/frames.h"

namespace capstan::rpc {

// Who the connection's messages are for.
class ConnectionOwner {
 public:
  // False: no room for what one more message may bring; it waits for the next `receive`.
  virtual bool hasRoom() const = 0;
  // A valid call: the number it is canceled by, or 0 when there is no room for it, which the client is told as busy.
  virtual uint32_t called(uint32_t question, std::unique_ptr<codec::Request> request) = 0;
  // Its client gave the call up before its Return was sent: that Return must not be sent any more.
  virtual void canceled(uint32_t call) = 0;
  // A finished frame to send, in order. `isReturn`: the Return of `question`; say when it was sent.
  virtual void send(std::vector<uint8_t> frame, bool isReturn, uint32_t question) = 0;

 protected:
  ~ConnectionOwner() = default;
};

class Connection {
 public:
  Connection(const codec::Limits& limits, ConnectionOwner& owner);

  // Takes all of `chunk`. When the owner's room ends, the rest is kept for the next call.
  void receive(ByteSpan chunk);
  // Bytes held of a frame that is not whole, and of those that wait for room.
  size_t buffered() const { return frames.buffered() + backlog.size() - backlogTaken; }
  // The first byte of a Return has left.
  void returnSent(uint32_t question);
  // Ends it: an Abort is sent, nothing more is read.
  void abort(std::string_view reason);
  bool isClosed() const { return closed; }
  // Numbers of the calls without a Return, in no order.
  std::vector<uint32_t> openCalls() const;

 private:
  struct Question {
    uint32_t call = 0;  // the owner's; 0: none, or its Return is on its way
    bool isBootstrap = false;
    bool isReturned = false;
    bool isFinished = false;
  };
  enum class Target { object, nothing, unknown, unsupported };

  void receiveFrames(ByteSpan& chunk);
  void handleFrame(ByteSpan frame);
  void handle(std::unique_ptr<codec::PinnedMessage> pinned, capnp::rpc::Message::Reader message);
  void bootstrap(capnp::rpc::Bootstrap::Reader bootstrap);
  void call(std::unique_ptr<codec::PinnedMessage> pinned, capnp::rpc::Message::Reader message);
  void callMethod(uint32_t question, codec::Method method, std::unique_ptr<codec::PinnedMessage> pinned);
  void finish(capnp::rpc::Finish::Reader finish);
  void release(capnp::rpc::Release::Reader release);
  void disembargo(capnp::rpc::Message::Reader message, size_t messageWords);
  void unimplemented(capnp::rpc::Message::Reader message, size_t messageWords);
  Target resolve(capnp::rpc::MessageTarget::Reader target) const;
  bool openQuestion(uint32_t question, bool isBootstrap);
  void releaseExport(uint64_t count);

  const codec::Limits& limits;
  ConnectionOwner& owner;
  FrameBuffer frames;
  std::vector<uint8_t> backlog;  // whole frames and less that wait for room, from `backlogTaken` on
  size_t backlogTaken = 0;
  std::unordered_map<uint32_t, Question> questions;
  uint64_t exportCount = 0;  // references the client holds on the bootstrap object
  bool closed = false;
};

}  // namespace capstan::rpc
