// The life of jobs in the state machine: order, leases and their end, failures, delays, death and deletion. Owns
// nothing. Driven through entries made of real requests, read back through results and reads.
#include "test/fsm_support.h"

namespace capstan::fsm {
namespace {

using Payloads = std::vector<std::string>;

TEST(FsmLease, aStrangeLeaseSettlesNothing) {
  Node node;
  const auto ids = node.enqueue("q", {"a"});
  LeaseId strange;
  strange.bytes.fill(3);
  const CommandResult refused = node.ack(strange, ids);
  EXPECT_EQ(refused.accepted, 0u);
  ASSERT_EQ(refused.refused.size(), 1u);
  EXPECT_EQ(refused.refused[0].code, ErrorCode::LEASE_LOST);
  EXPECT_EQ(node.info("q").ready, 1u);
}

TEST(FsmLease, anExtendedDeadlineSurvivesARestart) {
  Node node;
  node.enqueue("q", {"a"});
  const CommandResult granted = node.fetch({"q"}, 1, 1000);
  const CommandResult extended = node.run<schema::ExtendRequest>(Method::extend, [&](auto body) {
    body.setLease(capnp::Data::Reader(granted.lease.bytes.data(), 16));
    body.setLeaseMs(10'000);
  });
  ASSERT_EQ(extended.accepted, 1u);
  node.machine->flush(true, true);
  node.restart();
  node.elapsedMs += 5000;
  node.tick();
  EXPECT_EQ(node.ack(granted.lease, idsOf(granted)).accepted, 1u);
}

TEST(FsmLease, settlesNothingOfAnotherOne) {
  Node node;
  node.enqueue("q", {"a", "b"});
  const CommandResult mine = node.fetch({"q"});
  const CommandResult theirs = node.fetch({"q"});
  EXPECT_EQ(node.ack(mine.lease, idsOf(theirs)).accepted, 0u);
  EXPECT_EQ(node.fail(mine.lease, idsOf(theirs)[0]).accepted, 0u);
  // One that was granted anew belongs to the later grant alone, though the earlier one still holds other jobs.
  node.elapsedMs += 60'000;
  node.tick();
  const CommandResult again = node.fetch({"q"}, 2);
  ASSERT_EQ(again.jobs.size(), 2u);
  EXPECT_GT(again.token, theirs.token);
  EXPECT_EQ(node.ack(theirs.lease, idsOf(again)).accepted, 0u);
  EXPECT_EQ(node.ack(again.lease, idsOf(again)).accepted, 2u);
}

TEST(FsmLease, isOverFromItsDeadlineOnThoughNothingSweptIt) {
  Node node;
  node.enqueue("q", {"a"});
  const CommandResult granted = node.fetch({"q"}, 1, 1000);
  node.elapsedMs += 1000;
  EXPECT_EQ(node.ack(granted.lease, idsOf(granted)).accepted, 0u);
  EXPECT_EQ(node.fail(granted.lease, granted.jobs[0].id).accepted, 0u);
  EXPECT_TRUE(node.fetch({"q"}).jobs.empty()) << "not swept yet: it still counts as leased";
  node.tick();
  const CommandResult again = node.fetch({"q"});
  ASSERT_EQ(idsOf(again), idsOf(granted));
  EXPECT_EQ(again.jobs[0].attempt, 2u);
  EXPECT_GT(again.token, granted.token);
  EXPECT_NE(again.lease, granted.lease);
  EXPECT_EQ(node.ack(granted.lease, idsOf(granted)).accepted, 0u) << "the old lease acks nothing";
  EXPECT_EQ(node.ack(again.lease, idsOf(again)).accepted, 1u);
  EXPECT_EQ(node.info("q").ready + node.info("q").leased, 0u);
}

TEST(FsmLease, partlyClosedSurvivesARestart) {
  Node node;
  const auto ids = node.enqueue("q", {"a", "b", "c"});
  const CommandResult granted = node.fetch({"q"}, 3, 1000);
  EXPECT_EQ(node.ack(granted.lease, {ids[1]}).accepted, 1u);
  node.machine->flush(true, true);
  node.restart();
  EXPECT_EQ(node.ack(granted.lease, {ids[1]}).accepted, 0u) << "acked once";
  const CommandResult extended = node.run<schema::ExtendRequest>(Method::extend, [&](auto body) {
    body.setLease(capnp::Data::Reader(granted.lease.bytes.data(), 16));
    body.setLeaseMs(60'000);
  });
  EXPECT_EQ(extended.accepted, 2u);
  node.elapsedMs += 30'000;
  node.machine->flush(true, true);
  node.restart();
  node.tick();
  EXPECT_TRUE(node.fetch({"q"}, 3).jobs.empty()) << "extended";
  EXPECT_EQ(node.ack(granted.lease, {ids[0], ids[2]}).accepted, 2u);
}

TEST(FsmOrder, firstInFirstOutWithinALaneAndHighPriorityFirst) {
  Node node;
  node.enqueue("q", {"a", "b"});
  node.enqueue("q", {"high"}, 9);
  node.enqueue("q", {"c"});
  EXPECT_EQ(payloadsOf(node.fetch({"q"}, 2)), (Payloads{"high", "a"}));
  EXPECT_EQ(payloadsOf(node.fetch({"q"}, 9)), (Payloads{"b", "c"}));
}

TEST(FsmOrder, releasedJobsComeBackInPlaceUncounted) {
  Node node;
  node.enqueue("q", {"a", "b", "c"});
  const CommandResult granted = node.fetch({"q"}, 2);
  const CommandResult released = node.run<schema::ReleaseRequest>(Method::release, [&](auto body) {
    body.setLease(capnp::Data::Reader(granted.lease.bytes.data(), 16));
    body.setAll(true);
  });
  EXPECT_EQ(released.accepted, 2u);
  const CommandResult again = node.fetch({"q"}, 3);
  EXPECT_EQ(payloadsOf(again), (Payloads{"a", "b", "c"}));
  EXPECT_EQ(again.jobs[0].attempt, 1u);
}

TEST(FsmOrder, callersOfOneEntryTakeOneJobARound) {
  Node node;
  node.enqueue("q", {"1", "2", "3", "4", "5"});
  const auto first = node.fetchRequest({"q"}, 3);
  const auto second = node.fetchRequest({"q"}, 3);
  const auto results = node.runAll({first.get(), second.get()});
  EXPECT_EQ(payloadsOf(results[0]), (Payloads{"1", "3", "5"}));
  EXPECT_EQ(payloadsOf(results[1]), (Payloads{"2", "4"}));
  EXPECT_NE(results[0].lease, results[1].lease) << "a lease of its own";
}

TEST(FsmOrder, groupsTakeTurnsByTheirQuantum) {
  Node node;
  node.limits.queueDefaults.groupQuantum = 2;
  node.enqueue("q", {"a1", "a2", "a3", "a4", "a5"}, 0, "a");
  node.enqueue("q", {"b1", "b2", "b3"}, 0, "b");
  node.enqueue("q", {"c1"}, 0, "c");
  Payloads order;
  for (int turn = 0; turn < 9; ++turn) {
    order.push_back(payloadsOf(node.fetch({"q"})).at(0));
    if (turn == 3) {
      node.machine->flush(true, true);
      node.restart();
    }
  }
  EXPECT_EQ(order, (Payloads{"a1", "a2", "b1", "b2", "c1", "a3", "a4", "b3", "a5"}));
}

TEST(FsmFetch, bytesMaxStopsButTheFirstJobIsAlwaysGranted) {
  Node node;
  node.enqueue("q", {std::string(1000, 'x'), std::string(10, 'y'), std::string(1000, 'z')});
  const auto request = node.make<schema::FetchRequest>(Method::fetch, [](auto body) {
    body.initQueues(1).set(0, "q");
    body.setJobsMax(10);
    body.setBytesMax(100);
  });
  EXPECT_EQ(node.runAll({request.get()})[0].jobs.size(), 1u);
  EXPECT_EQ(node.runAll({request.get()})[0].jobs.size(), 1u) << "stops at the first that does not fit";
}

TEST(FsmFetch, seesWhatItsOwnEntryEnqueued) {
  Node node;
  const auto enqueue = node.make<schema::EnqueueRequest>(Method::enqueue, [](auto body) {
    body.setQueue("q");
    body.initJobs(1)[0].setPayload(codec::dataOf("now"));
  });
  const auto fetch = node.fetchRequest({"q"}, 1);
  const auto results = node.runAll({fetch.get(), enqueue.get()});
  EXPECT_EQ(payloadsOf(results[0]), (Payloads{"now"}));
}

TEST(FsmFetch, leasedJobsAreBounded) {
  Node node;
  node.limits.stateLimits.leasedJobsMax = 2;
  node.enqueue("q", {"a", "b", "c"});
  EXPECT_EQ(node.fetch({"q"}, 3).jobs.size(), 2u);
  const CommandResult full = node.fetch({"q"}, 1);
  EXPECT_EQ(full.code, ErrorCode::BUSY);
  EXPECT_GT(full.error->retryAfterMs, 0u);
}

TEST(FsmDelay, aDelayedJobIsReadyWhenATickPassesItsInstant) {
  Node node;
  const auto ids = node.enqueue("q", {"later"}, 0, "", 500);
  EXPECT_EQ(node.info("q").scheduled, 1u);
  EXPECT_EQ(node.machine->nextDue().elapsedMs, node.elapsedMs + 500);
  node.elapsedMs += 499;
  node.tick();
  EXPECT_TRUE(node.fetch({"q"}).jobs.empty());
  node.elapsedMs += 1;
  node.tick();
  EXPECT_EQ(idsOf(node.fetch({"q"})), ids);
  EXPECT_EQ(node.info("q").scheduled, 0u);
}

TEST(FsmDelay, aWallClockThatJumpsExpiresNothing) {
  Node node;
  node.enqueue("q", {"a"});
  const CommandResult granted = node.fetch({"q"}, 1, 5000);
  node.wallMs += 365ll * 24 * 3600 * 1000;
  node.tick();
  EXPECT_TRUE(node.fetch({"q"}).jobs.empty());
  node.wallMs -= 2ll * 365 * 24 * 3600 * 1000;
  node.elapsedMs += 4999;
  node.tick();
  EXPECT_EQ(node.ack(granted.lease, idsOf(granted)).accepted, 1u);
  const auto first = node.enqueue("q", {"b"});
  const auto second = node.enqueue("q", {"c"});
  EXPECT_LT(first[0], second[0]) << "ids grow though the wall clock went back";
}

TEST(FsmFail, waitsByTheBackOffAndDiesAfterTheLastAttempt) {
  Node node;
  node.limits.queueDefaults.maxAttempts = 3;
  node.limits.queueDefaults.backoffJitterPercent = 0;
  const auto ids = node.enqueue("q", {"work"});
  const uint64_t waits[] = {1000, 2000};
  for (uint32_t attempt = 1; attempt <= 3; ++attempt) {
    const CommandResult granted = node.fetch({"q"});
    ASSERT_EQ(idsOf(granted), ids) << attempt;
    EXPECT_EQ(granted.jobs[0].attempt, attempt);
    EXPECT_EQ(node.fail(granted.lease, ids[0]).accepted, 1u);
    if (attempt == 3) break;
    node.elapsedMs += waits[attempt - 1] - 1;
    node.tick();
    EXPECT_TRUE(node.fetch({"q"}).jobs.empty());
    node.elapsedMs += 1;
    node.tick();
  }
  EXPECT_EQ(node.info("q").dead, 1u);
  EXPECT_EQ(node.info("q").deadTotal, 1u);
  ReadCommand list;
  list.method = Method::listDead;
  list.tenant = codec::defaultTenant;
  list.queue = "q";
  list.limit = 10;
  list.payloadBytesMax = 100;
  const ReadResult dead = node.machine->read(list);
  ASSERT_EQ(dead.jobs.size(), 1u);
  EXPECT_EQ(dead.jobs[0].lastError, "no luck");
  EXPECT_EQ(dead.jobs[0].attempts, 3u);
  EXPECT_EQ(dead.jobs[0].deadMs, node.wallMs);
}

TEST(FsmFail, redriveGivesFreshAttempts) {
  Node node;
  const auto ids = node.enqueue("q", {"work", "other"});
  const CommandResult granted = node.fetch({"q"}, 2);
  node.fail(granted.lease, ids[0], true);
  const CommandResult redriven = node.run<schema::DeadRequest>(Method::redriveDead, [](auto body) {
    body.setQueue("q");
    body.setAll(true);
  });
  EXPECT_EQ(redriven.operationDone, 1u);
  EXPECT_TRUE(redriven.operationFinished);
  const CommandResult again = node.fetch({"q"}, 5);
  ASSERT_EQ(idsOf(again), std::vector<JobId>{ids[0]});
  EXPECT_EQ(again.jobs[0].attempt, 1u);
  EXPECT_EQ(payloadsOf(again), Payloads{"work"});
}

TEST(FsmFail, deadJobsGoWhenTheirRetentionIsOver) {
  Node node;
  node.limits.queueDefaults.deadKeepMs = 10'000;
  const auto ids = node.enqueue("q", {"a", "b"});
  const CommandResult granted = node.fetch({"q"}, 2);
  node.fail(granted.lease, ids[0], true);
  node.elapsedMs += 6000;
  node.fail(granted.lease, ids[1], true);
  EXPECT_EQ(node.info("q").dead, 2u);
  node.elapsedMs += 4000;
  EXPECT_EQ(node.machine->nextDue().elapsedMs, node.elapsedMs);
  node.tick();
  EXPECT_EQ(node.info("q").dead, 1u);
  node.elapsedMs += 6000;
  node.tick();
  EXPECT_EQ(node.info("q").dead, 0u);
  EXPECT_EQ(node.info("q").bytes, 0u);
}

TEST(FsmDelete, aLeasedJobGoesWhenItsItemCloses) {
  Node node;
  const auto ids = node.enqueue("q", {"a", "b", "c"}, 0, "g");
  const CommandResult granted = node.fetch({"q"}, 1, 1000);
  const auto remove = [&](const std::vector<JobId>& which) {
    return node.run<schema::DeleteJobsRequest>(Method::deleteJobs, [&](auto body) {
      auto list = body.initIds(static_cast<uint32_t>(which.size()));
      for (uint32_t at = 0; at < which.size(); ++at) list.set(at, capnp::Data::Reader(which[at].bytes.data(), 16));
    });
  };
  JobId strange;
  strange.bytes.fill(1);
  const CommandResult removed = remove({ids[0], ids[1], strange});
  EXPECT_EQ(removed.accepted, 2u);
  ASSERT_EQ(removed.refused.size(), 1u);
  EXPECT_EQ(removed.refused[0].code, ErrorCode::NOT_FOUND);
  node.machine->flush(true, true);
  node.restart();
  node.elapsedMs += 1000;
  node.tick();
  EXPECT_EQ(idsOf(node.fetch({"q"}, 5)), std::vector<JobId>{ids[2]}) << "the doomed one did not come back";
  EXPECT_EQ(node.info("q").groups, 1u);
}

TEST(FsmDelete, aQueueGoesWithEverythingInItInSteps) {
  Node node;
  const Payloads many(900, "x");
  node.enqueue("q", many, 1, "g");
  node.enqueue("q", many, 2);
  node.enqueue("q", Payloads(50, "later"), 0, "h", 100'000);
  node.enqueue("other", {"kept"}, 0, "", 100'000);
  const CommandResult granted = node.fetch({"q"}, 10);
  node.fail(granted.lease, granted.jobs[0].id, true);
  const CommandResult begun =
      node.run<schema::DeleteQueueRequest>(Method::deleteQueue, [](auto body) { body.setQueue("q"); });
  EXPECT_NE(begun.operation, 0u);
  EXPECT_FALSE(begun.operationFinished);
  EXPECT_TRUE(node.machine->nextDue().now);
  EXPECT_TRUE(node.info("q").deleting);
  const CommandResult refused = node.run<schema::EnqueueRequest>(Method::enqueue, [](auto body) {
    body.setQueue("q");
    body.initJobs(1);
  });
  EXPECT_EQ(refused.code, ErrorCode::QUEUE_DELETING);
  node.machine->flush(true, true);
  node.restart();
  for (int turn = 0; turn < 100 && node.machine->nextDue().now; ++turn) node.tick(100);
  ReadCommand asking;
  asking.method = Method::getQueue;
  asking.tenant = codec::defaultTenant;
  asking.queue = "q";
  EXPECT_EQ(node.machine->read(asking).code, ErrorCode::NOT_FOUND);
  asking.method = Method::getOperation;
  asking.operation = begun.operation;
  const ReadResult operation = node.machine->read(asking);
  EXPECT_TRUE(operation.operationFinished);
  EXPECT_EQ(operation.operationDone, 1850u);
  EXPECT_EQ(node.info("other").scheduled, 1u);
  EXPECT_EQ(node.enqueue("q", {"again"}).size(), 1u) << "the name is free";
  EXPECT_EQ(payloadsOf(node.fetch({"q"}, 5)), Payloads{"again"});
}

}  // namespace
}  // namespace capstan::fsm
