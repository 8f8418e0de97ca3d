// The housekeeping thread; see housekeeper.h. Owns nothing but its thread. Asked by the engine for each proposal, which
// costs it one addition.
#include "engine/housekeeper.h"

#include <chrono>
#include <utility>

#include "base/threads.h"

namespace capstan::engine {
namespace {

constexpr std::chrono::milliseconds checkEvery(1000);
// The smallest reserve is many times this, so that it cannot be passed between two looks.
constexpr uint64_t unseenBytesMax = 32ull << 20;

}  // namespace

Housekeeper::Housekeeper(DiskReserve& reserve, std::function<void(bool)> changed)
    : reserve(reserve), changed(std::move(changed)) {
  reserve.check();
  this->changed(reserve.isReached());
  thread = startThread("disk", [this] { run(); });
}

Housekeeper::~Housekeeper() { close(); }

void Housekeeper::proposed(uint64_t bytes) {
  if (unseenBytes.fetch_add(bytes, std::memory_order_relaxed) + bytes < unseenBytesMax) return;
  unseenBytes.store(0, std::memory_order_relaxed);
  {
    const std::lock_guard guard(mutex);
    isPoked = true;
  }
  condition.notify_one();
}

void Housekeeper::run() {
  std::unique_lock guard(mutex);
  while (!isClosed) {
    condition.wait_for(guard, checkEvery, [this] { return isPoked || isClosed; });
    isPoked = false;
    guard.unlock();
    if (reserve.check()) changed(reserve.isReached());
    guard.lock();
  }
}

void Housekeeper::close() {
  {
    const std::lock_guard guard(mutex);
    isClosed = true;
  }
  condition.notify_all();
  if (thread.joinable()) thread.join();
}

}  // namespace capstan::engine
