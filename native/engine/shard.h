// One shard at work: its state machine, log and consensus core, and the threads that call their steps. Owns all of them
// and the mailboxes in between (mail.h). It decides nothing that a step could decide.
//
// Opening (shard_opening.h) replays on the calling thread what was committed behind the durable state; what may or may
// not be committed comes through consensus, once the node leads.
//
// Threading: any thread. `close` once.
#pragma once

#include <atomic>
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <shared_mutex>
#include <string>
#include <thread>

#include "base/clock.h"
#include "base/files.h"
#include "base/threads.h"
#include "engine/apply_step.h"
#include "engine/completions.h"
#include "engine/data_directory.h"
#include "engine/log_step.h"
#include "engine/parked.h"
#include "engine/raft_step.h"
#include "engine/readers.h"
#include "engine/shard_opening.h"
#include "fsm/state_machine.h"

namespace capstan::engine {

struct ShardOptions {
  uint32_t shard = 0;
  EngineOptions engine;
  std::function<void(uint64_t, uint64_t)> progress;
  std::function<void(bool leads)> roleChanged;  // called by the raft thread
};

class Shard final : private RaftSink, private LogSink, private ApplySink {
 public:
  // Founds the shard when its directory is new. Returns when the node leads it.
  static Result<std::unique_ptr<Shard>> open(FileSystem& files, Clock& clock, DataDirectory& directory,
                                             Completions& completions, ShardOptions options);
  ~Shard();

  [[nodiscard]] schema::ErrorCode propose(Proposal& proposal);  // ok, busy, notLeader, shuttingDown
  [[nodiscard]] schema::ErrorCode read(ReadRequest& request);
  ParkedFetches& parkedFetches() { return parked; }
  void wake(CallerSlot caller) override;

  void close();
  std::string statusJson() const;  // "null" once it closes

 private:
  Shard(Clock& clock, DataDirectory& directory, Completions& completions, ShardOptions options);
  Result<void> openFiles(FileSystem& files);
  Result<void> startConsensus(std::unique_ptr<log::SegmentedLog> log);
  void startThreads();
  void waitFor(bool Shard::*event);
  void signal(bool Shard::*event);

  void write(raft::LogWrite write) override { logMail.put(std::move(write)); }
  void committed(Committed work) override { applyMail.put(std::move(work)); }
  void membersApplied(MembersApplied change) override { applyMail.put(std::move(change)); }
  void refuse(const ReplyAddress& reply, schema::ErrorCode code) override;
  void roleChanged(bool leads, uint64_t leaderId, uint64_t term) override;
  void lookAfter() override { applyMail.put(LookAfter{}); }
  void finished() override { signal(&Shard::hasFinished); }
  void persisted(Persisted report) override { raftMail.put(report); }
  void logBegins(LogBegins report) override { raftMail.put(report); }
  void reply(uint32_t worker, Completion completion) override { completions.post(worker, std::move(completion)); }
  void fill(uint32_t worker, Completion completion) override { readers->fill(worker, std::move(completion)); }
  void appliedUpTo(AppliedUpTo report) override { raftMail.put(report); }
  void membersReached(MembersReached report) override { raftMail.put(std::move(report)); }
  void cutLog(CutLog request) override { logMail.put(request); }
  void flushed() override { signal(&Shard::hasFlushed); }

  Clock& clock;
  DataDirectory& directory;
  Completions& completions;
  const ShardOptions options;
  ParkedFetches parked;

  // Opened in this order, closed in the opposite one.
  std::unique_ptr<fsm::StateMachine> machine;
  std::unique_ptr<LogStep> logStep;
  std::unique_ptr<raft::Driver> driver;
  std::unique_ptr<RaftStep> raftStep;
  std::unique_ptr<ApplyStep> applyStep;
  std::unique_ptr<Readers> readers;
  Mailbox<RaftMail> raftMail{SIZE_MAX};
  Mailbox<LogMail> logMail{SIZE_MAX};
  Mailbox<ApplyMail> applyMail{SIZE_MAX};
  std::thread raftThread;
  std::thread logThread;
  std::thread applyThread;

  // Proposing holds it shared, so that everything that was let in lies before FinalStamp in the mail.
  mutable std::shared_mutex gate;
  bool isClosing = false;  // guarded by gate

  std::mutex mutex;
  std::condition_variable condition;
  bool hasLed = false;  // guarded by mutex, like the next two
  bool hasFinished = false;
  bool hasFlushed = false;

  std::atomic<bool> leads = false;
  std::atomic<uint64_t> leaderNode = 0;
  std::atomic<uint64_t> currentTerm = 0;
  std::atomic<uint64_t> proposed = 0;
  std::atomic<uint64_t> refusedBusy = 0;
};

}  // namespace capstan::engine
