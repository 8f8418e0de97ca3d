// Calls that end in other ways than by their reply: canceled, or with their connection, and fetches that sleep, wake
// and expire. No grant may be lost on the way, and each call is told to have ended once.
#include <gtest/gtest.h>

#include "test/engine_worker_support.h"

namespace capstan::engine {
namespace {

TEST_F(EngineWorker, aCallCanceledBeforeItsEntryIsDropped) {
  const Record record = call(rpc::enqueueOf(1));
  const auto records = receive(rpc::finishOf(1));
  ASSERT_EQ(records.size(), 1u);
  EXPECT_EQ(records[0][CallWord::CLASS], static_cast<uint32_t>(CallClass::CANCELED));
  EXPECT_EQ(records[0].handle(), record.handle());
  EXPECT_EQ(propose({record.handle()}), 0) << "all of its calls were dropped";
  collect();
  expectDropped(record);
  EXPECT_TRUE(frames().at(0).answer().isCanceled());
  EXPECT_EQ(eventsOf(EventKind::WRITE).at(0).words[4], 0u);
}

TEST_F(EngineWorker, aCanceledCommandUnderWayIsDroppedWithItsResult) {
  const Record record = call(rpc::enqueueOf(1));
  const Record other = call(rpc::enqueueOf(2));
  propose({record.handle(), other.handle()});
  receive(rpc::finishOf(1));
  collect();
  EXPECT_TRUE(eventsOf(EventKind::DROPPED).empty()) << "its memory is still held";
  ASSERT_EQ(frames().size(), 1u);
  EXPECT_TRUE(frames()[0].answer().isCanceled());
  engine.finish({});
  collect();
  expectDropped(record);
  ASSERT_EQ(frames().size(), 2u);
  EXPECT_EQ(frames()[1].answer().getAnswerId(), 2u);
}

TEST_F(EngineWorker, aSleeperWokenEarlyGoesWithTheEnqueueThatServesIt) {
  const Record fetch = call(rpc::fetchOf(1, 60'000));
  propose({fetch.handle()});
  engine.finish(one(CommandResult()));
  collect();
  ASSERT_TRUE(worker->park(fetch.handle()));
  events.clear();

  const Record delayed = call(rpc::callOf<schema::EnqueueRequest>(2, rpc::jobQueueId, 0, [](auto body) {
    body.setQueue("mail");
    body.initJobs(1)[0].setDelayMs(1000);
  }));
  const Record enqueue = call(rpc::enqueueOf(3));
  std::array<uint32_t, 4> woken{};
  engine.wakesEarly = {fetch.handle()};
  ASSERT_EQ(worker->wakeEarly(std::array{delayed.handle(), enqueue.handle()}, woken), 1u);
  ASSERT_EQ(engine.arrived.size(), 1u) << "what is delayed serves nobody yet";
  EXPECT_EQ(engine.arrived[0].queueHash, engine.parks[0].queues[0]);
  EXPECT_EQ(engine.arrived[0].jobs, 1u);
  EXPECT_EQ(woken[0], fetch.handle());
  EXPECT_GT(propose({enqueue.handle(), fetch.handle()}), 0);
  collect();
  EXPECT_TRUE(eventsOf(EventKind::WAKE).empty());
}

TEST_F(EngineWorker, aSleeperWokenEarlyThatGoesPassesItsWakeOn) {
  const Record fetch = call(rpc::fetchOf(1, 60'000));
  propose({fetch.handle()});
  engine.finish(one(CommandResult()));
  collect();
  ASSERT_TRUE(worker->park(fetch.handle()));
  const Record enqueue = call(rpc::enqueueOf(2));
  std::array<uint32_t, 4> woken{};
  engine.wakesEarly = {fetch.handle()};
  ASSERT_EQ(worker->wakeEarly(std::array{enqueue.handle()}, woken), 1u);
  receive(rpc::finishOf(1));
  collect();
  EXPECT_EQ(engine.passed, std::vector<uint32_t>{fetch.handle()});
}

TEST_F(EngineWorker, aGrantThatNobodyWaitsForIsGivenBack) {
  const Record record = call(rpc::fetchOf(1));
  propose({record.handle()});
  receive(rpc::finishOf(1));
  engine.finish(one(granted()));
  collect();
  expectDropped(record);
  ASSERT_EQ(engine.proposals.size(), 1u);
  const Proposal& unsend = engine.proposals[0];
  std::vector<uint64_t> aligned(unsend.entry.size() / 8 + 1);
  std::memcpy(aligned.data(), unsend.entry.data(), unsend.entry.size());
  const auto entry = codec::openEntry({reinterpret_cast<const uint8_t*>(aligned.data()), unsend.entry.size()});
  ASSERT_TRUE(entry.ok());
  ASSERT_EQ(entry.value().root().getCommands().size(), 1u);
  EXPECT_EQ(entry.value().root().getCommands()[0].getUnsend().getLease()[0], 0xab);
  events.clear();
  engine.finish({});
  collect();
  EXPECT_TRUE(events.empty()) << "JavaScript knows nothing of that entry";
}

TEST_F(EngineWorker, aGrantIsGivenBackWhenItsConnectionGoesBeforeItIsWritten) {
  const Record record = call(rpc::fetchOf(1));
  propose({record.handle()});
  worker->setWritable(connection, false);
  engine.finish(one(granted()));
  collect();
  EXPECT_TRUE(engine.proposals.empty());
  worker->connectionClose(connection);
  EXPECT_EQ(engine.closedConnections, 1);
  collect();
  expectDropped(record);
  EXPECT_EQ(engine.proposals.size(), 1u);
}

TEST_F(EngineWorker, aGrantIsGivenBackWhenItIsCanceledBeforeItIsWritten) {
  const Record record = call(rpc::fetchOf(1));
  propose({record.handle()});
  worker->setWritable(connection, false);
  engine.finish(one(granted()));
  collect();
  receive(rpc::finishOf(1));
  worker->setWritable(connection, true);
  collect();
  expectDropped(record);
  ASSERT_EQ(frames().size(), 1u) << "one Return a question";
  EXPECT_TRUE(frames()[0].answer().isCanceled());
  EXPECT_EQ(engine.proposals.size(), 1u);
}

TEST_F(EngineWorker, aGrantOfWhichBytesWentOutStays) {
  const Record record = call(rpc::fetchOf(1));
  propose({record.handle()});
  engine.finish(one(granted(std::string(100'000, 'p'))));
  collect(4096);
  worker->connectionClose(connection);
  collectAll(4096);
  expectDropped(record);
  EXPECT_TRUE(engine.proposals.empty());
}

TEST_F(EngineWorker, aGrantOfASessionStays) {
  const Record record = call(rpc::callOf<schema::FetchRequest>(1, rpc::jobQueueId, 1, [](auto body) {
    body.initQueues(1).set(0, "mail");
    body.initRequest().setSession(5);
    body.getRequest().setSequence(1);
  }));
  propose({record.handle()});
  receive(rpc::finishOf(1));
  engine.finish(one(granted()));
  collect();
  expectDropped(record);
  EXPECT_TRUE(engine.proposals.empty());
}

TEST_F(EngineWorker, givingBackIsTriedAgainWhileTheEngineIsBusy) {
  const Record record = call(rpc::fetchOf(1));
  propose({record.handle()});
  receive(rpc::finishOf(1));
  engine.finish(one(granted()));
  engine.refuseWith = ErrorCode::BUSY;
  collect();
  EXPECT_TRUE(engine.proposals.empty());
  engine.refuseWith = ErrorCode::OK;
  collect();
  EXPECT_EQ(engine.proposals.size(), 1u);
}

TEST_F(EngineWorker, aJobThatIsGoneIsLeftOut) {
  const Record record = call(rpc::fetchOf(1));
  propose({record.handle()});
  CommandResult result = granted();
  result.jobs.emplace_back();
  engine.finish(one(std::move(result)));
  collect();
  EXPECT_EQ(frames().at(0).response<schema::FetchResponse>().getJobs().size(), 1u);
}

TEST_F(EngineWorker, anEmptyFetchThatDoesNotWaitIsAnswered) {
  const Record record = call(rpc::fetchOf(1));
  propose({record.handle()});
  engine.finish({}, 123);
  collect();
  EXPECT_TRUE(eventsOf(EventKind::EMPTY).empty());
  EXPECT_EQ(frames().at(0).response<schema::FetchResponse>().getAppliedIndex(), 123u);
}

TEST_F(EngineWorker, aWaitingFetchSleepsWakesAndKeepsItsPlace) {
  const Record record = emptyFetch(1, 100);
  ASSERT_EQ(eventsOf(EventKind::EMPTY).size(), 1u);
  EXPECT_EQ(eventsOf(EventKind::EMPTY)[0].words[1], record.handle());
  ASSERT_TRUE(worker->park(record.handle()));
  ASSERT_EQ(engine.parks.size(), 1u);
  EXPECT_EQ(engine.parks[0].emptyAtIndex, 100u);
  EXPECT_EQ(engine.parks[0].arrival, 0u);
  EXPECT_EQ(engine.parks[0].queues.size(), 1u);
  engine.wake(record.handle());
  collect();
  ASSERT_EQ(eventsOf(EventKind::WAKE).size(), 1u);
  EXPECT_FALSE(worker->expire(record.handle())) << "a wake is under way";
  EXPECT_GT(propose({record.handle()}), 0);
  engine.finish({}, 200);
  collect();
  EXPECT_EQ(engine.settled, std::vector<uint32_t>{record.handle()});
  ASSERT_TRUE(worker->park(record.handle()));
  EXPECT_EQ(engine.parks[1].arrival, 1u);
  EXPECT_EQ(engine.parks[1].emptyAtIndex, 200u);
  EXPECT_TRUE(engine.passed.empty());
}

TEST_F(EngineWorker, aQueueThatMovedMeanwhileIsTriedAgain) {
  const Record record = emptyFetch();
  engine.queueMoved = true;
  EXPECT_FALSE(worker->park(record.handle()));
  EXPECT_GT(propose({record.handle()}), 0);
}

TEST_F(EngineWorker, noPlaceToSleepIsBusyAndEndsAsDropped) {
  const Record record = emptyFetch();
  engine.parkFull = true;
  EXPECT_TRUE(worker->park(record.handle()));
  collect();
  expectDropped(record);
  EXPECT_EQ(statusOf<schema::FetchResponse>(0), ErrorCode::BUSY);
  EXPECT_EQ(eventsOf(EventKind::WRITE).at(0).words[4], 0u) << "counted once";
}

TEST_F(EngineWorker, aParkedFetchExpiresEmpty) {
  const Record record = emptyFetch(1, 100);
  worker->park(record.handle());
  EXPECT_TRUE(worker->expire(record.handle()));
  collect();
  EXPECT_EQ(statusOf<schema::FetchResponse>(0), ErrorCode::OK);
  EXPECT_EQ(frames()[0].response<schema::FetchResponse>().getAppliedIndex(), 100u);
  EXPECT_EQ(eventsOf(EventKind::WRITE).at(0).words[5], record.held());
}

TEST_F(EngineWorker, anEmptyFetchMayExpireWithoutSleeping) {
  const Record record = emptyFetch();
  EXPECT_TRUE(worker->expire(record.handle()));
  collect();
  EXPECT_EQ(frames().size(), 1u);
}

TEST_F(EngineWorker, expiringComesTooLateForAWakeUnderWay) {
  const Record record = emptyFetch();
  worker->park(record.handle());
  engine.wake(record.handle());
  EXPECT_FALSE(worker->expire(record.handle()));
  collect();
  EXPECT_EQ(eventsOf(EventKind::WAKE).size(), 1u);
}

TEST_F(EngineWorker, aCanceledSleeperPassesItsWakeOn) {
  const Record asleep = emptyFetch(1);
  worker->park(asleep.handle());
  receive(rpc::finishOf(1));
  EXPECT_TRUE(engine.asleep.empty());
  EXPECT_TRUE(engine.passed.empty()) << "it had none";
  const Record woken = emptyFetch(2);
  worker->park(woken.handle());
  engine.wake(woken.handle());
  receive(rpc::finishOf(2));
  EXPECT_EQ(engine.passed, std::vector<uint32_t>{woken.handle()});
  events.clear();
  collect();
  EXPECT_TRUE(eventsOf(EventKind::WAKE).empty());
  const Record told = emptyFetch(3);
  worker->park(told.handle());
  engine.wake(told.handle());
  collect();
  worker->answer(told.handle(), static_cast<uint16_t>(ErrorCode::BUSY), 1);
  EXPECT_EQ(engine.passed.back(), told.handle());
}

TEST_F(EngineWorker, aClosedConnectionDropsItsCalls) {
  const Record open = call(rpc::enqueueOf(1));
  const Record proposed = call(rpc::enqueueOf(2));
  const Record parked = emptyFetch(3);
  worker->park(parked.handle());
  propose({proposed.handle()});
  events.clear();
  worker->connectionClose(connection);
  EXPECT_TRUE(engine.asleep.empty());
  collect();
  EXPECT_EQ(eventsOf(EventKind::DROPPED).size(), 2u);
  engine.finish({});
  collect();
  const auto dropped = eventsOf(EventKind::DROPPED);
  ASSERT_EQ(dropped.size(), 3u);
  EXPECT_EQ(dropped[2].words[1], proposed.handle());
  EXPECT_EQ(dropped[2].words[2], proposed.held());
  EXPECT_TRUE(eventsOf(EventKind::WRITE).empty());
  worker->answer(open.handle(), 3, 1);
  EXPECT_TRUE(worker->park(parked.handle()));
  EXPECT_FALSE(worker->expire(parked.handle()));
  worker->connectionClose(connection);
  EXPECT_EQ(engine.closedConnections, 1) << "what is gone is harmless";
}

TEST_F(EngineWorker, aReadThatNobodyWaitsForIsDropped) {
  const Bytes bytes =
      rpc::callOf<schema::GetQueueRequest>(1, rpc::jobQueueId, 12, [](auto body) { body.setQueue("a"); });
  const Record record = call(bytes);
  worker->read(record.handle());
  receive(rpc::finishOf(1));
  engine.finishRead(ReadResult());
  collect();
  expectDropped(record);
}

TEST_F(EngineWorker, shutdownEndsEverySleeper) {
  const Record asleep = emptyFetch(1);
  worker->park(asleep.handle());
  const Record woken = emptyFetch(2);
  worker->park(woken.handle());
  engine.wake(woken.handle());
  const Record open = call(rpc::fetchOf(3, 100));
  worker->shutdownCalls();
  collectAll();
  ASSERT_EQ(frames().size(), 2u);
  EXPECT_EQ(statusOf<schema::FetchResponse>(0), ErrorCode::SHUTTING_DOWN);
  EXPECT_EQ(statusOf<schema::FetchResponse>(1), ErrorCode::SHUTTING_DOWN);
  EXPECT_EQ(engine.passed, std::vector<uint32_t>{woken.handle()});
  EXPECT_GT(propose({open.handle()}), 0);
}

}  // namespace
}  // namespace capstan::engine
