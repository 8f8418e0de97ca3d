// A state machine that is looked at: it hands every call on to the real one, and each applied entry with its results to
// the watcher, first applies and replays alike. Owns the real one. Called by the steps of a simulated node and by its
// opening.
#pragma once

#include <memory>
#include <string>
#include <utility>

#include "fsm/state_machine.h"
#include "sim/node.h"

namespace capstan::sim {

class CheckedMachine final : public fsm::StateMachine {
 public:
  CheckedMachine(std::unique_ptr<fsm::StateMachine> real, NodeWatcher& watcher)
      : real(std::move(real)), watcher(watcher) {}

  bool isFounded() const override { return real->isFounded(); }
  void found(const fsm::Founding& founding) override {
    real->found(founding);
    watcher.founded(founding);
  }
  Result<void> apply(uint64_t index, uint64_t term, ByteSpan entry, fsm::Applied& applied) override {
    const uint64_t before = real->meta().appliedIndex;
    Result<void> done = real->apply(index, term, entry, applied);
    if (done.ok() && index > before) watcher.applied(index, term, entry, applied, real->meta());
    return done;
  }
  void applyEmpty(uint64_t index, uint64_t term) override {
    const uint64_t before = real->meta().appliedIndex;
    real->applyEmpty(index, term);
    if (index > before) watcher.applied(index, term, {}, {}, real->meta());
  }
  void applyMembers(uint64_t index, uint64_t term, const std::string& confState) override {
    real->applyMembers(index, term, confState);
  }
  fsm::MetaView meta() const override { return real->meta(); }
  fsm::NextDue nextDue() const override { return real->nextDue(); }
  void flush(bool force, bool wait) override { real->flush(force, wait); }
  uint64_t durableIndex() const override { return real->durableIndex(); }
  Result<void> checkpoint(const std::string& directory) override { return real->checkpoint(directory); }
  void fillRecords(std::vector<GrantedJob>& jobs) override { real->fillRecords(jobs); }
  ReadResult read(const ReadCommand& command) override { return real->read(command); }
  std::string statusJson() const override { return real->statusJson(); }

 private:
  const std::unique_ptr<fsm::StateMachine> real;
  NodeWatcher& watcher;
};

// A counter of the status text.
inline uint64_t countOf(const fsm::StateMachine& machine, const std::string& name) {
  const std::string text = machine.statusJson();
  const std::string key = "\"" + name + "\":";
  const size_t place = text.find(key);
  return place == std::string::npos ? 0 : std::stoull(text.substr(place + key.size()));
}
inline uint64_t refillsOf(const fsm::StateMachine& machine) { return countOf(machine, "windowRefills"); }

}  // namespace capstan::sim
