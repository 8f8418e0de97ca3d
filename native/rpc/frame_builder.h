// Builds one message as a finished frame in bytes that are given: one segment behind its table. Owns nothing but what
// does not fit, which only a wrong estimate needs. Used by the replies_*.cc files only.
#pragma once

#include <capnp/message.h>
#include <capnp/serialize.h>

#include <algorithm>
#include <cstring>
#include <span>
#include <vector>

#include "base/bytes.h"
#include "base/check.h"

namespace capstan::rpc {

inline constexpr size_t tableBytes = 8;  // of one segment

// Its first segment lies in `first`, which is zeroed here; later ones on the heap.
class SegmentBuilder final : public capnp::MessageBuilder {
 public:
  explicit SegmentBuilder(std::span<uint8_t> first) : first(first) {
    CAPSTAN_ASSERT(reinterpret_cast<uintptr_t>(first.data()) % 8 == 0);
    std::memset(first.data(), 0, first.size());
  }

  kj::ArrayPtr<capnp::word> allocateSegment(uint minimumWords) override {
    if (!usedFirst && minimumWords <= first.size() / 8) {
      usedFirst = true;
      return {reinterpret_cast<capnp::word*>(first.data()), first.size() / 8};
    }
    more.emplace_back(std::max<size_t>(minimumWords, 1024), 0);
    return {reinterpret_cast<capnp::word*>(more.back().data()), more.back().size()};
  }
  bool hasMore() const { return !more.empty(); }

 private:
  const std::span<uint8_t> first;
  bool usedFirst = false;
  std::vector<std::vector<uint64_t>> more;
};

// `fill(builder)` writes the message. Returns the frame's bytes; 0 when the estimate that sized `into` was too small.
template <class Fill>
size_t buildFrame(std::span<uint8_t> into, Fill&& fill) {
  SegmentBuilder builder(into.subspan(tableBytes));
  fill(builder);
  if (builder.hasMore()) return 0;
  const size_t words = builder.getSegmentsForOutput()[0].size();
  putLittle<uint32_t>(into.data(), 0);
  putLittle<uint32_t>(into.data() + 4, static_cast<uint32_t>(words));
  return tableBytes + words * 8;
}

// Of any size; `bytesMax` is a good guess.
template <class Fill>
std::vector<uint8_t> buildFrame(size_t bytesMax, Fill&& fill) {
  capnp::MallocMessageBuilder builder(static_cast<uint>(bytesMax / 8 + 1));
  fill(builder);
  const auto words = capnp::messageToFlatArray(builder);
  const auto bytes = words.asBytes();
  return {bytes.begin(), bytes.end()};
}

}  // namespace capstan::rpc
