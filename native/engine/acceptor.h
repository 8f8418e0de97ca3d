// Listening sockets and the one thread that accepts on them, handing sockets to the workers in turn. Owns the listening
// sockets, the count of accepted ones, and the socket files of unix: addresses. Never reads from a connection.
//
// Threading: any thread. Above `connectionsMax` a connection is accepted and closed at once, so that its client learns
// it; when the process has no descriptor left, a spare one is given up for the same purpose, and accepting pauses now
// and then. Both are counted, for whoever has a log.
#pragma once

#include <atomic>
#include <cstdint>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "base/result.h"
#include "engine/completions.h"

namespace capstan::engine {

class Acceptor {
 public:
  explicit Acceptor(Completions& completions);
  ~Acceptor();
  Acceptor(const Acceptor&) = delete;
  Acceptor& operator=(const Acceptor&) = delete;

  Result<std::string> listen(uint32_t listener, const std::string& address, uint32_t connectionsMax, uint32_t backlog);
  // Closes the listening sockets and joins the thread; accepted connections go on. Nothing listens afterwards.
  void stop();
  void connectionClosed(uint32_t count = 1);

  uint64_t connectionCount() const { return connections.load(std::memory_order_relaxed); }
  uint64_t acceptedTotal() const { return accepted.load(std::memory_order_relaxed); }
  uint64_t refusedTotal() const { return refused.load(std::memory_order_relaxed); }  // above connectionsMax
  uint64_t starvedTotal() const { return starved.load(std::memory_order_relaxed); }  // no descriptor was left

 private:
  struct Listener {
    int fileDescriptor = -1;
    uint32_t number = 0;
    uint32_t connectionsMax = 0;
    std::string unixPath;
  };
  void run();
  // False: descriptors have run out.
  bool acceptFrom(const Listener& listener);
  void turnAway(const Listener& listener);
  void openSpare();

  Completions& completions;
  std::mutex mutex;
  std::vector<Listener> listeners;  // guarded by mutex, like all below
  std::thread thread;
  bool stopped = false;
  int wakeDescriptor = -1;   // an eventfd: the list changed
  int spareDescriptor = -1;  // the accept thread's own
  std::atomic<uint64_t> connections = 0;
  std::atomic<uint64_t> accepted = 0;
  std::atomic<uint64_t> refused = 0;
  std::atomic<uint64_t> starved = 0;
};

}  // namespace capstan::engine
