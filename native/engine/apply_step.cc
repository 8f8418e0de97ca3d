// The steps of a shard's apply thread; their story is in apply_step.h. Owns no state of the queue. Called by shard.cc's
// thread.
#include "engine/apply_step.h"

#include <algorithm>
#include <utility>

#include "base/check.h"

namespace capstan::engine {
namespace {

// Records that the apply thread reads itself, since handing them to a reader costs as much.
constexpr size_t inlineRecordsMax = 8;
// The raft thread learns of progress in between, too, so that it can go on proposing.
constexpr uint64_t reportBytes = 1 << 20;

size_t missingRecords(const std::vector<CommandResult>& results) {
  size_t missing = 0;
  for (const CommandResult& result : results) {
    missing += static_cast<size_t>(
        std::count_if(result.jobs.begin(), result.jobs.end(), [](const GrantedJob& job) { return !job.record; }));
    missing += missingRecords(result.parts);
  }
  return missing;
}

bool grantsNothing(const CommandResult& result) {
  return result.jobs.empty() && std::ranges::all_of(result.parts, grantsNothing);
}

}  // namespace

void fillResults(fsm::StateMachine& machine, std::vector<CommandResult>& results) {
  for (CommandResult& result : results) {
    const bool isMissing =
        std::any_of(result.jobs.begin(), result.jobs.end(), [](const GrantedJob& job) { return !job.record; });
    if (isMissing) machine.fillRecords(result.jobs);
    fillResults(machine, result.parts);
  }
}

ApplyStep::ApplyStep(fsm::StateMachine& machine, ParkedFetches& parked, ApplySink& sink)
    : machine(machine),
      parked(parked),
      sink(sink),
      appliedIndex(machine.meta().appliedIndex),
      reportedIndex(appliedIndex) {}

void ApplyStep::run(std::vector<ApplyMail>& mail) {
  for (ApplyMail& one : mail) {
    std::visit([this](auto& content) { take(content); }, one);
    if (unreportedBytes >= reportBytes) report();
  }
  mail.clear();
  report();
}

void ApplyStep::take(Committed& work) {
  if (isHolding) {
    held.push_back(std::move(work));
  } else {
    apply(work);
  }
}

void ApplyStep::take(const MembersApplied& change) {
  CAPSTAN_ASSERT(isHolding);
  CAPSTAN_ASSERT(change.index == appliedIndex + 1, change.index, appliedIndex);
  machine.applyMembers(change.index, heldTerm, change.confState);
  appliedIndex = change.index;
  isHolding = false;
  while (!held.empty() && !isHolding) {
    Committed work = std::move(held.front());
    held.pop_front();
    apply(work);
  }
}

void ApplyStep::take(const LookAfter&) {
  machine.flush(false, false);
  cutWhatIsDurable();
}

void ApplyStep::take(const FinalFlush&) {
  machine.flush(true, true);
  report();
  cutWhatIsDurable();
  sink.flushed();
}

void ApplyStep::apply(Committed& work) {
  const raft::Entry& entry = work.entry;
  CAPSTAN_ASSERT(entry.index == appliedIndex + 1, entry.index, appliedIndex);
  unreportedBytes += entry.data.size();
  if (entry.type != raft::EntryType::normal) {
    // The raft thread must not be told of this index before the list of members has changed.
    report();
    isHolding = true;
    heldTerm = entry.term;
    sink.membersReached({entry});
    return;
  }
  applied.clear();
  if (entry.data.empty()) {
    machine.applyEmpty(entry.index, entry.term);
  } else {
    const Result<void> done = machine.apply(entry.index, entry.term, entry.data, applied);
    CAPSTAN_OS_CHECK(done.ok(), entry.index, done.error().message);
  }
  appliedIndex = entry.index;
  answer(work);
  machine.flush(false, false);
}

void ApplyStep::answer(Committed& work) {
  ReplyAddress& to = work.reply;
  fetched.clear();
  for (size_t i = 0; i < to.slots.size(); i++) {
    const bool isEmpty = i >= applied.results.size() || grantsNothing(applied.results[i]);
    fetched.push_back({{to.worker, to.slots[i]}, isEmpty});
  }
  wakes.clear();
  // Before the reply: who parks on it compares with what this entry made ready.
  parked.applied(appliedIndex, fetched, applied.queues, wakes);
  for (const CallerSlot caller : wakes) sink.wake(caller);
  if (to.worker == 0) return;
  CAPSTAN_ASSERT(applied.results.size() == to.slots.size(), applied.results.size(), to.slots.size());
  Completion completion;
  completion.kind = CompletionKind::entry;
  completion.ticket = to.ticket;
  completion.replySlots = std::move(to.slots);
  // What an entry makes ready, its own fetches have seen: they come last in it.
  completion.appliedIndex = appliedIndex;
  const size_t missing = missingRecords(applied.results);
  completion.results = std::move(applied.results);
  if (missing > inlineRecordsMax) return sink.fill(to.worker, std::move(completion));
  if (missing > 0) fillResults(machine, completion.results);
  sink.reply(to.worker, std::move(completion));
}

void ApplyStep::report() {
  if (appliedIndex == reportedIndex) return;
  sink.appliedUpTo({appliedIndex, unreportedBytes, machine.nextDue()});
  reportedIndex = appliedIndex;
  unreportedBytes = 0;
}

// At most what a crash would keep, and what the core was told is applied.
void ApplyStep::cutWhatIsDurable() {
  const uint64_t index = std::min(machine.durableIndex(), reportedIndex);
  if (index <= cutIndex) return;
  cutIndex = index;
  sink.cutLog({index});
}

}  // namespace capstan::engine
