// What the raft thread of a shard does with its mail: proposes and stamps entries, drives the consensus core, hands its
// log writes and committed entries on, and lets time enter the log. Owns the proposals under way. It writes no file and
// waits for nothing: the thread (or a simulator) calls `run`, then sleeps at most `waitMs`.
//
// A proposal's life:  waiting ─▶ under way (in the core, not committed) ─▶ handed to the apply thread with who waits
//                        │            └─ leadership lost: `unknown`, since it may still be committed
//                        └─ the node does not lead: notLeader
//
// Waiting ones are held back while `outstandingBytesMax` are under way or being applied, so that workers see `busy`
// instead of memory that grows.
//
// Threading: `reserve` by any thread; everything else by one thread.
#pragma once

#include <atomic>
#include <cstdint>
#include <deque>
#include <functional>
#include <vector>

#include "base/clock.h"
#include "engine/mail.h"
#include "raft/driver.h"

namespace capstan::engine {

class RaftSink {
 public:
  virtual void write(raft::LogWrite write) = 0;
  virtual void committed(Committed work) = 0;
  virtual void membersApplied(MembersApplied change) = 0;
  virtual void refuse(const ReplyAddress& reply, schema::ErrorCode code) = 0;  // one result of this code for each slot
  // `leads` becomes true when the first entry of its own term has been applied.
  virtual void roleChanged(bool leads, uint64_t leaderId, uint64_t term) = 0;
  virtual void lookAfter() = 0;  // once a second
  virtual void finished() = 0;   // after FinalStamp: everything proposed was applied

 protected:
  ~RaftSink() = default;
};

struct RaftStepOptions {
  uint64_t nodeId = 1;
  uint32_t proposalsMax = 1024;
  uint32_t tickRowsMax = 10000;
  uint64_t outstandingBytesMax = 32ull << 20;
  uint64_t applyingBytesMax = 64ull << 20;  // committed, not applied: then the core is not asked for more
  uint64_t elapsedMs = 0;                   // the last stamp in the state
  bool isSoleVoter = true;
};

class RaftStep {
 public:
  RaftStep(raft::Driver& driver, Clock& clock, RaftSink& sink, const RaftStepOptions& options);

  // Makes room for one proposal that is going to be put into the mail. False: busy.
  bool reserve();
  void run(std::vector<RaftMail>& mail);  // takes all of it
  uint64_t waitMs();

 private:
  struct UnderWay {
    uint64_t index = 0;
    uint64_t term = 0;
    uint64_t bytes = 0;
    ReplyAddress reply;
  };

  void take(Proposal& proposal);
  void take(const Persisted& report);
  void take(const AppliedUpTo& report);
  void take(const LogBegins& report);
  void take(const MembersReached& report);
  void take(const FinalStamp& request);

  void watchRole();
  void tellRole();
  void proposeWaiting();
  void proposeOwn();
  bool propose(std::vector<uint8_t> entry, ReplyAddress reply);
  void advance();
  void handOver(raft::Entry entry);
  void loseUnderWay();
  void finishIfDone();
  bool isTickDue();
  uint64_t elapsedNow();

  raft::Driver& driver;
  Clock& clock;
  RaftSink& sink;
  const RaftStepOptions options;
  std::atomic<uint32_t> reserved = 0;

  std::deque<Proposal> waiting;
  std::deque<UnderWay> underWay;  // ascending indexes
  uint64_t underWayBytes = 0;
  uint64_t applyingBytes = 0;
  raft::Step step;

  bool leads = false;  // as the core says
  uint64_t term = 0;   // of the role
  uint64_t leaderId = 0;
  uint64_t ownFirst = 0;  // by then the first entry of its own term was applied
  bool toldLeads = false;
  uint64_t appliedIndex = 0;

  fsm::NextDue due;
  uint64_t tickIndex = 0;  // of the tick under way; 0: none
  uint64_t elapsedBaseMs;  // the stopwatch stood here …
  uint64_t bootBaseMs;     // … when the boot clock stood there
  uint64_t lastStampBootMs;
  uint64_t nextTickBootMs;
  uint64_t nextLookBootMs;

  bool isFinal = false;
  bool hasFinished = false;
  uint64_t finalIndex = 0;
};

}  // namespace capstan::engine
