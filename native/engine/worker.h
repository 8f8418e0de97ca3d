// What one listener worker keeps below the boundary: its connections' call tables, its open calls by handle, and the
// replies that wait for their sockets. One to one what src/native.ts offers for a worker. Owns calls and their
// requests; never a socket, a timer or a policy.
//
// Threading: one thread, the worker's own, but `ring` (given to Engine::openWorker) which any engine thread may call.
// Errors: a client's faults are answered to the client; a misuse by the caller is an assertion.
//
//   receive ─▶ call (handle) ─┬─ propose ─▶ entry ─▶ completion ─▶ reply ─▶ collect
//                             ├─ read ────▶ reader ─▶ completion ─▶ reply ─▶ collect
//                             ├─ park ────▶ wake event, expire, canceled
//                             └─ answer, answerInfo ─────────────▶ reply ─▶ collect
//
// A handle is (generation, index): one that was answered or dropped is harmless. It is never 0.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string_view>

#include "base/bytes.h"
#include "codec/limits.h"
#include "engine/engine.h"

namespace capstan::engine {

class Worker {
 public:
  // `ring` is called from an engine thread, at most once between two `collect`s.
  static Result<std::unique_ptr<Worker>> open(Engine& engine, const codec::Limits& limits, std::function<void()> ring);
  virtual ~Worker() = default;  // closes its part of the engine

  virtual uint32_t connectionOpen() = 0;                  // a slot; its number is not used again soon
  virtual void connectionClose(uint32_t connection) = 0;  // drops its calls: `dropped` events tell
  // Adds bytes of a socket; writes up to calls.size() / callWords records (CallWord) and returns how many. When all are
  // used, call again with no bytes: more may be there.
  virtual uint32_t receive(uint32_t connection, ByteSpan chunk, std::span<uint32_t> calls) = 0;
  virtual uint32_t buffered(uint32_t connection) = 0;                // bytes held of a frame that is not whole
  virtual void setWritable(uint32_t connection, bool writable) = 0;  // false: replies for it wait

  // Before `propose` of calls that enqueue: the handles of parked fetches that their jobs will serve, for them to be
  // proposed along; returns how many it wrote. They are woken: no `wake` event tells of them.
  virtual uint32_t wakeEarly(std::span<const uint32_t> handles, std::span<uint32_t> woken) = 0;
  // > 0: the entry's ticket, told again by `entryDone`. 0: every call was dropped meanwhile. < 0: minus the ErrorCode.
  virtual int32_t propose(uint32_t shard, std::span<const uint32_t> handles) = 0;
  virtual int32_t read(uint32_t handle) = 0;  // 0, or minus the ErrorCode
  virtual bool park(uint32_t handle) = 0;     // false: the queue may have become ready since; propose again
  virtual bool expire(uint32_t handle) = 0;   // answers a waiting fetch empty; false: a wake is under way
  virtual void answer(uint32_t handle, uint16_t code, uint32_t retryAfterMs) = 0;
  virtual void answerInfo(uint32_t handle, std::string_view version) = 0;
  virtual void shutdownCalls() = 0;  // every parked fetch ends with shuttingDown

  // Fills `slab` with reply frames and `events` with records of eventWords numbers (EventKind); returns how many.
  virtual uint32_t collect(std::span<uint8_t> slab, std::span<uint32_t> events) = 0;
  virtual bool moreToCollect() = 0;
};

}  // namespace capstan::engine
