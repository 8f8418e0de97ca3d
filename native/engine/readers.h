// The reader threads: reads of the state, and the records of granted jobs that were not in the cache. Owns the threads
// and their mailboxes. It answers from the applied state: with one voter that is linearizable, since a reply is sent
// only after its entry was applied.
//
// Threading: any thread. Bounded: reads by `readsWaitingMax` a thread, then busy; fills by the entries under way.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <thread>
#include <variant>
#include <vector>

#include "base/threads.h"
#include "codec/read_results.h"
#include "engine/completions.h"
#include "fsm/state_machine.h"

namespace capstan::engine {

inline constexpr uint32_t readsWaitingMax = 1024;

class Readers {
 public:
  // `fillServer` puts in what the state machine does not know of the node.
  Readers(fsm::StateMachine& machine, Completions& completions, std::function<void(ServerStateValue&)> fillServer,
          uint32_t threads);
  ~Readers();
  Readers(const Readers&) = delete;
  Readers& operator=(const Readers&) = delete;

  [[nodiscard]] bool read(ReadRequest& request);  // false: too many wait, or closed
  void fill(uint32_t worker, Completion completion);
  void close();  // answers what is there, then joins

  uint64_t readsTotal() const { return reads.load(std::memory_order_relaxed); }
  uint64_t fillsTotal() const { return fills.load(std::memory_order_relaxed); }

 private:
  struct Fill {
    uint32_t worker = 0;
    Completion completion;
  };
  using Work = std::variant<ReadRequest, Fill>;
  struct Reader {
    Mailbox<Work> mail{readsWaitingMax};
    std::thread thread;
  };
  Reader& leastBusy();
  void run(Reader& reader);
  void answer(ReadRequest& request);
  void answer(Fill& fill);

  fsm::StateMachine& machine;
  Completions& completions;
  const std::function<void(ServerStateValue&)> fillServer;
  std::vector<std::unique_ptr<Reader>> readers;
  std::atomic<uint64_t> reads = 0;
  std::atomic<uint64_t> fills = 0;
};

}  // namespace capstan::engine
