// The frames that a server sends: the Return of each method's result, and the protocol's own messages. Owns no bytes: a
// reply is written into the caller's slab, payloads copied once from their records. Called by Connection and by a
// listener worker, on its thread.
//
// Results of the JobQueue face carry refusals as values in `status`; those of the Queueber face are RPC exceptions of
// type failed, or overloaded where trying again may help.
#pragma once

#include <capnp/rpc.capnp.h>

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "codec/read_results.h"
#include "codec/request.h"
#include "codec/results.h"

namespace capstan::rpc {

inline constexpr uint32_t bootstrapExport = 0;

// What one call is answered with: either a command's result or a read's. A refused read may carry a command's result
// that says nothing but why.
struct Reply {
  uint32_t question = 0;
  const codec::Request* request = nullptr;
  const CommandResult* command = nullptr;
  const ReadResult* read = nullptr;
  uint64_t appliedIndex = 0;
  std::string_view version;           // serverInfo
  uint64_t sessionKeepMsDefault = 0;  // openSession
};

// A reply is not larger than this; cheap.
size_t replyBytesMax(const Reply& reply);
// Writes a finished frame; `into` is aligned to 8 bytes and has at least replyBytesMax. Returns the frame's bytes; 0
// when it does not fit all the same.
size_t encodeReply(const Reply& reply, std::span<uint8_t> into);
std::vector<uint8_t> encodeReply(const Reply& reply);

// The Return of a call that was refused before anything was done.
std::vector<uint8_t> refusalFrame(uint32_t question, codec::Method method, const Error& error);
std::vector<uint8_t> exceptionFrame(uint32_t question, capnp::rpc::Exception::Type type, std::string_view reason);
std::vector<uint8_t> canceledFrame(uint32_t question);
// The Return of a Bootstrap: the one exported object.
std::vector<uint8_t> bootstrapFrame(uint32_t question);
std::vector<uint8_t> abortFrame(std::string_view reason);
std::vector<uint8_t> unimplementedFrame(capnp::rpc::Message::Reader message);
std::vector<uint8_t> disembargoFrame(capnp::rpc::MessageTarget::Reader target, uint32_t embargo);

}  // namespace capstan::rpc
