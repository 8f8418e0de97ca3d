// The completion queues of all workers: engine threads post, each worker drains its own. Owns the queues, their rings
// and the sockets that lie in them. It decides nothing but which worker gets the next socket.
//
//   apply, readers, accept, disk ── post ──▶ items of one worker ── drain ──▶ the worker
//                                             └ ring: once, until the next drain
//
// Threading: any thread. Bounded: entries, reads and wakes by the slots that a worker reserved before it asked, sockets
// by connectionsMax; the state is one value, told again only when it changed.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <shared_mutex>
#include <vector>

#include "engine/engine.h"

namespace capstan::engine {

class Completions {
 public:
  Completions();
  ~Completions();

  uint32_t open(std::function<void()> ring, CompletionQueue** queue);
  // Its ring is not called any more when this returns. Returns how many sockets lay in it; they are closed.
  uint32_t close(uint32_t worker);

  void post(uint32_t worker, Completion completion);  // dropped when the worker is closed
  // To the open workers in turn. False: there is none, and the socket is still the caller's.
  bool postAccepted(int fileDescriptor, uint32_t listener);
  // Sets or clears bits; tells every worker when something changed.
  void changeState(uint32_t set, uint32_t clear);
  uint32_t state() const;

 private:
  class Queue;
  std::shared_ptr<Queue> find(uint32_t worker) const;

  mutable std::shared_mutex mutex;
  std::map<uint32_t, std::shared_ptr<Queue>> queues;  // guarded by mutex, like all below
  uint32_t lastWorker = 0;
  uint32_t lastAccepting = 0;
  uint32_t stateBits = 0;
};

}  // namespace capstan::engine
