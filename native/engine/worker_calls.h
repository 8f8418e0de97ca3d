// The open calls of one listener worker by their handles. Owns each call's request and, until its reply has left, its
// result. Bounded by the bits of an index. Used by worker_state.h only, on the worker's thread.
//
//   open ─┬─ propose ─▶ proposed ─┬─ result ─▶ answered ─▶ (sending) ─▶ free
//         │                       └─ empty ─▶ open ─ park ─▶ parked ─ wake ─▶ waking ─▶ propose …
//         ├─ read ────▶ reading ───▶ answered
//         └─ answer ──▶ answered
//
// A handle is a generation (12 bits, never 0) and an index (20 bits). Freed indexes are used again in turn, so that a
// handle comes back only after millions of calls.
#pragma once

#include <algorithm>
#include <cstdint>
#include <deque>
#include <memory>
#include <utility>
#include <vector>

#include "base/check.h"
#include "codec/read_results.h"
#include "codec/request.h"
#include "codec/results.h"

namespace capstan::engine {

enum class CallState : uint8_t { free, open, proposed, reading, parked, waking, answered, sending };

struct Call {
  uint32_t handle = 0;
  CallState state = CallState::free;
  bool isCanceled = false;    // proposed or reading: nobody waits for what comes
  bool isAwake = false;       // it was woken, and the fetch it was woken for has not been applied
  bool isUnreserved = false;  // its reply's bytes are not counted by JavaScript: it ends as `dropped`
  uint32_t connection = 0;
  uint32_t question = 0;
  uint32_t shard = 0;
  uint64_t arrival = 0;       // of its first sleep; keeps its place
  uint64_t emptyAtIndex = 0;  // of the entry that found nothing
  uint64_t appliedIndex = 0;
  std::unique_ptr<codec::Request> request;
  CommandResult command;
  std::shared_ptr<const ReadResult> read;

  // What ends with the call: its request and the reply that was reserved for it.
  uint32_t bytesHeld() const {
    const uint64_t bytes = uint64_t{request->bytes} + request->replyBytesMax;
    return static_cast<uint32_t>(std::min<uint64_t>(bytes, UINT32_MAX));
  }
};

class CallTable {
 public:
  // Null when too many are open.
  Call* open() {
    uint32_t index = 0;
    if (freed.size() > freedMin || (!freed.empty() && calls.size() >= callsMax)) {
      index = freed.front();
      freed.pop_front();
    } else if (calls.size() < callsMax) {
      index = static_cast<uint32_t>(calls.size());
      calls.emplace_back();
      calls.back().handle = index;
    } else {
      return nullptr;
    }
    Call& call = calls[index];
    CAPSTAN_ASSERT(call.state == CallState::free, call.handle);
    uint32_t generation = (call.handle >> indexBits) + 1;
    if (generation == uint32_t{1} << (32 - indexBits)) generation = 1;
    call.handle = generation << indexBits | index;
    call.state = CallState::open;
    return &call;
  }

  // Null for a call that is over.
  Call* find(uint32_t handle) {
    const uint32_t index = handle & (callsMax - 1);
    if (handle >> indexBits == 0 || index >= calls.size()) return nullptr;
    Call& call = calls[index];
    return call.handle == handle && call.state != CallState::free ? &call : nullptr;
  }

  void free(Call& call) {
    CAPSTAN_ASSERT(call.state != CallState::free, call.handle);
    const uint32_t handle = call.handle;
    call = Call();
    call.handle = handle;
    freed.push_back(handle & (callsMax - 1));
  }

  template <class Visit>
  void forEach(Visit visit) {
    for (Call& call : calls) {
      if (call.state != CallState::free) visit(call);
    }
  }

 private:
  static constexpr uint32_t indexBits = 20;
  static constexpr uint32_t callsMax = uint32_t{1} << indexBits;
  static constexpr size_t freedMin = 1024;

  std::deque<Call> calls;  // its elements never move
  std::deque<uint32_t> freed;
};

}  // namespace capstan::engine
