// A listener worker below the boundary: from a socket's bytes to an entry and back to a slab. Each event's counts are
// checked, since JavaScript's budget of memory depends on them.
#include "engine/worker.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <set>

#include "test/engine_worker_support.h"

namespace capstan::engine {
namespace {

TEST_F(EngineWorker, aCallBecomesAnEntryAndAReply) {
  const Record record = call(rpc::enqueueOf(1));
  EXPECT_NE(record.handle(), 0u);
  EXPECT_EQ(record[CallWord::CLASS], static_cast<uint32_t>(CallClass::WRITE));
  EXPECT_EQ(record[CallWord::METHOD], 0u);
  EXPECT_NE(record[CallWord::QUEUE_KEY], 0u);
  EXPECT_EQ(record[CallWord::JOBS], 1u);
  const int32_t ticket = propose({record.handle()});
  ASSERT_GT(ticket, 0);
  ASSERT_EQ(engine.proposals.size(), 1u);
  EXPECT_TRUE(engine.proposals[0].enqueues);
  EXPECT_EQ(codec::readEntryHeader(engine.proposals[0].entry).value().commands, 1u);
  engine.finish(one(added()));
  collect();
  ASSERT_EQ(events.size(), 2u);
  EXPECT_EQ(events[0].kind, EventKind::ENTRY_DONE);
  EXPECT_EQ(events[0].words[1], static_cast<uint32_t>(ticket));
  EXPECT_EQ(events[1].kind, EventKind::WRITE);
  EXPECT_EQ(events[1].words[4], 1u);
  EXPECT_EQ(events[1].words[5], record.held());
  EXPECT_EQ(frames().at(0).response<schema::EnqueueResponse>().getIds().size(), 1u);
  EXPECT_FALSE(worker->moreToCollect());
}

TEST_F(EngineWorker, repliesOfOneConnectionTakeOneWrite) {
  std::vector<uint32_t> handles;
  uint32_t held = 0;
  for (uint32_t question = 1; question <= 20; question++) {
    const Record record = call(rpc::enqueueOf(question));
    handles.push_back(record.handle());
    held += record.held();
  }
  propose(handles);
  engine.finish({});
  collect();
  const auto writes = eventsOf(EventKind::WRITE);
  ASSERT_EQ(writes.size(), 1u);
  EXPECT_EQ(writes[0].words[4], 20u);
  EXPECT_EQ(writes[0].words[5], held);
  auto all = frames();
  ASSERT_EQ(all.size(), 20u);
  for (uint32_t i = 0; i < 20; i++) EXPECT_EQ(all[i].answer().getAnswerId(), i + 1);
}

TEST_F(EngineWorker, whatDoesNotFitWaitsForTheNextSlab) {
  std::vector<uint32_t> handles;
  for (uint32_t question = 1; question <= 10; question++) handles.push_back(call(rpc::fetchOf(question)).handle());
  propose(handles);
  std::vector<CommandResult> results;
  for (int i = 0; i < 10; i++) results.push_back(granted(std::string(500, 'p')));
  engine.finish(std::move(results));
  int turns = 0;
  do {
    collect(3000);
    turns++;
  } while (worker->moreToCollect());
  EXPECT_GT(turns, 3);
  auto all = frames();
  ASSERT_EQ(all.size(), 10u);
  for (uint32_t i = 0; i < 10; i++) {
    EXPECT_EQ(all[i].answer().getAnswerId(), i + 1);
    EXPECT_EQ(all[i].response<schema::FetchResponse>().getJobs()[0].getPayload().size(), 500u);
  }
}

TEST_F(EngineWorker, aReplyLargerThanASlabGoesInPieces) {
  const Record record = call(rpc::fetchOf(1));
  propose({record.handle()});
  engine.finish(one(granted(std::string(100'000, 'p'))));
  collect(4096);
  auto writes = eventsOf(EventKind::WRITE);
  ASSERT_EQ(writes.size(), 1u);
  EXPECT_EQ(writes[0].words[4], 0u) << "not finished yet";
  EXPECT_EQ(writes[0].words[5], 0u);
  collectAll(4096);
  writes = eventsOf(EventKind::WRITE);
  EXPECT_GT(writes.size(), 20u);
  EXPECT_EQ(writes.back().words[4], 1u);
  EXPECT_EQ(writes.back().words[5], record.held());
  EXPECT_EQ(frames().at(0).response<schema::FetchResponse>().getJobs()[0].getPayload().size(), 100'000u);
}

TEST_F(EngineWorker, aSlabMayLieAtAnyAddress) {
  const Record record = call(rpc::enqueueOf(1));
  propose({record.handle()});
  engine.finish(one(added()));
  std::vector<uint64_t> memory(1000);
  std::vector<uint32_t> words(8 * schema::EVENT_WORDS);
  const std::span<uint8_t> odd(reinterpret_cast<uint8_t*>(memory.data()) + 3, 4001);
  ASSERT_EQ(worker->collect(odd, words), 2u);
  Received reply(odd.subspan(words[schema::EVENT_WORDS + 2], words[schema::EVENT_WORDS + 3]));
  EXPECT_EQ(reply.answer().getAnswerId(), 1u);
}

TEST_F(EngineWorker, repliesWaitForAWritableConnectionInTheirOrder) {
  const uint32_t other = connectionWithObject();
  const Record first = call(rpc::enqueueOf(1));
  const Record second = call(rpc::enqueueOf(2));
  const Record elsewhere = call(rpc::enqueueOf(1), other);
  worker->setWritable(connection, false);
  propose({first.handle(), second.handle(), elsewhere.handle()});
  engine.finish({});
  collectAll();
  EXPECT_TRUE(written[connection].empty());
  EXPECT_EQ(frames(other).size(), 1u);
  EXPECT_FALSE(worker->moreToCollect()) << "no turn can do anything";
  worker->setWritable(connection, true);
  EXPECT_TRUE(worker->moreToCollect());
  collectAll();
  auto all = frames();
  ASSERT_EQ(all.size(), 2u);
  EXPECT_EQ(all[0].answer().getAnswerId(), 1u);
  EXPECT_EQ(all[1].answer().getAnswerId(), 2u);
}

TEST_F(EngineWorker, aPieceInTheMiddleWaitsToo) {
  const Record record = call(rpc::fetchOf(1));
  propose({record.handle()});
  engine.finish(one(granted(std::string(10'000, 'p'))));
  collect(4096);
  worker->setWritable(connection, false);
  collectAll(4096);
  EXPECT_EQ(written[connection].size(), 4096u);
  worker->setWritable(connection, true);
  collectAll(4096);
  EXPECT_EQ(frames().at(0).response<schema::FetchResponse>().getJobs()[0].getPayload().size(), 10'000u);
}

TEST_F(EngineWorker, eventsThatDoNotFitComeInTheNextTurn) {
  std::vector<uint32_t> handles;
  for (uint32_t question = 1; question <= 9; question++) handles.push_back(call(rpc::fetchOf(question, 10)).handle());
  propose(handles);
  engine.finish({});
  int turns = 0;
  do {
    collect(4096, 2);
    turns++;
  } while (worker->moreToCollect());
  EXPECT_EQ(turns, 5);
  ASSERT_EQ(events.size(), 10u);
  for (size_t i = 0; i < 9; i++) EXPECT_EQ(events[i].kind, EventKind::EMPTY);
  EXPECT_EQ(events[9].kind, EventKind::ENTRY_DONE) << "behind `empty` of its fetches";
}

TEST_F(EngineWorker, aRefusedProposalLeavesItsCallsToTheCaller) {
  const Record record = call(rpc::enqueueOf(1));
  engine.refuseWith = ErrorCode::BUSY;
  EXPECT_EQ(propose({record.handle()}), -static_cast<int32_t>(ErrorCode::BUSY));
  worker->answer(record.handle(), static_cast<uint16_t>(ErrorCode::BUSY), 50);
  collect();
  EXPECT_EQ(statusOf<schema::EnqueueResponse>(0), ErrorCode::BUSY);
  EXPECT_EQ(frames().at(0).response<schema::EnqueueResponse>().getStatus().getRetryAfterMs(), 50u);
  EXPECT_EQ(eventsOf(EventKind::WRITE).at(0).words[5], record.held());
  EXPECT_EQ(propose({record.handle()}), 0) << "it is over";
}

TEST_F(EngineWorker, aFullDiskRefusesOnlyWhatAdds) {
  engine.isDiskFull = true;
  const Record enqueue = call(rpc::enqueueOf(1));
  const Record fetch = call(rpc::fetchOf(2));
  EXPECT_GT(propose({enqueue.handle(), fetch.handle()}), 0);
  ASSERT_EQ(engine.proposals.size(), 1u);
  EXPECT_EQ(engine.proposals[0].replySlots, std::vector<uint32_t>{fetch.handle()});
  collect();
  EXPECT_EQ(statusOf<schema::EnqueueResponse>(0), ErrorCode::DISK_FULL);
  const Record alone = call(rpc::enqueueOf(3));
  EXPECT_EQ(propose({alone.handle()}), -static_cast<int32_t>(ErrorCode::DISK_FULL));
}

TEST_F(EngineWorker, aViolationClosesBehindWhatWasWritten) {
  const Record answered = call(rpc::enqueueOf(1));
  propose({answered.handle()});
  engine.finish(one(added()));
  const Record open = call(rpc::enqueueOf(2));
  worker->setWritable(connection, false);
  collect();
  receive(Bytes(16, 0xff));
  worker->setWritable(connection, true);
  collectAll();
  expectDropped(open);
  auto all = frames();
  ASSERT_EQ(all.size(), 2u);
  EXPECT_TRUE(all[0].message().isReturn());
  EXPECT_TRUE(all[1].message().isAbort());
  ASSERT_EQ(eventsOf(EventKind::CLOSE).size(), 1u);
  EXPECT_EQ(events.back().kind, EventKind::CLOSE);
  EXPECT_EQ(events.back().words[1], connection);
  EXPECT_TRUE(receive(rpc::enqueueOf(3)).empty()) << "nothing is read any more";
  worker->connectionClose(connection);
  collectAll();
  EXPECT_EQ(eventsOf(EventKind::CLOSE).size(), 1u);
}

TEST_F(EngineWorker, anAbortOfThePeerClosesAtOnce) {
  receive(rpc::messageOf([](auto message) { message.initAbort().setReason("bye"); }));
  collect();
  ASSERT_EQ(events.size(), 1u);
  EXPECT_EQ(events[0].kind, EventKind::CLOSE);
}

TEST_F(EngineWorker, aClientThatAsksForMuchAndReadsNothingIsEnded) {
  const Bytes echoed = rpc::messageOf([](auto message) { message.initResolve().initException().initReason(60'000); });
  worker->setWritable(connection, false);
  for (int chunk = 0; chunk < 100; chunk++) receive(echoed);
  collectAll();
  EXPECT_TRUE(events.empty()) << "so much may wait";
  for (int chunk = 0; chunk < 100; chunk++) receive(echoed);
  worker->setWritable(connection, true);
  collectAll();
  ASSERT_EQ(eventsOf(EventKind::CLOSE).size(), 1u);
  EXPECT_TRUE(frames().back().message().isAbort());
  EXPECT_LT(written[connection].size(), 10u << 20) << "what waits is bounded";
}

TEST_F(EngineWorker, recordsThatDoNotFitComeWithTheNextCall) {
  Bytes stream;
  for (uint32_t question = 1; question <= 5; question++) {
    const Bytes frame = rpc::enqueueOf(question);
    stream.insert(stream.end(), frame.begin(), frame.end());
  }
  uint32_t words[2 * schema::CALL_WORDS];
  EXPECT_EQ(worker->receive(connection, stream, words), 2u);
  EXPECT_EQ(worker->receive(connection, {}, words), 2u);
  EXPECT_EQ(worker->receive(connection, {}, words), 1u);
  EXPECT_EQ(worker->buffered(connection), 0u);
}

TEST_F(EngineWorker, readsAreAnsweredByTheReaders) {
  const Bytes bytes =
      rpc::callOf<schema::GetQueueRequest>(1, rpc::jobQueueId, 12, [](auto body) { body.setQueue("a"); });
  const Record record = call(bytes);
  EXPECT_EQ(record[CallWord::CLASS], static_cast<uint32_t>(CallClass::READ));
  EXPECT_EQ(worker->read(record.handle()), 0);
  ReadResult result;
  result.queues.resize(1);
  result.queues[0].ready = 4;
  EXPECT_EQ(engine.finishRead(std::move(result)).command->queue, "a");
  collect();
  EXPECT_EQ(frames().at(0).response<schema::QueueResponse>().getQueue().getReady(), 4u);
  EXPECT_EQ(eventsOf(EventKind::WRITE).at(0).words[4], 1u);
}

TEST_F(EngineWorker, aRefusedReadIsLeftToTheCaller) {
  const Bytes bytes =
      rpc::callOf<schema::GetQueueRequest>(1, rpc::jobQueueId, 12, [](auto body) { body.setQueue("a"); });
  const Record record = call(bytes);
  engine.refuseReadsWith = ErrorCode::BUSY;
  EXPECT_EQ(worker->read(record.handle()), -static_cast<int32_t>(ErrorCode::BUSY));
  worker->answer(record.handle(), static_cast<uint16_t>(ErrorCode::BUSY), 50);
  collect();
  EXPECT_EQ(statusOf<schema::QueueResponse>(0), ErrorCode::BUSY);
}

TEST_F(EngineWorker, setQueueIsAnsweredWithTheQueueAsItIsNow) {
  const Bytes bytes = rpc::callOf<schema::SetQueueRequest>(1, rpc::jobQueueId, 9, [](auto body) {
    body.setQueue("shelf");
    body.setPause(true);
  });
  const Record record = call(bytes);
  EXPECT_EQ(record[CallWord::CLASS], static_cast<uint32_t>(CallClass::WRITE));
  propose({record.handle()});
  engine.finish({});
  collect();
  EXPECT_EQ(eventsOf(EventKind::ENTRY_DONE).size(), 1u);
  EXPECT_TRUE(frames().empty());
  ASSERT_EQ(engine.reads.size(), 1u);
  ReadResult result;
  result.queues.resize(1);
  result.queues[0].settings.paused = true;
  EXPECT_EQ(engine.finishRead(std::move(result)).command->queue, "shelf");
  collect();
  EXPECT_TRUE(frames().at(0).response<schema::QueueResponse>().getQueue().getSettings().getPaused());
}

TEST_F(EngineWorker, aRefusedSetQueueReadsNothing) {
  const Bytes bytes =
      rpc::callOf<schema::SetQueueRequest>(1, rpc::jobQueueId, 9, [](auto body) { body.setQueue("s"); });
  const Record record = call(bytes);
  propose({record.handle()});
  CommandResult refused;
  refused.code = ErrorCode::LIMIT_REACHED;  // as it may come from a replica: without a text
  engine.finish(one(std::move(refused)));
  collect();
  EXPECT_TRUE(engine.reads.empty());
  EXPECT_EQ(statusOf<schema::QueueResponse>(0), ErrorCode::LIMIT_REACHED);
  EXPECT_GT(frames()[0].response<schema::QueueResponse>().getStatus().getMessage().size(), 0u);
}

TEST_F(EngineWorker, serverInfoComesWithTheVersion) {
  const Record record = call(rpc::callOf<schema::ServerInfoRequest>(1, rpc::jobQueueId, 20, [](auto) {}));
  EXPECT_EQ(record[CallWord::CLASS], static_cast<uint32_t>(CallClass::INFO));
  worker->answerInfo(record.handle(), "1.2.3");
  ReadResult result;
  result.server.nodeId = 9;
  engine.finishRead(std::move(result));
  collect();
  EXPECT_STREQ(frames().at(0).response<schema::ServerInfoResponse>().getVersion().cStr(), "1.2.3");
  EXPECT_EQ(frames()[0].response<schema::ServerInfoResponse>().getNodeId(), 9u);
}

TEST_F(EngineWorker, acceptedSocketsAndStateAreTold) {
  Completion accepted;
  accepted.kind = CompletionKind::accepted;
  accepted.fileDescriptor = 55;
  accepted.listener = 2;
  engine.completions.push_back(std::move(accepted));
  Completion state;
  state.kind = CompletionKind::state;
  state.stateBits = 5;
  engine.completions.push_back(std::move(state));
  collect();
  ASSERT_EQ(events.size(), 2u);
  EXPECT_EQ(events[0].words[1], 55u);
  EXPECT_EQ(events[0].words[2], 2u);
  EXPECT_EQ(events[1].kind, EventKind::STATE);
  EXPECT_EQ(events[1].words[1], 5u);
}

TEST_F(EngineWorker, closingGivesUpSocketsThatNobodyTook) {
  int ends[2];
  ASSERT_EQ(::pipe(ends), 0);
  Completion accepted;
  accepted.kind = CompletionKind::accepted;
  accepted.fileDescriptor = ends[0];
  engine.completions.push_back(std::move(accepted));
  worker = nullptr;
  EXPECT_EQ(engine.openWorkers, 0);
  EXPECT_EQ(engine.closedConnections, 2) << "and the one that was open";
  EXPECT_EQ(::fcntl(ends[0], F_GETFD), -1);
  ::close(ends[1]);
}

TEST_F(EngineWorker, handlesAreNotUsedAgainSoon) {
  std::set<uint32_t> seen;
  for (uint32_t turn = 0; turn < 5000; turn++) {
    const Record record = call(rpc::enqueueOf(1));
    EXPECT_NE(record.handle(), 0u);
    ASSERT_TRUE(seen.insert(record.handle()).second) << turn;
    worker->answer(record.handle(), static_cast<uint16_t>(ErrorCode::BUSY), 1);
    collect();
    receive(rpc::finishOf(1));
  }
}

}  // namespace
}  // namespace capstan::engine
