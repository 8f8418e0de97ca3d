// An engine with one worker, as the tests of engine/ use it: requests become entries as in a listener worker, and
// answers are waited for, never slept for. Owns the engine and its directory. Used by native/test/engine_*_test.cc.
#pragma once

#include <gtest/gtest.h>

#include <atomic>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "boundary.capnp.h"
#include "codec/entry.h"
#include "codec/read_request.h"
#include "codec/read_results.h"
#include "engine/data_directory.h"
#include "engine/engine.h"
#include "engine/text_file.h"
#include "test/codec_support.h"
#include "test/temporary_directory.h"

namespace capstan::engine {

using RequestPointer = std::unique_ptr<codec::Request>;

inline RequestPointer enqueueRequest(const std::string& queue, const std::vector<std::string>& payloads,
                                     uint64_t delayMs = 0) {
  auto request = codec::requestOf<schema::EnqueueRequest>(codec::Method::enqueue, [&](auto root) {
    root.setQueue(queue);
    auto jobs = root.initJobs(static_cast<unsigned>(payloads.size()));
    for (unsigned at = 0; at < payloads.size(); ++at) {
      jobs[at].setPayload(codec::dataOf(payloads[at]));
      if (delayMs != 0) jobs[at].setDelayMs(delayMs);
    }
  });
  EXPECT_TRUE(request.ok()) << request.error().message;
  return request.take();
}

inline RequestPointer fetchRequest(const std::string& queue, uint32_t jobsMax, uint64_t leaseMs) {
  auto request = codec::requestOf<schema::FetchRequest>(codec::Method::fetch, [&](auto root) {
    root.initQueues(1).set(0, queue);
    root.setJobsMax(jobsMax);
    root.setLeaseMs(leaseMs);
  });
  EXPECT_TRUE(request.ok()) << request.error().message;
  return request.take();
}

inline RequestPointer ackRequest(const LeaseId& lease, const std::vector<JobId>& ids) {
  auto request = codec::requestOf<schema::AckRequest>(codec::Method::ack, [&](auto root) {
    root.setLease(kj::arrayPtr(lease.bytes.data(), LeaseId::size));
    auto list = root.initIds(static_cast<unsigned>(ids.size()));
    for (unsigned at = 0; at < ids.size(); ++at) list.set(at, kj::arrayPtr(ids[at].bytes.data(), JobId::size));
  });
  EXPECT_TRUE(request.ok()) << request.error().message;
  return request.take();
}

struct Answer {
  uint32_t slot = 0;
  uint64_t appliedIndex = 0;
  CommandResult result;
};

class Node {
 public:
  explicit Node(
      const EngineOptions& options, std::function<void(uint64_t, uint64_t)> progress = [](uint64_t, uint64_t) {}) {
    Result<Engine*> opened = Engine::open(options, std::move(progress));
    if (!opened) throw std::runtime_error(opened.error().message);
    engine = opened.value();
    worker = engine
                 ->openWorker(
                     [this] {
                       rings.fetch_add(1);
                       rings.notify_all();
                     },
                     &queue)
                 .take();
  }
  ~Node() { forget(); }
  Node(const Node&) = delete;
  Node& operator=(const Node&) = delete;

  void forget() {
    if (engine == nullptr) return;
    if (!isClosed) engine->close();
    engine->closeWorker(worker);
    delete engine;
    engine = nullptr;
  }

  Proposal proposalOf(const RequestPointer& request) {
    Proposal proposal;
    proposal.worker = worker;
    proposal.ticket = ++lastTicket;
    proposal.enqueues = request->enqueues;
    proposal.replySlots = {++lastSlot};
    const codec::Request* one = request.get();
    proposal.entry = codec::buildEntry({&one, 1}, codec::defaultTenant, limits);
    return proposal;
  }

  Answer answerOf(const RequestPointer& request) {
    Proposal proposal = proposalOf(request);
    const uint32_t ticket = proposal.ticket;
    const schema::ErrorCode code = engine->propose(std::move(proposal));
    if (code != schema::ErrorCode::OK) throw std::runtime_error("refused: " + std::to_string(static_cast<int>(code)));
    waitUntil([&] { return entries.contains(ticket); });
    Completion completion = std::move(entries.at(ticket));
    entries.erase(ticket);
    return {completion.replySlots.at(0), completion.appliedIndex, std::move(completion.results.at(0))};
  }

