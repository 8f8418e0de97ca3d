// One simulated node: the real data directory, log, consensus driver, state machine and the steps of their threads,
// with the mailboxes in between as plain queues from which the scheduler lets each step take a part. Owns all of them
// between two crashes. It decides nothing: the world says which step runs, the watcher looks, the output gets answers.
//
// A step that ends the process (ending.h), or whose disk is frozen under it, is caught here: the node is `ended` then,
// what it would still say is dropped, and `close` throws it away before the disk restarts.
#pragma once

#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "engine/apply_step.h"
#include "engine/data_directory.h"
#include "engine/disk_reserve.h"
#include "engine/log_step.h"
#include "engine/parked.h"
#include "engine/raft_step.h"
#include "engine/shard_opening.h"
#include "sim/clocks.h"
#include "sim/disk.h"
#include "sim/disk_env.h"
#include "sim/disk_files.h"
#include "sim/ending.h"

namespace capstan::sim {

// Sees everything that happens to a node's promises. Never called for a node whose disk is frozen, but for `applied`.
class NodeWatcher {
 public:
  virtual void founded(const fsm::Founding& founding) = 0;
  virtual void written(const raft::Entry& entry) = 0;  // handed to the log, of the boot time now
  virtual void applied(uint64_t index, uint64_t term, ByteSpan entry, const fsm::Applied& applied,
                       const fsm::MetaView& meta) = 0;
  virtual void replying(uint64_t index, uint64_t syncedIndex) = 0;  // the log has been synced so far
  virtual void opened(const fsm::MetaView& meta, const log::SegmentedLog& log) = 0;
  virtual void persisted(uint64_t lastIndex, uint64_t term) = 0;

 protected:
  ~NodeWatcher() = default;
};

class NodeOutput {
 public:
  virtual void completed(engine::Completion completion) = 0;
  virtual void woken(engine::CallerSlot caller) = 0;

 protected:
  ~NodeOutput() = default;
};

struct NodeCounters {
  uint64_t replayed = 0;  // entries
  uint64_t tornTails = 0;
  uint64_t logCuts = 0;
  uint64_t refills = 0;
  uint64_t fills = 0;
  uint64_t jobs = 0;  // of RocksDB
  uint64_t checkpoints = 0;
  uint64_t reserveReached = 0;
};

class Node final : private engine::RaftSink, private engine::LogSink, private engine::ApplySink {
 public:
  Node(Disk& disk, Clocks& clocks, const engine::EngineOptions& options, NodeWatcher& watcher, NodeOutput& output);
  ~Node();

  // An error: refused, with the reason; the node is closed. It may also have `ended`.
  Result<void> open();
  void close();
  bool isOpen() const { return applyStep != nullptr; }
  const std::optional<ProcessEnded>& ended() const { return end; }

  // What could run now, and running it. `count`: of the mail, from its front.
  size_t raftMailCount() const { return raftMail.size(); }
  size_t logMailCount() const { return logMail.size(); }
  size_t applyMailCount() const { return applyMail.size(); }
  size_t fillCount() const { return fills.size(); }
  size_t jobCount() const { return env->jobs(); }
  uint64_t raftWaitMs();
  void runRaft(size_t count);
  void runLog(size_t count);
  void runApply(size_t count);
  void runFill();
  void runJob();
  void checkReserve();
  void checkpoint();  // takes one, opens it, compares, removes it
  void stop();        // begins the graceful end; `hasStopped` when done
  bool hasStopped() const { return stopped; }

  schema::ErrorCode propose(engine::Proposal& proposal);
  bool leads() const { return isLeading; }
  engine::ParkedFetches& parked() { return *parkedFetches; }
  void endWake(engine::CallerSlot caller);
  fsm::StateMachine& machine() { return *machineNow; }

  NodeCounters counters;

 private:
  template <class Body>
  void guarded(Body body);
  Result<void> openGuarded();
  bool isSilent() const { return disk.isFrozen(); }

  void write(raft::LogWrite write) override;
  void committed(engine::Committed work) override { applyMail.emplace_back(std::move(work)); }
  void membersApplied(engine::MembersApplied change) override { applyMail.emplace_back(std::move(change)); }
  void refuse(const engine::ReplyAddress& to, schema::ErrorCode code) override;
  void roleChanged(bool leads, uint64_t leaderId, uint64_t term) override { isLeading = leads; }
  void lookAfter() override { applyMail.emplace_back(engine::LookAfter{}); }
  void finished() override { applyMail.emplace_back(engine::FinalFlush{}); }
  void persisted(engine::Persisted report) override { raftMail.emplace_back(report); }
  void logBegins(engine::LogBegins report) override;
  void reply(uint32_t worker, engine::Completion completion) override;
  void fill(uint32_t worker, engine::Completion completion) override { fills.push_back(std::move(completion)); }
  void wake(engine::CallerSlot caller) override;
  void appliedUpTo(engine::AppliedUpTo report) override { raftMail.emplace_back(report); }
  void membersReached(engine::MembersReached report) override { raftMail.emplace_back(std::move(report)); }
  void cutLog(engine::CutLog request) override { logMail.emplace_back(request); }
  void flushed() override { stopped = true; }

  Disk& disk;
  Clocks& clocks;
  const engine::EngineOptions options;
  NodeWatcher& watcher;
  NodeOutput& output;
  DiskFiles files;
  uint64_t micros = 1'000'000;  // RocksDB's clock
  std::unique_ptr<DiskEnv> env;

  std::unique_ptr<engine::DataDirectory> directory;
  std::unique_ptr<fsm::StateMachine> machineNow;
  std::unique_ptr<engine::LogStep> logStep;
  std::unique_ptr<raft::Driver> driver;
  std::unique_ptr<engine::RaftStep> raftStep;
  std::unique_ptr<engine::ParkedFetches> parkedFetches;
  std::unique_ptr<engine::ApplyStep> applyStep;
  std::unique_ptr<engine::DiskReserve> reserve;

  std::deque<engine::RaftMail> raftMail;
  std::deque<engine::LogMail> logMail;
  std::deque<engine::ApplyMail> applyMail;
  std::deque<engine::Completion> fills;
  std::vector<engine::RaftMail> takenRaft;
  std::vector<engine::LogMail> takenLog;
  std::vector<engine::ApplyMail> takenApply;
  std::optional<ProcessEnded> end;
  bool isLeading = false;
  bool stopped = false;
  uint64_t writtenIndex = 0;  // handed to the log's files
  uint64_t writtenTerm = 0;
  uint64_t syncedIndex = 0;  // and nothing of it could be lost
};

}  // namespace capstan::sim
