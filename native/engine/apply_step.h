// What the apply thread of a shard does with its mail: applies committed entries in order, answers who waits for them,
// wakes parked fetches, and keeps the state flushed and the log cut. Owns the place in the sequence of entries; the
// state is the state machine's. It never waits for a worker, a reader or the log. A failed apply ends the process.
//
// An entry that changes the members first goes to the raft thread and comes back with the new list, which is applied
// with its index; what was committed behind it is held until then.
//
// Threading: one thread.
#pragma once

#include <cstdint>
#include <deque>
#include <vector>

#include "engine/mail.h"
#include "engine/parked.h"
#include "fsm/state_machine.h"

namespace capstan::engine {

class ApplySink {
 public:
  virtual void reply(uint32_t worker, Completion completion) = 0;
  virtual void fill(uint32_t worker, Completion completion) = 0;  // add the records by a reader, then reply
  virtual void wake(CallerSlot caller) = 0;
  virtual void appliedUpTo(AppliedUpTo report) = 0;
  virtual void membersReached(MembersReached report) = 0;
  virtual void cutLog(CutLog request) = 0;
  virtual void flushed() = 0;  // after FinalFlush

 protected:
  ~ApplySink() = default;
};

class ApplyStep {
 public:
  ApplyStep(fsm::StateMachine& machine, ParkedFetches& parked, ApplySink& sink);

  void run(std::vector<ApplyMail>& mail);  // takes all of it

 private:
  void take(Committed& work);
  void take(const MembersApplied& change);
  void take(const LookAfter& request);
  void take(const FinalFlush& request);

  void apply(Committed& work);
  void answer(Committed& work);
  void report();
  void cutWhatIsDurable();

  fsm::StateMachine& machine;
  ParkedFetches& parked;
  ApplySink& sink;
  fsm::Applied applied;
  std::vector<Fetched> fetched;
  std::vector<CallerSlot> wakes;
  std::deque<Committed> held;  // behind an entry that changes the members; bounded by applyingBytesMax
  bool isHolding = false;
  uint64_t heldTerm = 0;
  uint64_t appliedIndex;
  uint64_t reportedIndex;
  uint64_t unreportedBytes = 0;
  uint64_t cutIndex = 0;  // asked for last
};

// Puts the records into granted jobs that came without one, in parts of an exchange too.
void fillResults(fsm::StateMachine& machine, std::vector<CommandResult>& results);

}  // namespace capstan::engine
