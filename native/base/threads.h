// Named threads and the bounded mailbox by which they hand work over. Owns the queue between two threads, nothing of
// its contents. Production only: what a thread does with its mail is a step function that a simulator can call as well.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <functional>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "base/check.h"

namespace capstan {

// A std::thread with a name (at most 15 bytes) that the system's tools show. Signals stay with the main thread.
std::thread startThread(const std::string& name, std::function<void()> body);

// Many producers, one consumer that drains everything at each wake. The bound counts items; a full mailbox refuses.
template <class T>
class Mailbox {
 public:
  explicit Mailbox(size_t itemsMax) : itemsMax(itemsMax) {}

  // False when it is full or closed; the item stays with the caller then.
  [[nodiscard]] bool tryPut(T& item) {
    {
      const std::lock_guard guard(mutex);
      if (closed || items.size() >= itemsMax) return false;
      items.push_back(std::move(item));
      if (!sleeping) return true;
      sleeping = false;
    }
    condition.notify_one();
    return true;
  }

  // For messages whose number is bounded by their sender: never refused, dropped after close.
  void put(T item) {
    {
      const std::lock_guard guard(mutex);
      if (closed) return;
      items.push_back(std::move(item));
      if (!sleeping) return;
      sleeping = false;
    }
    condition.notify_one();
  }

  // Waits until there is something, it is closed, or `wait` is over (negative: without end); then takes all.
  // Returns false once it is closed and empty.
  bool drain(std::vector<T>& into, std::chrono::milliseconds wait = std::chrono::milliseconds(-1)) {
    CAPSTAN_ASSERT(into.empty());
    std::unique_lock guard(mutex);
    const auto ready = [this] { return !items.empty() || closed || poked; };
    if (!ready()) {
      sleeping = true;
      if (wait.count() < 0) {
        condition.wait(guard, ready);
      } else {
        condition.wait_for(guard, wait, ready);
      }
      sleeping = false;
    }
    poked = false;
    into.swap(items);
    return !into.empty() || !closed;
  }

  // Wakes the consumer without an item.
  void poke() {
    {
      const std::lock_guard guard(mutex);
      poked = true;
      sleeping = false;
    }
    condition.notify_one();
  }

  void close() {
    {
      const std::lock_guard guard(mutex);
      closed = true;
      sleeping = false;
    }
    condition.notify_all();
  }

  size_t size() const {
    const std::lock_guard guard(mutex);
    return items.size();
  }

 private:
  const size_t itemsMax;
  mutable std::mutex mutex;
  std::condition_variable condition;
  std::vector<T> items;   // guarded by mutex
  bool sleeping = false;  // guarded by mutex
  bool poked = false;     // guarded by mutex
  bool closed = false;    // guarded by mutex
};

}  // namespace capstan
