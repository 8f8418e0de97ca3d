// The handling of each message of the protocol; the story is in connection.h. Owns the tables of one connection. Called
// by a listener worker through `receive`; every message is read inside one guard, so that hostile pointers end the
// connection and nothing else.
#include "rpc/connection.h"

#include <capnp/any.h>
#include <kj/exception.h>

#include <exception>
#include <optional>
#include <utility>

#include "capstan.capnp.h"
#include "compat.capnp.h"
#include "rpc/replies.h"

namespace capstan::rpc {
namespace {

namespace wire = capnp::rpc;

// Questions of a connection that are not both returned and finished. Far above what is let be outstanding: only a
// client that never finishes what was returned gets there.
constexpr size_t questionsMax = 65'536;
// An echo of a message that this server does not implement.
constexpr uint64_t echoWordsMax = 8192;

constexpr uint64_t jobQueueInterface = 0xb1b91b5277db6648ull;
constexpr uint64_t queueberInterface = 0x8323a518d3254563ull;

std::optional<codec::Method> methodOf(uint64_t interface, uint16_t method) {
  if (interface == jobQueueInterface && method < codec::jobQueueMethods) return static_cast<codec::Method>(method);
  if (interface == queueberInterface && method < codec::queueberMethods) {
    return static_cast<codec::Method>(0x100 + method);
  }
  return std::nullopt;
}

std::string unknownCall(uint64_t interface, uint16_t method) {
  const bool isOurs = interface == jobQueueInterface || interface == queueberInterface;
  return isOurs ? "the interface has no method " + std::to_string(method) : "the object does not have this interface";
}

// The one parameter `req` of every method. A call without it reads as one with an empty struct.
capnp::AnyPointer::Reader locateRequest(capnp::MessageReader& message) {
  const auto content = message.getRoot<wire::Message>().getCall().getParams().getContent();
  if (content.isNull()) return {};
  const auto pointers = content.getAs<capnp::AnyStruct>().getPointerSection();
  return pointers.size() == 0 ? capnp::AnyPointer::Reader() : pointers[0];
}

}  // namespace

Connection::Connection(const codec::Limits& limits, ConnectionOwner& owner)
    : limits(limits), owner(owner), frames(limits.frameBytesMax) {}

void Connection::receive(ByteSpan chunk) {
  if (closed) return;
  if (backlog.empty()) {
    receiveFrames(chunk);
    if (!closed) backlog.assign(chunk.begin(), chunk.end());
    return;
  }
  backlog.insert(backlog.end(), chunk.begin(), chunk.end());
  ByteSpan waiting = ByteSpan(backlog).subspan(backlogTaken);
  receiveFrames(waiting);
  backlogTaken = backlog.size() - waiting.size();
  if (!closed && backlogTaken < backlog.size()) return;
  backlog = {};
  backlogTaken = 0;
}

void Connection::receiveFrames(ByteSpan& chunk) {
  while (!closed && owner.hasRoom()) {
    const Result<ByteSpan> frame = frames.next(chunk);
    if (!frame) return abort(frame.error().message);
    if (frame.value().empty()) return;
    handleFrame(frame.value());
  }
}

void Connection::handleFrame(ByteSpan frame) {
  std::vector<uint8_t> large = frames.takeLarge();
  Result<std::unique_ptr<codec::PinnedMessage>> pinned =
      large.empty() ? codec::pinMessage(frame) : codec::adoptMessage(std::move(large));
  if (!pinned) return abort(pinned.error().message);
  try {
    std::unique_ptr<codec::PinnedMessage> message = pinned.take();
    const auto root = message->reader->getRoot<wire::Message>();
    handle(std::move(message), root);
  } catch (const kj::Exception& exception) {
    abort(std::string("the message is malformed: ") + exception.getDescription().cStr());
  } catch (const std::exception& exception) {
    abort(std::string("the message cannot be taken: ") + exception.what());
  }
}

void Connection::handle(std::unique_ptr<codec::PinnedMessage> pinned, wire::Message::Reader message) {
  switch (message.which()) {
    case wire::Message::BOOTSTRAP:
      return bootstrap(message.getBootstrap());
    case wire::Message::CALL:
      return call(std::move(pinned), message);
    case wire::Message::FINISH:
      return finish(message.getFinish());
    case wire::Message::RELEASE:
      return release(message.getRelease());
    case wire::Message::DISEMBARGO:
      return disembargo(message, pinned->wordCount);
    case wire::Message::RETURN:
      // This server asks nothing.
      return abort("Return: answers a question that was never asked");
    case wire::Message::UNIMPLEMENTED:
      return abort("Unimplemented: the peer does not know a message that every peer must know");
    case wire::Message::ABORT:
      closed = true;
      return;
    default:
      return unimplemented(message, pinned->wordCount);
  }
}

void Connection::bootstrap(wire::Bootstrap::Reader bootstrap) {
  const uint32_t question = bootstrap.getQuestionId();
  if (!openQuestion(question, true)) return;
  exportCount++;
  owner.send(bootstrapFrame(question), true, question);
}

void Connection::call(std::unique_ptr<codec::PinnedMessage> pinned, wire::Message::Reader message) {
  const auto call = message.getCall();
  const Target target = resolve(call.getTarget());
  if (target == Target::unsupported) return unimplemented(message, pinned->wordCount);
  if (target == Target::unknown) return abort("Call: its target is not known on this connection");
  const uint32_t question = call.getQuestionId();
  if (!openQuestion(question, false)) return;

  const auto refuse = [this, question](wire::Exception::Type type, std::string_view reason) {
    owner.send(exceptionFrame(question, type, reason), true, question);
  };
  if (target == Target::nothing) {
    return refuse(wire::Exception::Type::FAILED, "the call is pipelined on an answer that holds no capability there");
  }
  if (!call.getSendResultsTo().isCaller()) {
    return refuse(wire::Exception::Type::UNIMPLEMENTED, "results are sent to the caller only");
  }
  const auto method = methodOf(call.getInterfaceId(), call.getMethodId());
  if (!method) {
    return refuse(wire::Exception::Type::UNIMPLEMENTED, unknownCall(call.getInterfaceId(), call.getMethodId()));
  }
  callMethod(question, *method, std::move(pinned));
}

void Connection::callMethod(uint32_t question, codec::Method method, std::unique_ptr<codec::PinnedMessage> pinned) {
  auto request = codec::validate(method, std::move(pinned), locateRequest, limits);
  if (!request) return owner.send(refusalFrame(question, method, request.error()), true, question);
  const uint32_t number = owner.called(question, request.take());
  if (number != 0) {
    questions.at(question).call = number;
    return;
  }
  constexpr uint32_t retryAfterMs = 1000;
  const Error busy{schema::ErrorCode::BUSY, "too many calls are outstanding", "", retryAfterMs};
  owner.send(refusalFrame(question, method, busy), true, question);
}

void Connection::finish(wire::Finish::Reader finish) {
  const uint32_t question = finish.getQuestionId();
  const auto found = questions.find(question);
  if (found == questions.end() || found->second.isFinished) return abort("Finish: names no open question");
  Question& entry = found->second;
  if (entry.isBootstrap && finish.getReleaseResultCaps()) releaseExport(1);
  if (entry.isReturned) {
    questions.erase(found);
    return;
  }
  entry.isFinished = true;
  if (entry.call == 0) return;
  owner.canceled(std::exchange(entry.call, 0));
  owner.send(canceledFrame(question), true, question);
}

void Connection::release(wire::Release::Reader release) {
  if (release.getId() != bootstrapExport || release.getReferenceCount() > exportCount) {
    return abort("Release: gives back what was never given");
  }
  releaseExport(release.getReferenceCount());
}

// The object lives here, so what a client embargoed until its calls came round has come round already.
void Connection::disembargo(wire::Message::Reader message, size_t messageWords) {
  const auto disembargo = message.getDisembargo();
  const auto context = disembargo.getContext();
  if (context.isReceiverLoopback()) return abort("Disembargo: answers one that was never sent");
  // Provide and accept are of a level above this one.
  if (!context.isSenderLoopback()) return unimplemented(message, messageWords);
  const Target target = resolve(disembargo.getTarget());
  if (target == Target::unsupported) return unimplemented(message, messageWords);
  if (target != Target::object) return abort("Disembargo: its target is not known on this connection");
  owner.send(disembargoFrame(disembargo.getTarget(), context.getSenderLoopback()), false, 0);
}

void Connection::unimplemented(wire::Message::Reader message, size_t messageWords) {
  // One whose parts overlap would grow when it is copied.
  const uint64_t words = message.totalSize().wordCount;
  if (words > messageWords || words > echoWordsMax) return abort("a message of an unknown kind is too large to echo");
  owner.send(unimplementedFrame(message), false, 0);
}

Connection::Target Connection::resolve(wire::MessageTarget::Reader target) const {
  if (target.isImportedCap()) {
    return target.getImportedCap() == bootstrapExport && exportCount > 0 ? Target::object : Target::unknown;
  }
  if (!target.isPromisedAnswer()) return Target::unsupported;
  const auto promised = target.getPromisedAnswer();
  const auto found = questions.find(promised.getQuestionId());
  if (found == questions.end()) return Target::unknown;
  if (!found->second.isBootstrap || found->second.isFinished) return Target::nothing;
  for (const auto step : promised.getTransform()) {
    if (!step.isNoop()) return Target::nothing;
  }
  return Target::object;
}

bool Connection::openQuestion(uint32_t question, bool isBootstrap) {
  if (questions.size() >= questionsMax) {
    abort("too many questions are not finished");
    return false;
  }
  if (!questions.try_emplace(question, Question{0, isBootstrap, false, false}).second) {
    abort("question " + std::to_string(question) + " is asked again before it is both returned and finished");
    return false;
  }
  return true;
}

// A client that releases by Finish what it released before has a wrong count; it only ever reaches its own calls.
void Connection::releaseExport(uint64_t count) { exportCount -= std::min(count, exportCount); }

void Connection::returnSent(uint32_t question) {
  const auto found = questions.find(question);
  if (found == questions.end()) return;
  found->second.call = 0;
  found->second.isReturned = true;
  if (found->second.isFinished) questions.erase(found);
}

void Connection::abort(std::string_view reason) {
  if (closed) return;
  closed = true;
  owner.send(abortFrame(reason), false, 0);
}

std::vector<uint32_t> Connection::openCalls() const {
  std::vector<uint32_t> calls;
  for (const auto& [question, entry] : questions) {
    if (entry.call != 0) calls.push_back(entry.call);
  }
  return calls;
}

}  // namespace capstan::rpc
