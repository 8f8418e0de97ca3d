// Fuzz target `frames`: what a client sends, from the bytes of its socket to an entry of the log. Owns nothing.
// However a stream is cut, the same frames come of it; what validation lets pass can be built into an entry that opens
// again, and a refusal can be told to the client.
//
//   input: method (index into the methods), seed of the cuts, the stream
#include <kj/exception.h>

#include "base/check.h"
#include "codec/entry.h"
#include "codec/read_request.h"
#include "fuzz/input.h"
#include "fuzz/targets.h"
#include "rpc/frames.h"
#include "rpc/replies.h"

namespace capstan::fuzz {
namespace {

using codec::Method;

constexpr uint64_t entryBytesMax = 32u << 20;

struct Cut {
  std::vector<std::vector<uint8_t>> frames;
  bool isRefused = false;
  bool operator==(const Cut&) const = default;
};

Cut cutStream(ByteSpan stream, uint32_t seed) {
  const codec::Limits limits;
  rpc::FrameBuffer buffer(limits.frameBytesMax);
  Cut cut;
  while (!stream.empty() && !cut.isRefused) {
    seed = seed * 1664525 + 1013904223;
    ByteSpan chunk = stream.first(std::min<size_t>(stream.size(), seed == 0 ? stream.size() : 1 + (seed >> 24) % 61));
    stream = stream.subspan(chunk.size());
    for (;;) {
      const Result<ByteSpan> frame = buffer.next(chunk);
      cut.isRefused = !frame;
      if (!frame || frame.value().empty()) break;
      cut.frames.emplace_back(frame.value().begin(), frame.value().end());
    }
  }
  return cut;
}

Cut wholeStream(ByteSpan stream) {
  const codec::Limits limits;
  rpc::FrameBuffer buffer(limits.frameBytesMax);
  Cut cut;
  for (;;) {
    const Result<ByteSpan> frame = buffer.next(stream);
    cut.isRefused = !frame;
    if (!frame || frame.value().empty()) return cut;
    cut.frames.emplace_back(frame.value().begin(), frame.value().end());
  }
}

void checkRefusal(Method method, const Error& error) {
  CAPSTAN_ASSERT(error.code != schema::ErrorCode::OK && !error.message.empty(), error.message);
  const auto frame = rpc::refusalFrame(1, method, error);
  CAPSTAN_ASSERT(codec::pinMessage(frame).ok());
}

void checkEntry(const codec::Request& request, const codec::Limits& limits) {
  const codec::Request* const requests[] = {&request, &request};
  const auto bytes = codec::buildEntry(requests, codec::defaultTenant, limits);
  CAPSTAN_ASSERT(bytes == codec::buildEntry(requests, codec::defaultTenant, limits));
  CAPSTAN_ASSERT(bytes.size() <= entryBytesMax, bytes.size());
  const Result<codec::OpenEntry> opened = codec::openEntry(bytes);
  CAPSTAN_ASSERT(opened.ok(), opened.ok() ? "" : opened.error().message);
  CAPSTAN_ASSERT(opened.value().root().getCommands().size() == 2);
  CAPSTAN_ASSERT(opened.value().root().totalSize().capCount == 0);
}

void checkMessage(Method method, ByteSpan frame) {
  const codec::Limits limits;
  const codec::Locate root = [](capnp::MessageReader& reader) {
    return capnp::AnyPointer::Reader(reader.getRoot<capnp::AnyPointer>());
  };
  Result<std::unique_ptr<codec::PinnedMessage>> pinned = codec::pinMessage(frame);
  if (!pinned) return checkRefusal(method, pinned.error());
  const Result<std::unique_ptr<codec::Request>> request = codec::validate(method, pinned.take(), root, limits);
  if (!request) return checkRefusal(method, request.error());
  CAPSTAN_ASSERT(request.value()->bytes >= frame.size() && request.value()->jobs > 0, request.value()->bytes);
  switch (request.value()->callClass) {
    case schema::CallClass::READ:
    case schema::CallClass::INFO: {
      const ReadCommand read = codec::makeRead(*request.value(), codec::defaultTenant, limits);
      CAPSTAN_ASSERT(read.method == method);
      return;
    }
    default:
      return checkEntry(*request.value(), limits);
  }
}

}  // namespace

void frames(ByteSpan bytes) {
  Input input(bytes);
  const uint32_t methods = codec::jobQueueMethods + codec::queueberMethods;
  const uint32_t number = input.byte() % methods;
  const auto method = static_cast<Method>(number < codec::jobQueueMethods ? number : number - 21 + 0x100);
  const uint32_t seed = input.byte() + 1u;
  const ByteSpan stream = input.all();
  const Cut cut = cutStream(stream, seed);
  CAPSTAN_ASSERT(cut == wholeStream(stream), cut.frames.size(), cut.isRefused);
  for (const auto& frame : cut.frames) checkMessage(method, frame);
}

}  // namespace capstan::fuzz
