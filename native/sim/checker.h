// Holds one run to its promises: watches the node (node.h), feeds model and shadow with what was committed, and is told
// by the clients what they were answered. Owns the history of the log. It changes nothing.
//
//     invariant             broken when
//     enqueueSurvives       after a start the log lacks an entry that was answered
//     syncedSurvives        after a start the log lacks an entry, or a term, that was synced
//     okAfterSync           an answer leaves before its entry is on the disk
//     committedEntryStays   an applied entry is replaced by another one at its index
//     replayGivesTheSame    an entry applied again gives another digest or other answers
//     shadowAgrees          digest or answers differ from the shadow's
//     appliedNeverBack      after a start the state is older than what it called durable
//     stopwatch             the stamped time passes faster than the true one
//     jobIsKept             a job that has not ended is not stored, or not as what it is
//     endedStaysEnded       an ended one is
//     ackedNotFetched       a fetch that began after an ack was answered returns its job
//   and those of model.h. The world adds opensAfterCrash, processEnded, failedSyncEnds and everythingIsDelivered.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "sim/clocks.h"
#include "sim/failure.h"
#include "sim/model.h"
#include "sim/node.h"
#include "sim/shadow.h"

namespace capstan::sim {

class Checker final : public NodeWatcher {
 public:
  Checker(Clocks& clocks, Trace& trace, Failure& failure, uint32_t shadowWindowJobsMax)
      : clocks(clocks), trace(trace), failure(failure), shadowWindowJobsMax(shadowWindowJobsMax), model(failure) {}

  void founded(const fsm::Founding& founding) override;
  void written(const raft::Entry& entry) override;
  void applied(uint64_t index, uint64_t term, ByteSpan entry, const fsm::Applied& applied,
               const fsm::MetaView& meta) override;
  void replying(uint64_t index, uint64_t syncedIndex) override;
  void opened(const fsm::MetaView& meta, const log::SegmentedLog& log) override;
  void persisted(uint64_t lastIndex, uint64_t term) override;

  void durable(uint64_t index);  // what the state calls durable
  // Looks for every job of the model in the node's state, which has applied all of the history.
  void checkStored(fsm::StateMachine& machine);

  // Nothing is left that will still be delivered or removed; else the name of such a job.
  std::optional<std::string> isDrained(fsm::StateMachine& machine);

  // What clients saw, in the order in which they saw it.
  uint64_t now() const { return sequence; }
  void ackAnswered(const JobId& job) { ackedAt.emplace(job, ++sequence); }
  void fetchAnswered(uint64_t begunAt, const std::vector<GrantedJob>& jobs);
  uint64_t beginFetch() { return ++sequence; }

  const Model& jobs() const { return model; }
  uint64_t entries() const { return history.size(); }
  uint64_t replays() const { return replayCount; }

 private:
  struct Entry {
    uint64_t entryHash = 0;
    uint64_t results = 0;
    std::array<uint8_t, 16> digest{};
  };
  struct Stamped {
    uint64_t elapsedMs = 0;
    uint64_t trueMs = 0;
  };
  void compare(uint64_t index, const Entry& now, const Entry& first);
  void applyFirst(uint64_t index, uint64_t term, ByteSpan entry, const fsm::Applied& applied, const Entry& now);

  Clocks& clocks;
  Trace& trace;
  Failure& failure;
  const uint32_t shadowWindowJobsMax;
  Model model;
  std::unique_ptr<Shadow> shadow;
  std::vector<Entry> history;           // from index 2 on
  std::map<uint64_t, uint64_t> trueAt;  // when an index was last written
  Stamped lastStamp;
  std::map<JobId, uint64_t> ackedAt;
  uint64_t sequence = 0;
  uint64_t answeredIndex = 0;
  uint64_t syncedIndex = 0;
  uint64_t syncedTerm = 0;
  uint64_t durableIndex = 0;
  uint64_t replayCount = 0;
};

}  // namespace capstan::sim
