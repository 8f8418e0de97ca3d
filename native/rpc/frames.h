// Cuts what comes from a socket into whole message frames. Owns the bytes of one frame that is not whole yet, never
// more: its buffer grows as bytes arrive, whatever the frame's table claims. Reads no message. Called by Connection.
//
// Threading: one thread. Errors: a table that breaks the bounds is INVALID_ARGUMENT or TOO_LARGE; nothing may be asked
// of the buffer after that.
#pragma once

#include <cstdint>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"

namespace capstan::rpc {

class FrameBuffer {
 public:
  explicit FrameBuffer(uint64_t frameBytesMax) : frameBytesMax(frameBytesMax) {}

  // Takes bytes off the front of `chunk`. The next whole frame, or an empty span when it needs more bytes: then all of
  // `chunk` was taken. The frame lies in `chunk` or in here, until the next call.
  Result<ByteSpan> next(ByteSpan& chunk);
  // The frame that `next` gave last, if it is large and lies in here; else empty. Saves a copy.
  std::vector<uint8_t> takeLarge();
  size_t buffered() const { return isTaken ? 0 : partial.size(); }

 private:
  struct Need {
    uint64_t bytes = 0;  // to know more, or of the whole frame
    bool isWhole = false;
  };
  Result<Need> needOf(ByteSpan bytes) const;
  void grow(uint64_t bytesMax, ByteSpan with);

  const uint64_t frameBytesMax;
  std::vector<uint8_t> partial;
  bool isTaken = false;  // `partial` was given out as a frame
};

}  // namespace capstan::rpc
