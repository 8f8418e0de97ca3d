// The clients of one simulated node and the worker in front of it: seeded scripts over every operation, requests with
// sessions and keys that are sent again after a crash, fetches that wait, answers that come late or never. Owns what
// each client believes: its leases, its session, its outstanding request. It tells the checker what was answered and to
// whom.
//
//     idle ─issue─▶ waiting ─propose (several in one entry)─▶ under way ─deliver─▶ idle
//                      ▲ ▲                                        │
//                      │ └──woken── parked ◀──came out empty──────┤
//                      └── unknown: the node crashed; asked again if it has an id, else given up
#pragma once

#include <deque>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "codec/request.h"
#include "sim/checker.h"
#include "sim/node.h"

namespace capstan::sim {

struct ClientCounters {
  uint64_t requests = 0;
  uint64_t answers = 0;
  uint64_t unknown = 0;   // lost in a crash
  uint64_t repeated = 0;  // asked again under the same id
  uint64_t parked = 0;
  uint64_t woken = 0;
  uint64_t diskFull = 0;
  uint64_t granted = 0;  // jobs
  uint64_t acked = 0;
  uint64_t enqueued = 0;
  uint64_t exchanges = 0;
  uint64_t unsent = 0;
  uint64_t leaseLost = 0;
};

class Clients final : public NodeOutput {
 public:
  Clients(uint64_t seed, Clocks& clocks, Checker& checker, uint32_t count);

  void attach(Node* now) { node = now; }
  void crashed();  // every answer under way is lost, every sleeper with it
  void beginDraining();

  bool canIssue() const;
  void issue();
  bool canPropose() const { return !front.empty(); }
  void propose();
  bool canDeliver() const { return !inbox.empty(); }
  void deliver();
  void endWaits();  // of fetches that have waited long enough

  void completed(engine::Completion completion) override { inbox.push_back({std::move(completion), 0}); }
  void woken(engine::CallerSlot caller) override { inbox.push_back({{}, caller.slot}); }

  ClientCounters counters;

 private:
  struct Held {
    LeaseId lease;
    std::vector<JobId> jobs;
  };
  enum class Stage : uint8_t { idle, waiting, underWay, parked };
  struct Client {
    uint64_t session = 0;
    uint64_t sequence = 0;
    std::vector<Held> held;
    std::shared_ptr<codec::Request> request;
    Stage stage = Stage::idle;
    bool hasId = false;
    bool mayLose = false;  // the fetch may be unsent
    uint32_t slot = 0;     // of the outstanding request
    uint64_t arrival = 0;
    uint64_t begunAt = 0;  // by the checker's sequence
    uint64_t waitUntilMs = 0;
    std::vector<JobId> acking;   // of an ack by ids, or of all
    uint32_t queuesResumed = 0;  // while draining
    uint32_t keys = 0;
  };
  struct Arrived {
    engine::Completion completion;
    uint32_t wokenSlot = 0;
  };

  std::shared_ptr<codec::Request> next(Client& client);
  std::shared_ptr<codec::Request> drainNext(Client& client);
  std::shared_ptr<codec::Request> settleSome(Client& client);
  std::shared_ptr<codec::Request> exchangeSome(Client& client);
  std::shared_ptr<codec::Request> changeQueue(Client& client);
  std::shared_ptr<codec::Request> changeJobs(Client& client);
  std::shared_ptr<codec::Request> changeSession(Client& client);
  template <class Body>
  void setId(Client& client, Body body);
  void fillEnqueue(schema::EnqueueRequest::Builder body);
  void fillFetch(Client& client, schema::FetchRequest::Builder body, bool mayWait);
  std::string queueName() { return "q" + std::to_string(random.below(queueCount)); }
  Held takeHeld(Client& client);
  std::vector<JobId> deadOf(const std::string& queue);
  Client* clientOf(uint32_t slot);
  void start(Client& client);
  void give(Client& client, CommandResult& result, uint64_t appliedIndex);
  void park(Client& client, uint64_t appliedIndex);
  void note(Client& client, const CommandResult& result);
  void noteGrant(Client& client, const CommandResult& result);
  void end(Client& client);

  static constexpr uint32_t queueCount = 4;
  Random random;
  Clocks& clocks;
  Checker& checker;
  Node* node = nullptr;
  codec::Limits limits;
  std::vector<Client> clients;
  std::deque<uint32_t> front;  // slots that wait to be proposed
  std::deque<Arrived> inbox;
  std::vector<JobId> known;  // some of what was enqueued
  uint32_t nextSlot = 1;
  bool isDraining = false;
};

}  // namespace capstan::sim
