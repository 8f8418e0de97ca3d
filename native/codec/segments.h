// A Cap'n Proto message reader over segments that lie somewhere else, and the reading of a segment table. Owns the list
// of segments, never their bytes: those must outlive it. Called by message.cc (client bytes) and entry.cc (log bytes).
#pragma once

#include <capnp/message.h>

#include <cstdint>
#include <utility>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"

namespace capstan::codec {

inline constexpr uint32_t segmentsMax = 512;

struct SegmentTable {
  size_t tableBytes = 0;  // up to the first segment
  uint64_t words = 0;     // of all segments
  std::vector<uint32_t> segmentWords;
};

// Checks the table against the bytes that are there: they must be exactly the table and its segments.
Result<SegmentTable> readSegmentTable(ByteSpan frame);

class SegmentReader final : public capnp::MessageReader {
 public:
  // `words`: the segments one behind the other.
  SegmentReader(const capnp::word* words, const std::vector<uint32_t>& segmentWords, capnp::ReaderOptions options)
      : capnp::MessageReader(options) {
    segments.reserve(segmentWords.size());
    for (const uint32_t count : segmentWords) {
      segments.emplace_back(words, count);
      words += count;
    }
  }
  kj::ArrayPtr<const capnp::word> getSegment(uint id) override {
    return id < segments.size() ? segments[id] : kj::ArrayPtr<const capnp::word>();
  }

 private:
  std::vector<kj::ArrayPtr<const capnp::word>> segments;
};

}  // namespace capstan::codec
