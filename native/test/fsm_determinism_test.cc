// The same entries give the same state: whatever the size of the windows, and with a restart behind every entry that
// loses what was not flushed. Owns a generator of random scripts over every operation. A seed replays a failure.
#include <random>

#include "test/fsm_support.h"

namespace capstan::fsm {
namespace {

using Lists = std::vector<std::pair<LeaseId, std::vector<JobId>>>;

// Drives one node with random requests, remembering what it granted.
class Script {
 public:
  Script(Node& node, uint32_t seed) : node(node), random(seed) {}

  void step() {
    node.elapsedMs += random() % 400;
    node.wallMs += static_cast<int64_t>(random() % 800) - 200;
    switch (random() % 12) {
      case 0:
      case 1:
      case 2:
        return enqueueSome();
      case 3:
      case 4:
        return fetchSome();
      case 5:
      case 6:
        return settleSome();
      case 7:
        return extendOne();
      case 8:
        return exchangeOne();
      case 9:
        return changeQueue();
      case 10:
        return deleteSome();
      default:
        return node.tick(1 + random() % 50);
    }
  }
  uint64_t granted = 0;
  uint64_t refusedCommands = 0;

 private:
  std::string queueName() { return "q" + std::to_string(random() % 4); }
  void note(const CommandResult& result) {
    if (result.code != ErrorCode::OK) ++refusedCommands;
    if (!result.lease.isZero()) {
      leases.emplace_back(result.lease, idsOf(result));
      granted += result.jobs.size();
    }
    known.insert(known.end(), result.ids.begin(), result.ids.end());
    for (const CommandResult& part : result.parts) note(part);
  }
  void noteAll(const std::vector<CommandResult>& results) {
    for (const CommandResult& result : results) note(result);
  }

  void fillEnqueue(schema::EnqueueRequest::Builder body) {
    body.setQueue(queueName());
    auto jobs = body.initJobs(1 + random() % 20);
    for (auto job : jobs) {
      job.setPayload(codec::dataOf(std::string(random() % 300, 'p')));
      if (random() % 3 == 0) job.setPriority(static_cast<uint8_t>(random() % 16));
      if (random() % 3 == 0) job.setGroup("g" + std::to_string(random() % 5));
      const uint32_t when = random() % 9;
      if (when == 0) job.setDelayMs(1 + random() % 3000);
      if (when == 1) job.setRunAtMs(node.wallMs + static_cast<int64_t>(random() % 3000));
      if (random() % 4 == 0) job.setMaxAttempts(1 + random() % 3);
      if (random() % 8 == 0) job.initHeaders(1)[0].setName("h");
    }
  }
  void enqueueSome() {
    const auto request = node.make<schema::EnqueueRequest>(Method::enqueue, [&](auto body) { fillEnqueue(body); });
    noteAll(node.runAll({request.get()}));
  }
  void fillFetch(schema::FetchRequest::Builder body) {
    auto names = body.initQueues(1 + random() % 3);
    for (uint32_t at = 0; at < names.size(); ++at) names.set(at, queueName());
    body.setJobsMax(1 + random() % 12);
    if (random() % 3 == 0) body.setBytesMax(1 + random() % 1000);
    body.setLeaseMs(100 + random() % 2000);
  }
  void fetchSome() {
    std::vector<std::unique_ptr<codec::Request>> requests;
    std::vector<const codec::Request*> pointers;
    for (uint32_t count = 1 + random() % 4; count > 0; --count) {
      if (random() % 4 == 0) {
        requests.push_back(node.make<schema::EnqueueRequest>(Method::enqueue, [&](auto body) { fillEnqueue(body); }));
      } else {
        requests.push_back(node.make<schema::FetchRequest>(Method::fetch, [&](auto body) { fillFetch(body); }));
      }
      pointers.push_back(requests.back().get());
    }
    noteAll(node.runAll(pointers));
  }
  std::pair<LeaseId, std::vector<JobId>> someLease() {
    if (leases.empty()) return {LeaseId{}, {JobId{}}};
    return leases[leases.size() - 1 - random() % std::min<size_t>(leases.size(), 12)];
  }
  void settleSome() {
    const auto [lease, ids] = someLease();
    const uint32_t kind = random() % 4;
    const JobId id = ids.empty() ? JobId{} : ids[random() % ids.size()];
    if (kind == 0) {
      note(node.fail(lease, id, random() % 3 == 0, random() % 2 == 0 ? 0 : 1 + random() % 1000));
    } else if (kind == 1) {
      note(node.run<schema::ReleaseRequest>(Method::release, [&](auto body) {
        body.setLease(capnp::Data::Reader(lease.bytes.data(), 16));
        body.setAll(true);
      }));
    } else if (kind == 2) {
      note(node.ack(lease, {id}));
    } else {
      note(node.ack(lease, ids));
    }
  }
  void extendOne() {
    const auto [lease, ids] = someLease();
    note(node.run<schema::ExtendRequest>(Method::extend, [&](auto body) {
      body.setLease(capnp::Data::Reader(lease.bytes.data(), 16));
      body.setLeaseMs(100 + random() % 3000);
    }));
  }
  void exchangeOne() {
    const auto [lease, ids] = someLease();
    note(node.run<schema::ExchangeRequest>(Method::exchange, [&](auto body) {
      body.setRequireAcks(random() % 2 == 0);
      auto ack = body.initAcks(1)[0];
      ack.setLease(capnp::Data::Reader(lease.bytes.data(), 16));
      ack.setAll(true);
      fillEnqueue(body.initEnqueues(1)[0]);
      fillFetch(body.initFetch());
    }));
  }
  void changeQueue() {
    const uint32_t kind = random() % 6;
    if (kind == 0) {
      note(node.run<schema::DeleteQueueRequest>(Method::deleteQueue, [&](auto body) { body.setQueue(queueName()); }));
    } else if (kind <= 2) {
      const Method method = kind == 1 ? Method::redriveDead : Method::deleteDead;
      note(node.run<schema::DeadRequest>(method, [&](auto body) {
        body.setQueue(queueName());
        body.setAll(true);
      }));
    } else {
      note(node.run<schema::SetQueueRequest>(Method::setQueue, [&](auto body) {
        body.setQueue(queueName());
        if (kind == 3) body.setPause(true);
        if (kind >= 4) body.setResume(true);
        body.initSettings().setGroupQuantum(1 + random() % 3);
        body.getSettings().setDeadKeepMs(1000 + random() % 5000);
        body.getSettings().setBackoffBaseMs(1 + random() % 500);
      }));
    }
  }
  void deleteSome() {
    note(node.run<schema::DeleteJobsRequest>(Method::deleteJobs, [&](auto body) {
      auto ids = body.initIds(3);
      for (uint32_t at = 0; at < 3; ++at) {
        const JobId id =
            known.empty() ? JobId{} : known[known.size() - 1 - random() % std::min<size_t>(known.size(), 60)];
        ids.set(at, capnp::Data::Reader(id.bytes.data(), 16));
      }
    }));
  }

