// The recognition of frames by their segment tables; the story is in frames.h. Owns no state beside the buffer. Called
// by Connection for each chunk of its socket.
#include "rpc/frames.h"

#include <algorithm>
#include <utility>

#include "codec/segments.h"

namespace capstan::rpc {
namespace {

// A buffer that held a large frame is given back rather than kept for a connection that may never send one again.
constexpr size_t bytesKept = 64u << 10;

}  // namespace

Result<ByteSpan> FrameBuffer::next(ByteSpan& chunk) {
  if (isTaken) {
    isTaken = false;
    partial.clear();
    if (partial.capacity() > bytesKept) partial = {};
  }
  for (;;) {
    const ByteSpan have = partial.empty() ? chunk : ByteSpan(partial);
    const Result<Need> need = needOf(have);
    if (!need) return need.error();
    const uint64_t bytes = need.value().bytes;
    if (need.value().isWhole && have.size() >= bytes) {
      if (partial.empty()) {
        chunk = chunk.subspan(bytes);
        return have.first(bytes);
      }
      CAPSTAN_ASSERT(partial.size() == bytes, partial.size(), bytes);
      isTaken = true;
      return have;
    }
    if (chunk.empty()) return ByteSpan();
    const size_t take = std::min<uint64_t>(chunk.size(), bytes - partial.size());
    grow(bytes, chunk.first(take));
    chunk = chunk.subspan(take);
  }
}

std::vector<uint8_t> FrameBuffer::takeLarge() {
  if (!isTaken || partial.size() <= bytesKept) return {};
  isTaken = false;
  return std::exchange(partial, {});
}

Result<FrameBuffer::Need> FrameBuffer::needOf(ByteSpan bytes) const {
  if (bytes.size() < 4) return Need{4, false};
  const uint64_t segments = uint64_t{getLittle<uint32_t>(bytes.data())} + 1;
  if (segments > codec::segmentsMax) {
    return Error{schema::ErrorCode::INVALID_ARGUMENT, "frame: more than 512 segments", "frame", 0};
  }
  const uint64_t tableBytes = (4 + 4 * segments + 7) & ~uint64_t{7};
  if (bytes.size() < tableBytes) return Need{tableBytes, false};
  uint64_t words = 0;
  for (uint64_t i = 0; i < segments; i++) words += getLittle<uint32_t>(bytes.data() + 4 + 4 * i);
  const uint64_t total = tableBytes + words * 8;  // at most 512 × 2^35: no overflow
  if (total > frameBytesMax) {
    return Error{schema::ErrorCode::TOO_LARGE,
                 "frame: claims " + std::to_string(total) + " bytes, more than " + std::to_string(frameBytesMax),
                 "frame", 0};
  }
  return Need{total, true};
}

void FrameBuffer::grow(uint64_t bytesMax, ByteSpan with) {
  const size_t wanted = partial.size() + with.size();
  // Who has sent a quarter gets room for the whole: of a large frame hardly a byte is copied twice.
  const size_t next = wanted >= bytesMax / 4 ? bytesMax : std::max(wanted * 2, size_t{64});
  if (wanted > partial.capacity()) partial.reserve(std::min<uint64_t>(next, bytesMax));
  partial.insert(partial.end(), with.begin(), with.end());
}

}  // namespace capstan::rpc