  CommandResult enqueue(const std::string& name, const std::vector<std::string>& payloads, uint64_t delayMs = 0) {
    return answerOf(enqueueRequest(name, payloads, delayMs)).result;
  }
  Answer fetchAnswer(const std::string& name, uint32_t jobsMax) {
    return answerOf(fetchRequest(name, jobsMax, 30'000));
  }
  CommandResult fetch(const std::string& name, uint32_t jobsMax, uint64_t leaseMs = 30'000) {
    return answerOf(fetchRequest(name, jobsMax, leaseMs)).result;
  }
  CommandResult ack(const LeaseId& lease, const std::vector<JobId>& ids) {
    return answerOf(ackRequest(lease, ids)).result;
  }

  Result<uint64_t> park(const std::string& name, const Answer& empty) {
    ParkRequest request;
    request.worker = worker;
    request.slot = empty.slot;
    request.emptyAtIndex = empty.appliedIndex;
    request.queues = {codec::queueHash(codec::defaultTenant, name)};
    return engine->park(request);
  }
  uint32_t nextWake() {
    waitUntil([&] { return !wakes.empty(); });
    const uint32_t slot = wakes.front();
    wakes.pop_front();
    return slot;
  }

  std::shared_ptr<ReadResult> read(std::shared_ptr<const ReadCommand> command) {
    const uint32_t slot = ++lastSlot;
    EXPECT_EQ(engine->read(ReadRequest{worker, slot, 0, std::move(command)}), schema::ErrorCode::OK);
    waitUntil([&] { return reads.contains(slot); });
    return reads.at(slot);
  }
  uint64_t readyIn(const std::string& name) {
    auto command = std::make_shared<ReadCommand>();
    command->method = codec::Method::getQueue;
    command->tenant = codec::defaultTenant;
    command->queue = name;
    const auto result = read(command);
    return result->queues.empty() ? 0 : result->queues[0].ready;
  }
  void waitForEntries(size_t count) {
    waitUntil([&] { return entries.size() >= count; });
  }

  void takeAll() {
    std::vector<Completion> more;
    queue->drain(more);
    for (Completion& one : more) {
      switch (one.kind) {
        case CompletionKind::entry:
          entries.emplace(one.ticket, std::move(one));
          break;
        case CompletionKind::read:
          reads.emplace(one.slot, one.read);
          break;
        case CompletionKind::wake:
          wakes.push_back(one.slot);
          break;
        case CompletionKind::state:
          stateBits = one.stateBits;
          break;
        case CompletionKind::accepted:
          break;
      }
    }
  }
  template <class Condition>
  void waitUntil(Condition condition) {
    for (;;) {
      const int seen = rings.load();
      takeAll();
      if (condition()) return;
      rings.wait(seen);
    }
  }

  Engine* engine = nullptr;
  CompletionQueue* queue = nullptr;
  uint32_t worker = 0;
  bool isClosed = false;
  uint32_t stateBits = 0;
  codec::Limits limits;
  std::map<uint32_t, Completion> entries;  // by ticket
  std::map<uint32_t, std::shared_ptr<ReadResult>> reads;
  std::deque<uint32_t> wakes;

 private:
  std::atomic<int> rings = 0;
  uint32_t lastTicket = 0;
  uint32_t lastSlot = 0;
};

class EngineTest : public testing::Test {
 protected:
  EngineOptions options() const {
    EngineOptions made;
    made.dataDirectory = path;
    made.logSegmentBytes = 4 << 20;
    made.logTrailingBytes = 4 << 20;
    made.diskReserveBytes = 0;
    made.diskReservePercent = 0;
    made.blockCacheBytes = 8 << 20;
    made.writeBufferBytes = 8 << 20;
    return made;
  }

  const TemporaryDirectory temporary;
  const std::string scratch = temporary.path;
  const std::string path = scratch + "/data";
};

}  // namespace capstan::engine