  Node& node;
  std::mt19937 random;
  Lists leases;
  std::vector<JobId> known;
};

struct Recording {
  std::vector<std::vector<uint8_t>> log;
  std::vector<std::array<uint8_t, 16>> digests;
};

Recording record(uint32_t seed, int steps) {
  Node node;
  Script script(node, seed);
  Recording made;
  for (int at = 0; at < steps; ++at) {
    script.step();
    made.digests.push_back(node.digest());
  }
  EXPECT_GT(script.granted, 0u) << "the script must do something";
  made.log = node.log;
  return made;
}

class FsmDeterminism : public testing::TestWithParam<uint32_t> {};

TEST_P(FsmDeterminism, windowOfOneGivesTheSameState) {
  const Recording made = record(GetParam(), 400);
  Options small;
  small.windowJobsMax = 1;
  Options tight;
  tight.windowBytesMax = 600;
  tight.payloadCacheBytes = 0;
  for (const Options& options : {small, tight}) {
    Node node(options);
    for (size_t at = 0; at < made.log.size(); ++at) {
      node.replay(made.log[at]);
      ASSERT_EQ(node.digest(), made.digests[at]) << "entry " << at << " of seed " << GetParam();
    }
  }
}

TEST_P(FsmDeterminism, restartBehindEveryEntryGivesTheSameState) {
  const Recording made = record(GetParam() + 1000, 80);
  std::mt19937 random(GetParam());
  Node node;
  uint64_t replayed = 0;
  for (size_t at = 0; at < made.log.size(); ++at) {
    node.replay(made.log[at]);
    ASSERT_EQ(node.digest(), made.digests[at]) << "entry " << at << " of seed " << GetParam();
    node.machine->flush(random() % 3 == 0, true);
    // What was not flushed is lost; the log gives it again.
    node.restart();
    for (uint64_t index = node.index + 1; index <= at + 2; ++index) {
      node.replay(made.log[index - 2]);
      ++replayed;
    }
    ASSERT_EQ(node.digest(), made.digests[at]) << "restart behind entry " << at << " of seed " << GetParam();
  }
  EXPECT_GT(replayed, 0u);
}

INSTANTIATE_TEST_SUITE_P(Seeds, FsmDeterminism, testing::Range(1u, 5u));

TEST(FsmReplay, entriesThatWereAppliedAreSkipped) {
  Node node;
  node.enqueue("q", {"a"});
  const auto digest = node.digest();
  Applied applied;
  ASSERT_TRUE(node.machine->apply(2, 1, node.log[0], applied).ok());
  EXPECT_TRUE(applied.results.empty());
  EXPECT_EQ(node.digest(), digest);
}

TEST(FsmReplay, anEntryOfALaterVersionIsRefusedUnapplied) {
  Node node;
  node.enqueue("q", {"a"});
  std::vector<uint8_t> entry = node.log[0];
  putLittle<uint16_t>(entry.data(), 99);
  Applied applied;
  const Result<void> refused = node.machine->apply(3, 1, entry, applied);
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().code, ErrorCode::UNSUPPORTED);
  EXPECT_NE(refused.error().message.find("99"), std::string::npos);
  EXPECT_EQ(node.machine->meta().appliedIndex, 2u);
}

}  // namespace
}  // namespace capstan::fsm
