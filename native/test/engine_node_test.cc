// One node's whole engine below the boundary: jobs that outlive it, gracefully ended or killed, and what it refuses to
// start on. Entries are built from requests as a listener worker builds them. Owns a directory for each test.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <future>

#include "base/clock.h"
#include "test/engine_support.h"

namespace capstan::engine {
namespace {

using EngineNode = EngineTest;

TEST_F(EngineNode, servesAndKeepsJobsThroughARestart) {
  {
    Node node(options());
    const CommandResult enqueued = node.enqueue("mail", {"one", "two", "three"});
    ASSERT_EQ(enqueued.code, schema::ErrorCode::OK);
    EXPECT_EQ(enqueued.ids.size(), 3u);
    const CommandResult fetched = node.fetch("mail", 1);
    ASSERT_EQ(fetched.jobs.size(), 1u);
    EXPECT_EQ(fetched.jobs[0].id, enqueued.ids[0]);
    ASSERT_NE(fetched.jobs[0].record, nullptr);
    EXPECT_EQ(node.ack(fetched.lease, {fetched.jobs[0].id}).accepted, 1u);
  }
  Node node(options());
  const CommandResult fetched = node.fetch("mail", 10);
  EXPECT_EQ(fetched.jobs.size(), 2u) << "the acked one is gone, the others are there";
  EXPECT_TRUE(node.fetch("mail", 10).jobs.empty());
}

TEST_F(EngineNode, keepsWhatWasAnsweredWhenItIsKilled) {
  Node node(options());
  std::vector<JobId> ids;
  for (int round = 0; round < 20; ++round) {
    const CommandResult enqueued = node.enqueue("mail", {std::string(1000, 'a'), "b"});
    ids.insert(ids.end(), enqueued.ids.begin(), enqueued.ids.end());
  }
  // What a kill leaves is what the files hold now, all that was answered being in them.
  const std::string copy = scratch + "/copy";
  std::filesystem::copy(path, copy, std::filesystem::copy_options::recursive);
  EngineOptions killed = options();
  killed.dataDirectory = copy;
  std::vector<uint64_t> totals;
  Node after(killed, [&totals](uint64_t done, uint64_t total) {
    EXPECT_LE(done, total);
    totals.push_back(total);
  });
  const CommandResult fetched = after.fetch("mail", 100);
  ASSERT_EQ(fetched.jobs.size(), ids.size());
  for (size_t at = 0; at < ids.size(); ++at) EXPECT_EQ(fetched.jobs[at].id, ids[at]);
  ASSERT_FALSE(totals.empty());
  EXPECT_GT(totals.back(), 0u) << "it replayed";
}

TEST_F(EngineNode, refusesALockedDirectory) {
  Node node(options());
  const auto second = Engine::open(options(), [](uint64_t, uint64_t) {});
  ASSERT_FALSE(second.ok());
  EXPECT_EQ(second.error().field, "directoryLocked");
}

TEST_F(EngineNode, refusesANewerFormat) {
  { Node node(options()); }
  TextFile file("format");
  file.set("version", dataFormat + 1);
  std::ofstream(path + "/format") << file.encode();
  const auto opened = Engine::open(options(), [](uint64_t, uint64_t) {});
  ASSERT_FALSE(opened.ok());
  EXPECT_EQ(opened.error().field, "formatNewer");
}

TEST_F(EngineNode, refusesADamagedLogAndALogThatIsGone) {
  {
    Node node(options());
    for (int round = 0; round < 10; ++round) node.enqueue("mail", {std::string(1000, 'x')});
  }
  const std::string log = path + "/shard-0/log";
  std::filesystem::copy(log, scratch + "/log");
  const auto segment = std::filesystem::directory_iterator(log)->path();
  {
    std::fstream file(segment, std::ios::in | std::ios::out | std::ios::binary);
    file.seekp(96 + 100);
    file.put('\xff');
  }
  auto opened = Engine::open(options(), [](uint64_t, uint64_t) {});
  ASSERT_FALSE(opened.ok());
  EXPECT_EQ(opened.error().field, "damaged");
  EXPECT_NE(opened.error().message.find(segment.filename().string()), std::string::npos) << opened.error().message;

  std::filesystem::remove_all(log);
  opened = Engine::open(options(), [](uint64_t, uint64_t) {});
  ASSERT_FALSE(opened.ok()) << "an empty log does not make an empty node";
  EXPECT_EQ(opened.error().field, "damaged");

  std::filesystem::remove_all(log);
  std::filesystem::rename(scratch + "/log", log);
  Node node(options());
  EXPECT_EQ(node.fetch("mail", 100).jobs.size(), 10u) << "with the good log it goes on";
}

TEST_F(EngineNode, filesOfTheStateArePrivate) {
  { Node node(options()); }
  for (const auto& item : std::filesystem::recursive_directory_iterator(path)) {
    const auto others = std::filesystem::perms::group_all | std::filesystem::perms::others_all;
    EXPECT_EQ(item.status().permissions() & others, std::filesystem::perms::none) << item.path();
  }
}

TEST_F(EngineNode, aDelayedJobBecomesReadyByItselfAndWakesWhoWaits) {
  Node node(options());
  const uint64_t before = systemClock().bootMs();
  node.enqueue("mail", {"later"}, 150);
  const Answer empty = node.fetchAnswer("mail", 1);
  ASSERT_TRUE(empty.result.jobs.empty());
  Result<uint64_t> parked = node.park("mail", empty);
  ASSERT_TRUE(parked.ok());
  ASSERT_GT(parked.value(), 0u);
  EXPECT_EQ(node.nextWake(), empty.slot);
  EXPECT_GE(systemClock().bootMs() - before, 150u);
  EXPECT_EQ(node.fetch("mail", 1).jobs.size(), 1u);
}

TEST_F(EngineNode, anEnqueueWakesAtMostAsManyAsItServes) {
  Node node(options());
  std::vector<uint32_t> slots;
  for (int caller = 0; caller < 3; ++caller) {
    const Answer empty = node.fetchAnswer("mail", 1);
    ASSERT_GT(node.park("mail", empty).value(), 0u);
    slots.push_back(empty.slot);
  }
  node.enqueue("mail", {"one"});
  EXPECT_EQ(node.nextWake(), slots[0]) << "the oldest";
  EXPECT_FALSE(node.engine->unpark(node.worker, slots[0])) << "its wake is under way";
  EXPECT_TRUE(node.engine->unpark(node.worker, slots[1]));
  // It cannot use it: the next one may.
  node.engine->passWake(node.worker, slots[0]);
  EXPECT_EQ(node.nextWake(), slots[2]);
}

TEST_F(EngineNode, aLeaseEndsAtItsDeadlineWithoutAnyRequest) {
  Node node(options());
  node.enqueue("mail", {"one"});
  const CommandResult first = node.fetch("mail", 1, 120);
  ASSERT_EQ(first.jobs.size(), 1u);
  const Answer empty = node.fetchAnswer("mail", 1);
  ASSERT_GT(node.park("mail", empty).value(), 0u);
  EXPECT_EQ(node.nextWake(), empty.slot);
  const CommandResult second = node.fetch("mail", 1);
  ASSERT_EQ(second.jobs.size(), 1u);
  EXPECT_EQ(second.jobs[0].id, first.jobs[0].id);
  EXPECT_GT(second.token, first.token);
}

TEST_F(EngineNode, answersReadsOfWhatWasAnswered) {
  Node node(options());
  node.enqueue("mail", {"one", "two"});
  auto command = std::make_shared<ReadCommand>();
  command->method = codec::Method::serverInfo;
  command->tenant = codec::defaultTenant;
  const auto info = node.read(command);
  EXPECT_EQ(info->server.nodeId, 1u);
  EXPECT_EQ(info->server.leaderId, 1u);
  EXPECT_GE(info->server.term, 1u);
  EXPECT_FALSE(info->server.clusterId.isZero());
  command = std::make_shared<ReadCommand>(*command);
  command->method = codec::Method::getQueue;
  command->queue = "mail";
  const auto queue = node.read(command);
  ASSERT_EQ(queue->code, schema::ErrorCode::OK);
  ASSERT_EQ(queue->queues.size(), 1u);
  EXPECT_EQ(queue->queues[0].ready, 2u);
}

TEST_F(EngineNode, theStopwatchGoesOnAfterARestart) {
  EngineOptions some = options();
  LeaseId lease;
  {
    Node node(some);
    node.enqueue("mail", {"one"});
    lease = node.fetch("mail", 1, 60'000).lease;
  }
  Node node(some);
  // The lease did not end with the process.
  EXPECT_TRUE(node.fetch("mail", 1).jobs.empty());
}

TEST_F(EngineNode, refusesWorkWhileItCloses) {
  Node node(options());
  node.enqueue("mail", {"one"});
  node.engine->close();
  node.isClosed = true;
  Proposal proposal = node.proposalOf(enqueueRequest("mail", {"late"}));
  EXPECT_EQ(node.engine->propose(std::move(proposal)), schema::ErrorCode::SHUTTING_DOWN);
  ReadRequest request;
  request.worker = node.worker;
  request.command = std::make_shared<ReadCommand>();
  EXPECT_EQ(node.engine->read(request), schema::ErrorCode::SHUTTING_DOWN);
  node.engine->close();  // a second time does nothing
}

TEST_F(EngineNode, everythingTakenIsAnsweredWhenItClosesMeanwhile) {
  Node node(options());
  std::vector<uint32_t> taken;
  std::promise<void> begun;
  std::thread proposer([&node, &taken, &begun] {
    for (int count = 0;; ++count) {
      Proposal proposal = node.proposalOf(enqueueRequest("mail", {std::string(200, 'q')}));
      const uint32_t ticket = proposal.ticket;
      const schema::ErrorCode code = node.engine->propose(std::move(proposal));
      if (code == schema::ErrorCode::SHUTTING_DOWN) return;
      ASSERT_TRUE(code == schema::ErrorCode::OK || code == schema::ErrorCode::BUSY);
      if (code == schema::ErrorCode::OK) taken.push_back(ticket);
      if (count == 20) begun.set_value();
    }
  });
  begun.get_future().wait();
  node.engine->close();
  node.isClosed = true;
  proposer.join();
  node.takeAll();
  size_t stored = 0;
  for (const uint32_t ticket : taken) {
    const auto found = node.entries.find(ticket);
    ASSERT_NE(found, node.entries.end()) << ticket;
    if (found->second.results.at(0).code == schema::ErrorCode::OK) ++stored;
  }
  EXPECT_GT(stored, 0u);
  node.forget();
  Node after(options());
  EXPECT_EQ(after.readyIn("mail"), stored);
}

TEST_F(EngineNode, proposalsAboveTheBoundAreBusy) {
  EngineOptions few = options();
  few.proposalsMax = 1;
  Node node(few);
  bool wasBusy = false;
  size_t taken = 0;
  for (int count = 0; count < 20'000 && !wasBusy; ++count) {
    const schema::ErrorCode code = node.engine->propose(node.proposalOf(enqueueRequest("mail", {"x"})));
    wasBusy = code == schema::ErrorCode::BUSY;
    if (code == schema::ErrorCode::OK) ++taken;
  }
  EXPECT_TRUE(wasBusy);
  node.waitForEntries(taken);
  EXPECT_EQ(node.enqueue("mail", {"y"}).code, schema::ErrorCode::OK);
}

TEST_F(EngineNode, aDiskAtItsReserveRefusesEnqueuesOnly) {
  EngineOptions full = options();
  {
    Node node(full);
    node.enqueue("mail", {"one"});
  }
  full.diskReserveBytes = UINT64_MAX / 32;
  Node node(full);
  node.takeAll();
  EXPECT_NE(node.stateBits & 1u << static_cast<uint32_t>(schema::EngineState::DISK_FULL), 0u);
  EXPECT_NE(node.stateBits & 1u << static_cast<uint32_t>(schema::EngineState::SERVING), 0u);
  EXPECT_NE(node.stateBits & 1u << static_cast<uint32_t>(schema::EngineState::LEADING), 0u);
  EXPECT_EQ(node.engine->propose(node.proposalOf(enqueueRequest("mail", {"two"}))), schema::ErrorCode::DISK_FULL);
  const CommandResult fetched = node.fetch("mail", 1);
  ASSERT_EQ(fetched.jobs.size(), 1u);
  EXPECT_EQ(node.ack(fetched.lease, {fetched.jobs[0].id}).accepted, 1u);
}

TEST_F(EngineNode, theLogIsCutBehindTheDurableState) {
  EngineOptions small = options();
  small.logSegmentBytes = 1 << 20;
  small.logTrailingBytes = 2 << 20;
  // Not flushed before the end, so that nothing is cut before it.
  small.writeBufferBytes = 256 << 20;
  const auto logBytes = [this] {
    uint64_t bytes = 0;
    for (const auto& item : std::filesystem::directory_iterator(path + "/shard-0/log")) bytes += item.file_size();
    return bytes;
  };
  {
    Node node(small);
    for (int count = 0; count < 100; ++count) node.enqueue("mail", {std::string(100'000, 'z')});
    EXPECT_GT(logBytes(), 9u << 20);
  }
  EXPECT_LT(logBytes(), 5u << 20) << "the final flush made the rest durable";
  Node node(small);
  EXPECT_EQ(node.readyIn("mail"), 100u);
}

TEST_F(EngineNode, statusIsOneObject) {
  Node node(options());
  const std::string status = node.engine->statusJson();
  EXPECT_TRUE(status.starts_with("{") && status.ends_with("}"));
  EXPECT_NE(status.find("\"leads\":true"), std::string::npos) << status;
  EXPECT_EQ(status.find(",}"), std::string::npos);
}

}  // namespace
}  // namespace capstan::engine
