// Posting and draining of completions as completions.h says. Owns the queues. Never waits for a worker. Called by every
// engine thread and by the workers.
#include "engine/completions.h"

#include <unistd.h>

#include <optional>
#include <utility>

#include "base/check.h"

namespace capstan::engine {

class Completions::Queue final : public CompletionQueue {
 public:
  explicit Queue(std::function<void()> ring) : ring(std::move(ring)) {}

  // True: taken. The ring is called under the lock, so that `close` can promise that it is not called later.
  bool post(Completion completion) {
    const std::lock_guard guard(mutex);
    if (closed) return false;
    items.push_back(std::move(completion));
    ringOnce();
    return true;
  }

  void setState(uint32_t bits) {
    const std::lock_guard guard(mutex);
    if (closed) return;
    stateBits = bits;
    ringOnce();
  }

  void drain(std::vector<Completion>& into) override {
    const std::lock_guard guard(mutex);
    rung = false;
    if (stateBits) {
      Completion state;
      state.kind = CompletionKind::state;
      state.stateBits = *stateBits;
      into.push_back(std::move(state));
      stateBits.reset();
    }
    if (into.empty()) {
      into.swap(items);
      return;
    }
    for (Completion& item : items) into.push_back(std::move(item));
    items.clear();
  }

  uint32_t close() {
    const std::lock_guard guard(mutex);
    closed = true;
    ring = nullptr;
    uint32_t sockets = 0;
    for (const Completion& item : items) {
      if (item.kind != CompletionKind::accepted) continue;
      ::close(item.fileDescriptor);
      ++sockets;
    }
    items.clear();
    return sockets;
  }

 private:
  void ringOnce() {
    if (rung) return;
    rung = true;
    ring();
  }

  std::mutex mutex;
  std::function<void()> ring;  // guarded by mutex, like all below
  std::vector<Completion> items;
  std::optional<uint32_t> stateBits;  // to be told
  bool rung = false;
  bool closed = false;
};

Completions::Completions() = default;
Completions::~Completions() = default;

uint32_t Completions::open(std::function<void()> ring, CompletionQueue** queue) {
  const auto made = std::make_shared<Queue>(std::move(ring));
  const std::lock_guard guard(mutex);
  const uint32_t worker = ++lastWorker;
  queues.emplace(worker, made);
  *queue = made.get();
  made->setState(stateBits);
  return worker;
}

uint32_t Completions::close(uint32_t worker) {
  std::shared_ptr<Queue> queue;
  {
    const std::lock_guard guard(mutex);
    const auto found = queues.find(worker);
    CAPSTAN_ASSERT(found != queues.end(), worker);
    queue = std::move(found->second);
    queues.erase(found);
  }
  return queue->close();
}

std::shared_ptr<Completions::Queue> Completions::find(uint32_t worker) const {
  const std::shared_lock guard(mutex);
  const auto found = queues.find(worker);
  return found == queues.end() ? nullptr : found->second;
}

void Completions::post(uint32_t worker, Completion completion) {
  const std::shared_ptr<Queue> queue = find(worker);
  if (queue) queue->post(std::move(completion));
}

bool Completions::postAccepted(int fileDescriptor, uint32_t listener) {
  for (;;) {
    std::shared_ptr<Queue> queue;
    {
      const std::lock_guard guard(mutex);
      if (queues.empty()) return false;
      auto next = queues.upper_bound(lastAccepting);
      if (next == queues.end()) next = queues.begin();
      lastAccepting = next->first;
      queue = next->second;
    }
    Completion completion;
    completion.kind = CompletionKind::accepted;
    completion.fileDescriptor = fileDescriptor;
    completion.listener = listener;
    // Not taken: closed a moment ago, and no longer among the queues.
    if (queue->post(std::move(completion))) return true;
  }
}

void Completions::changeState(uint32_t set, uint32_t clear) {
  const std::lock_guard guard(mutex);
  const uint32_t bits = (stateBits & ~clear) | set;
  if (bits == stateBits) return;
  stateBits = bits;
  for (const auto& [worker, queue] : queues) queue->setState(bits);
}

uint32_t Completions::state() const {
  const std::shared_lock guard(mutex);
  return stateBits;
}

}  // namespace capstan::engine
