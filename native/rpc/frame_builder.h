// Builds one message as a finished frame in bytes that are given: one segment behind its table. Owns nothing but what
// does not fit, which only a wrong estimate needs. Used by the replies_*.cc files only.
#pragma once

#include <capnp/message.h>
#include <capnp/serialize.h>

#include <cstring>
#include <span>
#include <vector>

#include "base/bytes.h"
#include "codec/in_place_builder.h"

namespace capstan::rpc {

// `fill(builder)` writes the message. Returns the frame's bytes; 0 when the estimate that sized `into` was too small.
template <class Fill>
size_t buildFrame(std::span<uint8_t> into, Fill&& fill) {
  const std::span<uint8_t> segment = into.subspan(codec::oneSegmentTableBytes);
  std::memset(segment.data(), 0, segment.size());
  codec::InPlaceBuilder builder(segment);
  fill(builder);
  if (builder.hasMore()) return 0;
  const size_t words = builder.getSegmentsForOutput()[0].size();
  putLittle<uint32_t>(into.data(), 0);
  putLittle<uint32_t>(into.data() + 4, static_cast<uint32_t>(words));
  return codec::oneSegmentTableBytes + words * 8;
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
