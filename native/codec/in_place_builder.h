// A Cap'n Proto message builder whose first segment lies in bytes that are given, so that what it holds need not be
// copied out. Owns only later segments, on the heap, which an estimate that was too small needs. Used for log entries
// (entry_builder.cc) and for reply frames (rpc/frame_builder.h).
#pragma once

#include <capnp/message.h>

#include <algorithm>
#include <cstdint>
#include <span>
#include <vector>

#include "base/check.h"

namespace capstan::codec {

inline constexpr size_t oneSegmentTableBytes = 8;

class InPlaceBuilder final : public capnp::MessageBuilder {
 public:
  // `first` is aligned to 8 bytes and all zeros.
  explicit InPlaceBuilder(std::span<uint8_t> first) : first(first) {
    CAPSTAN_ASSERT(reinterpret_cast<uintptr_t>(first.data()) % 8 == 0);
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

}  // namespace capstan::codec
