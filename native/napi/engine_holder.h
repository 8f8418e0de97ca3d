// The process's one engine, as every thread's instance of the addon reaches it. Owns which state it is in and how many
// workers use it; never what it does. Called by the exported functions and the threads of `engineOpen` and
// `engineClose`.
//
//   closed ──open──▶ opening ──▶ open ──close (no worker is open)──▶ closing ──▶ closed
//                       └─ failed ─▶ closed
//
// The holder and each engine are leaked: static destructors would run beneath threads that still use them. For the same
// reason a process that exits with an engine that is not closed ends before those of RocksDB run (see exit_guard.h).
//
// Threading: every method from any thread.
#pragma once

#include <cstdint>
#include <functional>
#include <mutex>

#include "base/result.h"
#include "engine/engine.h"

namespace capstan::napi {

class EngineHolder {
 public:
  static EngineHolder& instance();

  // Takes the turn to open; `engineOpen` when it is not closed. In a JavaScript thread. Then `open`, from any thread,
  // blocks until the log is replayed. A failure's `field` is its word.
  Result<void> beginOpen();
  Result<void> open(const engine::EngineOptions& options, const std::function<void(uint64_t, uint64_t)>& progress);
  // Takes the turn to close; `engineClosed` when it is not open, `workersOpen` while a worker is. Then `close`, from
  // any thread, blocks until everything is durable.
  Result<void> beginClose();
  void close();

  // The open engine, or `engineClosed`. It stays valid memory for ever; once it is closed it refuses.
  Result<engine::Engine*> use();
  // The same for a worker, which holds up `close` until `removeWorker`.
  Result<engine::Engine*> addWorker();
  void removeWorker();

  // Whether threads of an engine may be at work.
  bool isRunning();

 private:
  enum class State : uint8_t { closed, opening, open, closing };

  EngineHolder() = default;

  std::mutex mutex;
  State state = State::closed;       // guarded by mutex
  engine::Engine* engine = nullptr;  // guarded by mutex
  uint32_t workers = 0;              // guarded by mutex
  bool guardsExit = false;           // guarded by mutex
};

}  // namespace capstan::napi
