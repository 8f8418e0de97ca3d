// The parked fetches of all workers and the ready sequence of every queue: who sleeps, and who is woken by what. Owns
// one entry a parked or woken caller. It delivers nothing: wakes come back as a list, so that no lock is held
// meanwhile.
//
// Threading: any thread; one mutex. Bounded by `parkedMax` callers a worker; edges are flags, never a queue.
//
//     park ─▶ parked ─(an applied entry made the queue grantable)─▶ awake ─┬─ its fetch was applied ─▶ gone
//                │                                                         └─ it cannot use the wake ─▶ gone, next one
//                └─ unpark ─▶ gone                                            comes out empty: parks with its arrival
//
// No wake-up is lost: an entry that may let a fetch succeed raises the queue's ready sequence to its index before it
// wakes anybody, and a caller that found nothing at index i sleeps only while the sequence is at most i. The sequences
// stand in a fixed table by hash: two queues in one cell cost a needless try, never a sleep too long.
//
// A worker may also wake its own callers early, with the enqueue that is about to be proposed: their fetches then stand
// in the same entry behind it, and one fsync does for both. The longest asleep comes first as ever: the first one of
// another worker ends the early wakes, and who they leave is woken once the entry is applied. After an early wake that
// came out empty (a paused queue) the queue has none until something of it is grantable.
#pragma once

#include <cstdint>
#include <map>
#include <mutex>
#include <span>
#include <unordered_map>
#include <utility>
#include <vector>

#include "base/result.h"
#include "engine/engine.h"
#include "fsm/state_machine.h"

namespace capstan::engine {

// A caller whose fetch was in an entry, and whether it found nothing.
struct Fetched {
  CallerSlot caller;
  bool isEmpty = false;
};

class ParkedFetches {
 public:
  explicit ParkedFetches(uint32_t parkedMax);  // of one worker

  // Start and an installed snapshot: anything may be ready now, and all who sleep are woken to look.
  void reset(uint64_t appliedIndex, std::vector<CallerSlot>& wakes);

  // The arrival number (> 0) when it sleeps; 0: try again at once. busy: too many sleep on this worker. A caller whose
  // wake came out empty gives the arrival it had and keeps its place.
  Result<uint64_t> park(const ParkRequest& request);
  // True: it slept and does not any more. False: unknown, or a wake is under way.
  bool unpark(CallerSlot caller);
  // A woken caller is done with its wake, used or not: the next one may have what is left.
  void endWake(CallerSlot caller, std::vector<CallerSlot>& wakes);
  void closeWorker(uint32_t worker, std::vector<CallerSlot>& wakes);

  // After an entry: the callers whose fetches were in it, then what every queue it touched has now.
  void applied(uint64_t index, std::span<const Fetched> fetched, std::span<const fsm::QueueReady> queues,
               std::vector<CallerSlot>& wakes);

  // The callers of `worker` that `arrivals` will serve, one for each job, in `wakes`. They are awake from now on.
  void wakeEarly(uint32_t worker, std::span<const QueueArrivals> arrivals, std::vector<CallerSlot>& wakes);

  size_t parkedCount() const;

 private:
  struct Queue {
    std::map<uint64_t, CallerSlot> waiting;  // by arrival
    uint64_t grantable = 0;                  // as the last entry that touched it left it
    uint64_t awake = 0;                      // but for those woken early, who come for jobs of their own
  };
  struct Caller {
    uint64_t arrival = 0;
    std::vector<uint64_t> queues;
    uint64_t wokenFor = 0;  // queue; 0: asleep
    bool isEarly = false;
  };
  static uint64_t keyOf(CallerSlot caller) { return uint64_t{caller.worker} << 32 | caller.slot; }
  uint64_t& sequenceOf(uint64_t queue) { return sequences[queue % sequences.size()]; }
  std::vector<bool>::reference holdsBack(uint64_t queue) { return withheld[queue % withheld.size()]; }
  void leaveQueues(const Caller& caller);
  CallerSlot wakeFirst(uint64_t queue, bool isEarly);
  uint64_t forgetAwake(CallerSlot caller, bool isEmpty);  // the queue it was woken for, or 0
  void wakeFor(uint64_t queue, std::vector<CallerSlot>& wakes);
  void dropIfIdle(uint64_t queue);

  const uint32_t parkedMax;
  mutable std::mutex mutex;
  std::vector<uint64_t> sequences;                   // guarded by mutex, like all below
  std::vector<bool> withheld;                        // cells of queues that gave nothing to an early wake
  std::unordered_map<uint64_t, Queue> queues;        // only those with callers
  std::unordered_map<uint64_t, Caller> callers;      // by keyOf
  std::unordered_map<uint32_t, uint32_t> perWorker;  // asleep
  uint64_t nextArrival = 1;
};

}  // namespace capstan::engine
