// The thread that looks after the disk reserve once a second, and sooner when much was proposed. Owns the thread and
// the answer. It frees nothing; it tells the workers when the answer changes. Called by the engine.
//
// Threading: any thread.
#pragma once

#include <atomic>
#include <condition_variable>
#include <functional>
#include <mutex>
#include <thread>

#include "engine/disk_reserve.h"

namespace capstan::engine {

class Housekeeper {
 public:
  // `changed` gets whether the reserve is reached: once by the constructor's thread, later by the housekeeper's own.
  Housekeeper(DiskReserve& reserve, std::function<void(bool reached)> changed);
  ~Housekeeper();
  Housekeeper(const Housekeeper&) = delete;
  Housekeeper& operator=(const Housekeeper&) = delete;

  void proposed(uint64_t bytes);  // going to be written
  void close();

 private:
  void run();

  DiskReserve& reserve;
  const std::function<void(bool)> changed;
  std::atomic<uint64_t> unseenBytes = 0;
  std::mutex mutex;
  std::condition_variable condition;
  bool isPoked = false;  // guarded by mutex
  bool isClosed = false;
  std::thread thread;
};

}  // namespace capstan::engine
