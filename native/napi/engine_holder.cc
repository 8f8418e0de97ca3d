// The steps from one state of the engine to the next, and what the end of the process may meet. Blocks on disk in
// `open` and `close` only, never with the mutex held. See engine_holder.h.
#include "napi/engine_holder.h"

#include <string>
#include <utility>

#include "base/check.h"
#include "napi/exit_guard.h"

namespace capstan::napi {

namespace {

Error misuse(std::string word, std::string message) {
  return Error{schema::ErrorCode::INVALID_ARGUMENT, std::move(message), std::move(word)};
}

Error notOpen() { return misuse("engineClosed", "the engine is not open"); }

}  // namespace

EngineHolder& EngineHolder::instance() {
  static EngineHolder* const holder = new EngineHolder;
  return *holder;
}

Result<void> EngineHolder::beginOpen() {
  const std::lock_guard guard(mutex);
  if (state != State::closed) return misuse("engineOpen", "the engine is open already, or about to open or close");
  state = State::opening;
  if (!guardsExit) {
    guardsExit = true;
    endBeforeStaticDestructors([] { return instance().isRunning(); });
  }
  return {};
}

Result<void> EngineHolder::open(const engine::EngineOptions& options,
                                const std::function<void(uint64_t, uint64_t)>& progress) {
  Result<engine::Engine*> opened = engine::Engine::open(options, progress);
  const std::lock_guard guard(mutex);
  CAPSTAN_ASSERT(state == State::opening);
  state = opened.ok() ? State::open : State::closed;
  if (!opened.ok()) return opened.takeError();
  engine = opened.take();
  return {};
}

Result<void> EngineHolder::beginClose() {
  const std::lock_guard guard(mutex);
  if (state != State::open) return notOpen();
  if (workers > 0) return misuse("workersOpen", std::to_string(workers) + " open workers use the engine");
  state = State::closing;
  return {};
}

void EngineHolder::close() {
  engine::Engine* closing = nullptr;
  {
    const std::lock_guard guard(mutex);
    CAPSTAN_ASSERT(state == State::closing);
    closing = std::exchange(engine, nullptr);
  }
  closing->close();
  const std::lock_guard guard(mutex);
  state = State::closed;
}

Result<engine::Engine*> EngineHolder::use() {
  const std::lock_guard guard(mutex);
  if (state != State::open) return notOpen();
  return engine;
}

Result<engine::Engine*> EngineHolder::addWorker() {
  const std::lock_guard guard(mutex);
  if (state != State::open) return notOpen();
  workers++;
  return engine;
}

bool EngineHolder::isRunning() {
  const std::lock_guard guard(mutex);
  return state != State::closed;
}

void EngineHolder::removeWorker() {
  const std::lock_guard guard(mutex);
  CAPSTAN_ASSERT(workers > 0);
  workers--;
}

}  // namespace capstan::napi
