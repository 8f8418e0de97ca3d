// What must be true of every job, lease, request and lane, told from the log alone: the entries in their order and what
// was answered to each command. Owns a plain record of each job that was ever enqueued. It shares no code with the
// state machine and asks it for nothing, so that a fault there shows here. Fed by the checker, once for each entry.
//
//     invariant            broken when
//     oneLiveLease         a job is granted while a lease of it is open and not past its deadline
//     noEarlyExpiry        the same, measured on the true clock
//     oldTokenIsRefused    a settling under a lease that is not the job's own is accepted; a token does not grow
//     expiredLeaseIsLost   a settling at or past the deadline is accepted
//     liveLeaseHolds       a settling under the job's own live lease is refused
//     endedStaysEnded      an acked or deleted job is granted, or found
//     deadNotDelivered     a dead job is granted without having been redriven
//     pausedNotDelivered   a job of a paused or deleted queue is granted
//     notBeforeDue         a delayed job is granted before its time
//     laneOrder            first deliveries of a lane skip a job that was enqueued ready before
//     attemptsCount        the number of an attempt is not what the answers before say
//     idsAreNew            an id is given twice, or does not grow
//     answersNeverDiffer   a repeated request gets another answer than the first one
//     allOrNothing         an exchange with requireAcks applies in part
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <set>
#include <string>
#include <unordered_map>
#include <vector>

#include "codec/entry.h"
#include "codec/results.h"
#include "sim/failure.h"

namespace capstan::sim {

struct ModelJob {
  std::string queue;
  uint8_t priority = 0;
  std::string group;
  uint64_t index = 0;  // of the entry
  bool ended = false;
  bool isDead = false;    // surely
  bool isDoomed = false;  // deleted while leased: goes when its lease item closes
  bool isQueueDeleted = false;
  bool mayVanish = false;      // a deletion of dead ones may have taken it
  bool mayBeRedriven = false;  // a redrive of all dead ones may have begun its attempts anew
  bool wasDelivered = false;
  uint64_t token = 0;  // of the last grant
  LeaseId lease;       // open, or past its deadline and perhaps swept; zero: none
  uint32_t attemptsMin = 0;
  uint32_t attemptsMax = 0;
  uint64_t dueElapsedMs = 0;
  int64_t dueWallMs = 0;
};

struct ModelLease {
  uint64_t token = 0;
  uint64_t deadlineMs = 0;
  uint64_t trueDeadlineMs = 0;
  std::vector<JobId> jobs;
};

class Model {
 public:
  explicit Model(Failure& failure) : failure(failure) {}

  // One entry: its commands with their results, stamped at `trueMs` of the true clock.
  void apply(uint64_t index, const codec::OpenEntry& entry, const std::vector<CommandResult>& results, uint64_t trueMs);

  const std::map<JobId, ModelJob>& jobs() const { return known; }
  // Neither acked nor deleted, for certain.
  static bool mustBeThere(const ModelJob& job) {
    return !job.ended && !job.isDoomed && !job.isQueueDeleted && !job.mayVanish;
  }
  bool isSurelyLeased(const ModelJob& job) const;
  bool mayBeOver(const ModelJob& job) const;  // its lease is past the deadline
  uint64_t elapsedMs() const { return nowMs; }
  int64_t wallMaxMs() const { return wallMax; }
  uint64_t expiries() const { return expiryCount; }
  uint64_t openJobs() const;

 private:
  struct Remembered {
    uint64_t print = 0;
    uint64_t untilMs = 0;  // of a key
    LeaseId lease;
  };
  bool isRepeat(schema::Command::Reader command, const CommandResult& result);
  void remember(schema::Command::Reader command, const CommandResult& result, uint64_t keepMs);
  void execute(schema::Command::Reader command, const CommandResult& result);
  void executeExchange(schema::ExchangeRequest::Reader request, const CommandResult& result);
  void fetches(schema::Command::Reader command, const CommandResult& result);
  void enqueue(schema::EnqueueRequest::Reader request, const CommandResult& result);
  void grant(schema::FetchRequest::Reader request, const CommandResult& result);
  void grantOne(const GrantedJob& granted, const CommandResult& result);
  void checkLanes();
  template <class Each>
  void settle(capnp::Data::Reader lease, bool all, const std::vector<JobId>& ids, const CommandResult& result,
              const char* what, Each each);
  void close(ModelJob& job);
  void extend(schema::ExtendRequest::Reader request, const CommandResult& result);
  void unsend(capnp::Data::Reader lease);
  void setQueue(schema::SetQueueRequest::Reader request, const CommandResult& result);
  void deleteQueue(schema::DeleteQueueRequest::Reader request, const CommandResult& result);
  void deleteJobs(schema::DeleteJobsRequest::Reader request, const CommandResult& result);
  void changeDead(schema::DeadRequest::Reader request, const CommandResult& result, bool redrives);
  ModelLease* findLease(const LeaseId& id);
  bool isAlive(const LeaseId& id);
  std::string at(const std::string& what) const;

  Failure& failure;
  uint64_t index = 0;
  uint64_t nowMs = 0;
  int64_t wallNow = 0;
  int64_t wallMax = INT64_MIN;
  uint64_t trueNow = 0;
  std::map<JobId, ModelJob> known;
  JobId lastId;
  std::unordered_map<LeaseId, ModelLease> leases;
  uint64_t lastToken = 0;
  std::set<std::string> paused;
  std::map<std::string, std::deque<JobId>> lanes;          // enqueued ready, not delivered yet
  std::map<std::string, std::set<JobId>> firstDeliveries;  // of this entry
  std::map<std::pair<uint64_t, uint64_t>, Remembered> sequences;
  std::map<std::string, Remembered> keys;
  uint64_t expiryCount = 0;
};

// Everything of a result that a repeated request must get again; `withJobs`: what was granted, too.
uint64_t printOf(const CommandResult& result, bool withJobs);

}  // namespace capstan::sim
