// An engine that holds everything it is asked in memory, and finishes it when the test says so. Owns no rule of the
// queue. Used by native/test/engine_worker*_test.cc and rpc_stock_client_test.cc only.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "codec/entry.h"
#include "codec/read_request.h"
#include "codec/read_results.h"
#include "engine/engine.h"

namespace capstan::engine {

class MemoryEngine final : public Engine, public CompletionQueue {
 public:
  Result<uint32_t> openWorker(std::function<void()>, CompletionQueue** queue) override {
    *queue = this;
    openWorkers++;
    return uint32_t{7};
  }
  void closeWorker(uint32_t) override { openWorkers--; }

  schema::ErrorCode propose(Proposal proposal) override {
    if (isDiskFull && proposal.enqueues) return schema::ErrorCode::DISK_FULL;
    if (refuseWith != schema::ErrorCode::OK) return refuseWith;
    proposals.push_back(std::move(proposal));
    return schema::ErrorCode::OK;
  }
  schema::ErrorCode read(ReadRequest request) override {
    if (refuseReadsWith != schema::ErrorCode::OK) return refuseReadsWith;
    reads.push_back(std::move(request));
    return schema::ErrorCode::OK;
  }

  Result<uint64_t> park(const ParkRequest& request) override {
    if (parkFull) return Error{schema::ErrorCode::BUSY, "full", "", 1000};
    if (queueMoved) return uint64_t{0};
    parks.push_back(request);
    asleep.insert(request.slot);
    return request.arrival != 0 ? request.arrival : ++arrivals;
  }
  bool unpark(uint32_t, uint32_t slot) override { return asleep.erase(slot) > 0; }
  void wakeEarly(uint32_t, std::span<const QueueArrivals> arrivals, std::vector<CallerSlot>& woken) override {
    for (const QueueArrivals& arrival : arrivals) arrived.push_back(arrival);
    for (const uint32_t slot : std::exchange(wakesEarly, {})) {
      EXPECT_EQ(asleep.erase(slot), 1u);
      woken.push_back({1, slot});
    }
  }
  void passWake(uint32_t, uint32_t slot) override { passed.push_back(slot); }
  void settleWake(uint32_t, uint32_t slot) override { settled.push_back(slot); }

  Result<std::string> listen(uint32_t, const std::string& address, uint32_t, uint32_t) override { return address; }
  void stopListening() override {}
  void connectionClosed() override { closedConnections++; }
  uint64_t connectionsRefused() const override { return 0; }
  uint64_t connectionsStarved() const override { return 0; }
  std::string statusJson() const override { return "{}"; }
  void close() override {}

  void drain(std::vector<Completion>& into) override {
    for (Completion& completion : completions) into.push_back(std::move(completion));
    completions.clear();
  }

  // The oldest proposal has these results, one per slot.
  Proposal finish(std::vector<CommandResult> results, uint64_t index = 100) {
    Proposal proposal = std::move(proposals.front());
    proposals.pop_front();
    Completion completion;
    completion.kind = CompletionKind::entry;
    completion.ticket = proposal.ticket;
    completion.appliedIndex = index;
    completion.replySlots = proposal.replySlots;
    completion.results = std::move(results);
    completion.results.resize(completion.replySlots.size());
    completions.push_back(std::move(completion));
    return proposal;
  }
  ReadRequest finishRead(ReadResult result) {
    ReadRequest request = std::move(reads.front());
    reads.pop_front();
    Completion completion;
    completion.kind = CompletionKind::read;
    completion.slot = request.slot;
    completion.read = std::make_shared<ReadResult>(std::move(result));
    completions.push_back(std::move(completion));
    return request;
  }
  void wake(uint32_t slot) {
    asleep.erase(slot);
    Completion completion;
    completion.kind = CompletionKind::wake;
    completion.slot = slot;
    completions.push_back(std::move(completion));
  }

  std::deque<Proposal> proposals;
  std::deque<ReadRequest> reads;
  std::vector<ParkRequest> parks;
  std::set<uint32_t> asleep;
  std::vector<uint32_t> passed;
  std::vector<uint32_t> wakesEarly;  // slots that the next enqueue wakes
  std::vector<QueueArrivals> arrived;
  std::vector<uint32_t> settled;
  std::vector<Completion> completions;
  uint64_t arrivals = 0;
  int openWorkers = 0;
  int closedConnections = 0;
  bool isDiskFull = false;
  bool parkFull = false;
  bool queueMoved = false;
  schema::ErrorCode refuseWith = schema::ErrorCode::OK;
  schema::ErrorCode refuseReadsWith = schema::ErrorCode::OK;
};

}  // namespace capstan::engine
