// The frames around what is answered: Return, exception, and the protocol's own messages. Owns no state. What is inside
// a Return's results is reply_contents.h's.
#include "rpc/replies.h"

#include <capnp/any.h>

#include <string>

#include "base/bytes.h"
#include "error_text.h"
#include "rpc/frame_builder.h"
#include "rpc/reply_contents.h"

namespace capstan::rpc {
namespace {

namespace wire = capnp::rpc;

constexpr size_t returnBytes = 256;  // table, Message, Return, Payload, the results struct, an exception
constexpr size_t reasonBytesMax = 2000;

wire::Return::Builder initReturn(capnp::MessageBuilder& builder, uint32_t question) {
  auto message = builder.initRoot<wire::Message>().initReturn();
  message.setAnswerId(question);
  return message;
}

// The pointer to the one result of every method, `resp`.
capnp::AnyPointer::Builder initResponse(capnp::MessageBuilder& builder, uint32_t question) {
  auto content = initReturn(builder, question).initResults().getContent();
  return content.initAsAnyStruct(0, 1).getPointerSection()[0];
}

void setText(wire::Exception::Builder to, std::string_view reason) {
  const auto cut = reason.substr(0, reasonBytesMax);
  auto text = to.initReason(static_cast<uint>(cut.size()));
  std::memcpy(text.begin(), cut.data(), cut.size());
}

void fillException(capnp::MessageBuilder& builder, uint32_t question, wire::Exception::Type type,
                   std::string_view reason) {
  auto exception = initReturn(builder, question).initException();
  exception.setType(type);
  setText(exception, reason);
}

wire::Exception::Type typeOf(const Error& error) {
  return schema::errorText(error.code).retryable ? wire::Exception::Type::OVERLOADED : wire::Exception::Type::FAILED;
}

// Names the code, and the field where there is one: the Queueber face has no other place for them.
std::string reasonOf(const Error& error) {
  const schema::ErrorText& text = schema::errorText(error.code);
  std::string reason(error.message.empty() ? text.summary : std::string_view(error.message));
  if (!error.field.empty() && reason.find(error.field) == std::string::npos) reason = error.field + ": " + reason;
  return std::string(text.name) + ": " + reason;
}

void fillReply(capnp::MessageBuilder& builder, const Reply& reply) {
  if (const Error* error = exceptionOf(reply)) {
    return fillException(builder, reply.question, typeOf(*error), reasonOf(*error));
  }
  const auto response = initResponse(builder, reply.question);
  if (const Error* error = refusalOf(reply)) return fillRefusal(response, *error);
  fillResponse(response, reply);
}

}  // namespace

size_t replyBytesMax(const Reply& reply) {
  if (exceptionOf(reply) != nullptr) return returnBytes + reasonBytesMax;
  if (const Error* error = refusalOf(reply)) return returnBytes + refusalBytesMax(*error);
  return returnBytes + responseBytesMax(reply);
}

size_t encodeReply(const Reply& reply, std::span<uint8_t> into) {
  return buildFrame(into, [&reply](capnp::MessageBuilder& builder) { fillReply(builder, reply); });
}

std::vector<uint8_t> encodeReply(const Reply& reply) {
  return buildFrame(replyBytesMax(reply), [&reply](capnp::MessageBuilder& builder) { fillReply(builder, reply); });
}

std::vector<uint8_t> refusalFrame(uint32_t question, codec::Method method, const Error& error) {
  if (codec::isQueueber(method)) return exceptionFrame(question, typeOf(error), reasonOf(error));
  return buildFrame(returnBytes + refusalBytesMax(error),
                    [&](capnp::MessageBuilder& builder) { fillRefusal(initResponse(builder, question), error); });
}

std::vector<uint8_t> exceptionFrame(uint32_t question, wire::Exception::Type type, std::string_view reason) {
  return buildFrame(returnBytes + reason.size(),
                    [&](capnp::MessageBuilder& builder) { fillException(builder, question, type, reason); });
}

std::vector<uint8_t> canceledFrame(uint32_t question) {
  return buildFrame(returnBytes, [&](capnp::MessageBuilder& builder) { initReturn(builder, question).setCanceled(); });
}

// Written by hand: a builder makes a capability's pointer only of a live object of the RPC library.
//
//   table, root ─▶ Message(return) ─▶ Return ─▶ Payload ─▶ content: capability 0
//                                                       └▶ capTable: one CapDescriptor(senderHosted)
std::vector<uint8_t> bootstrapFrame(uint32_t question) {
  constexpr uint64_t descriptorWords = 2;  // one of data, one pointer
  constexpr auto structPointer = [](uint64_t dataWords, uint64_t pointers) {
    return dataWords << 32 | pointers << 48;  // what it points to follows directly
  };
  const uint64_t words[] = {
      uint64_t{11} << 32,  // one segment of 11 words
      structPointer(1, 1),
      static_cast<uint64_t>(wire::Message::RETURN),
      structPointer(2, 1),
      question,  // releaseParamCaps and `results` are zero as bits
      0,
      structPointer(0, 2),
      3,                                              // a capability: index 0 of the table
      1 | uint64_t{7} << 32 | descriptorWords << 35,  // a list of structs follows
      1 << 2 | structPointer(1, 1),                   // of one
      static_cast<uint64_t>(wire::CapDescriptor::SENDER_HOSTED) | uint64_t{bootstrapExport} << 32,
      0,
  };
  std::vector<uint8_t> frame(sizeof(words));
  std::memcpy(frame.data(), words, sizeof(words));
  return frame;
}

std::vector<uint8_t> abortFrame(std::string_view reason) {
  return buildFrame(returnBytes + reason.size(), [&](capnp::MessageBuilder& builder) {
    auto abort = builder.initRoot<wire::Message>().initAbort();
    abort.setType(wire::Exception::Type::FAILED);
    setText(abort, reason);
  });
}

std::vector<uint8_t> unimplementedFrame(wire::Message::Reader message) {
  const size_t bytes = returnBytes + message.totalSize().wordCount * 8;
  return buildFrame(
      bytes, [&](capnp::MessageBuilder& builder) { builder.initRoot<wire::Message>().setUnimplemented(message); });
}

std::vector<uint8_t> disembargoFrame(wire::MessageTarget::Reader target, uint32_t embargo) {
  return buildFrame(returnBytes, [&](capnp::MessageBuilder& builder) {
    auto disembargo = builder.initRoot<wire::Message>().initDisembargo();
    disembargo.getContext().setReceiverLoopback(embargo);
    // Without the path of a promised answer: it can only be the empty one.
    if (target.isImportedCap()) {
      disembargo.initTarget().setImportedCap(target.getImportedCap());
    } else {
      disembargo.initTarget().initPromisedAnswer().setQuestionId(target.getPromisedAnswer().getQuestionId());
    }
  });
}

}  // namespace capstan::rpc
