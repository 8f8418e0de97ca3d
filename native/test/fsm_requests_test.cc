// Retries by session and by idempotency key: carried out once, answered the same, bounded, and forgotten when the
// client has received them. Owns nothing. Driven through entries made of real requests.
#include "test/fsm_support.h"

namespace capstan::fsm {
namespace {

struct Id {
  Id(uint64_t session, uint64_t sequence, uint64_t lowest = 1, std::vector<uint64_t> receivedAbove = {})
      : session(session), sequence(sequence), lowest(lowest), receivedAbove(std::move(receivedAbove)) {}
  explicit Id(std::string key) : key(std::move(key)) {}
  uint64_t session = 0;
  uint64_t sequence = 0;
  uint64_t lowest = 1;
  std::vector<uint64_t> receivedAbove;
  std::string key;
};

void setId(schema::RequestId::Builder request, const Id& id) {
  request.setSession(id.session);
  request.setSequence(id.sequence);
  request.setLowestUnanswered(id.lowest);
  auto above = request.initReceivedAbove(static_cast<uint32_t>(id.receivedAbove.size()));
  for (uint32_t at = 0; at < id.receivedAbove.size(); ++at) above.set(at, id.receivedAbove[at]);
  request.setIdempotencyKey(id.key);
}

uint64_t openSession(Node& node, uint64_t keepMs = 10'000) {
  return node
      .run<schema::OpenSessionRequest>(Method::openSession,
                                       [&](schema::OpenSessionRequest::Builder body) { body.setKeepMs(keepMs); })
      .session;
}

CommandResult enqueueOnce(Node& node, const Id& id, const std::string& payload = "x") {
  return node.run<schema::EnqueueRequest>(Method::enqueue, [&](schema::EnqueueRequest::Builder body) {
    setId(body.initRequest(), id);
    body.setQueue("q");
    body.initJobs(1)[0].setPayload(codec::dataOf(payload));
  });
}

CommandResult fetchOnce(Node& node, const Id& id, uint32_t waitMs = 0) {
  return node.run<schema::FetchRequest>(Method::fetch, [&](schema::FetchRequest::Builder body) {
    setId(body.initRequest(), id);
    body.initQueues(1).set(0, "q");
    body.setJobsMax(5);
    body.setWaitMs(waitMs);
  });
}

TEST(FsmSession, anUnknownOneIsRefusedAndNothingIsDone) {
  Node node;
  EXPECT_EQ(enqueueOnce(node, {77, 1}).code, ErrorCode::SESSION_EXPIRED);
  node.enqueue("q", {"only"});
  EXPECT_EQ(node.info("q").enqueuedTotal, 1u);
}

TEST(FsmSession, aRetryHasTheSameResultThroughARestart) {
  Node node;
  const uint64_t session = openSession(node);
  const CommandResult first = enqueueOnce(node, {session, 1});
  node.machine->flush(true, true);
  node.restart();
  EXPECT_EQ(enqueueOnce(node, {session, 1}).ids, first.ids);
  EXPECT_NE(enqueueOnce(node, {session, 2}).ids, first.ids);
  EXPECT_EQ(node.info("q").enqueuedTotal, 2u);
}

TEST(FsmSession, theSameRequestTwiceInOneEntryIsCarriedOutOnce) {
  Node node;
  const uint64_t session = openSession(node);
  const auto request = node.make<schema::EnqueueRequest>(Method::enqueue, [&](schema::EnqueueRequest::Builder body) {
    setId(body.initRequest(), {session, 1});
    body.setQueue("q");
    body.initJobs(1);
  });
  const auto results = node.runAll({request.get(), request.get()});
  ASSERT_EQ(results[0].ids.size(), 1u);
  EXPECT_EQ(results[0].ids, results[1].ids);
  EXPECT_EQ(node.info("q").enqueuedTotal, 1u);
}

TEST(FsmSession, whatWasReceivedIsForgottenAndNeverExecutedAgain) {
  Node node;
  const uint64_t session = openSession(node);
  for (uint64_t sequence = 1; sequence <= 5; ++sequence) enqueueOnce(node, {session, sequence});
  enqueueOnce(node, {session, 6, 3});
  EXPECT_EQ(enqueueOnce(node, {session, 2, 3}).code, ErrorCode::REQUEST_FORGOTTEN);
  EXPECT_EQ(enqueueOnce(node, {session, 3, 3}).code, ErrorCode::OK) << "still kept";
  enqueueOnce(node, {session, 7, 3, {4, 5}});
  EXPECT_EQ(enqueueOnce(node, {session, 4, 3}).code, ErrorCode::REQUEST_FORGOTTEN) << "received above the lowest";
  EXPECT_EQ(enqueueOnce(node, {session, 3, 3}).code, ErrorCode::OK);
  EXPECT_EQ(node.info("q").enqueuedTotal, 7u);
}

TEST(FsmSession, resultsAreBounded) {
  Node node;
  node.limits.stateLimits.sessionResultsMax = 3;
  const uint64_t session = openSession(node);
  for (uint64_t sequence = 1; sequence <= 3; ++sequence)
    EXPECT_EQ(enqueueOnce(node, {session, sequence}).code, ErrorCode::OK);
  EXPECT_EQ(enqueueOnce(node, {session, 4}).code, ErrorCode::BUSY);
  EXPECT_EQ(enqueueOnce(node, {session, 4, 2}).code, ErrorCode::OK) << "one was received";
}

TEST(FsmSession, theLowestUnansweredAlwaysGoes) {
  Node node;
  node.limits.stateLimits.sessionResultsMax = 3;
  const uint64_t session = openSession(node);
  for (uint64_t sequence = 2; sequence <= 4; ++sequence)
    EXPECT_EQ(enqueueOnce(node, {session, sequence}).code, ErrorCode::OK);
  EXPECT_EQ(enqueueOnce(node, {session, 5}).code, ErrorCode::BUSY);
  EXPECT_EQ(enqueueOnce(node, {session, 1}).code, ErrorCode::OK) << "it came last, and all others wait for it";
  EXPECT_EQ(enqueueOnce(node, {session, 5}).code, ErrorCode::BUSY);
  EXPECT_EQ(enqueueOnce(node, {session, 5, 3}).code, ErrorCode::OK);
  node.limits.stateLimits.sessionResultBytesMax = 1;
  EXPECT_EQ(enqueueOnce(node, {session, 7, 6}).code, ErrorCode::OK) << "nothing is kept";
  EXPECT_EQ(enqueueOnce(node, {session, 8, 6}).code, ErrorCode::BUSY);
  EXPECT_EQ(enqueueOnce(node, {session, 6, 6}).code, ErrorCode::OK);
}

TEST(FsmSession, anotherRequestUnderAUsedSequenceIsRefused) {
  Node node;
  const uint64_t session = openSession(node);
  const CommandResult first = enqueueOnce(node, {session, 1}, "one");
  const CommandResult other = enqueueOnce(node, {session, 1}, "two");
  EXPECT_EQ(other.code, ErrorCode::IDEMPOTENCY_CONFLICT);
  EXPECT_EQ(other.error->field, "request.sequence");
  EXPECT_EQ(fetchOnce(node, {session, 1}).code, ErrorCode::IDEMPOTENCY_CONFLICT) << "another operation";
  EXPECT_EQ(enqueueOnce(node, {session, 1, 1, {2}}, "one").ids, first.ids) << "what was received may differ";
  EXPECT_EQ(node.info("q").enqueuedTotal, 1u);
  const auto make = [&](const std::string& payload) {
    return node.make<schema::EnqueueRequest>(Method::enqueue, [&](schema::EnqueueRequest::Builder body) {
      setId(body.initRequest(), {session, 3});
      body.setQueue("q");
      body.initJobs(1)[0].setPayload(codec::dataOf(payload));
    });
  };
  const auto one = make("three"), two = make("four");
  const auto results = node.runAll({one.get(), two.get()});
  EXPECT_EQ(results[0].code, ErrorCode::OK);
  EXPECT_EQ(results[1].code, ErrorCode::IDEMPOTENCY_CONFLICT) << "in one entry too";
}

TEST(FsmSession, theAnswerOfAKeyIsTheAnswerOfItsSequence) {
  Node node;
  const uint64_t session = openSession(node, node.limits.stateLimits.idempotencyKeepMs);
  const CommandResult first = enqueueOnce(node, Id("order 7"));
  Id both(session, 1);
  both.key = "order 7";
  EXPECT_EQ(enqueueOnce(node, both).ids, first.ids);
  node.elapsedMs += node.limits.stateLimits.idempotencyKeepMs;
  node.tick();
  EXPECT_EQ(enqueueOnce(node, both).ids, first.ids) << "the key is forgotten, the session is not";
  EXPECT_EQ(node.info("q").enqueuedTotal, 1u);
}

TEST(FsmSession, endsWhenIdleAndStaysWhileUsed) {
  Node node;
  const uint64_t session = openSession(node, 1000);
  for (int turn = 0; turn < 5; ++turn) {
    node.elapsedMs += 900;
    node.tick();
    EXPECT_EQ(enqueueOnce(node, {session, static_cast<uint64_t>(turn) + 1}).code, ErrorCode::OK);
  }
  node.elapsedMs += 2000;
  node.tick();
  EXPECT_EQ(enqueueOnce(node, {session, 9}).code, ErrorCode::SESSION_EXPIRED);
}

TEST(FsmSession, aReplayedFetchReturnsWhatIsStillOpen) {
  Node node;
  const uint64_t session = openSession(node);
  const auto ids = node.enqueue("q", {"a", "b"});
  const CommandResult granted = fetchOnce(node, {session, 1});
  ASSERT_EQ(idsOf(granted), ids);
  node.ack(granted.lease, {ids[0]});
  const CommandResult again = fetchOnce(node, {session, 1});
  EXPECT_EQ(again.lease, granted.lease);
  ASSERT_EQ(idsOf(again), std::vector<JobId>{ids[1]});
  EXPECT_EQ(payloadOf(again.jobs[0]), "b");
  node.elapsedMs += 60'000;
  EXPECT_TRUE(fetchOnce(node, {session, 1}).jobs.empty()) << "the lease is over";
}

TEST(FsmSession, aFetchReplayedBehindItsLastAckHasNoLease) {
  Node node;
  const uint64_t session = openSession(node);
  const auto ids = node.enqueue("q", {"a"});
  const CommandResult granted = fetchOnce(node, {session, 1});
  const auto ack = node.make<schema::AckRequest>(Method::ack, [&](schema::AckRequest::Builder body) {
    body.setLease(capnp::Data::Reader(granted.lease.bytes.data(), 16));
    body.setAll(true);
  });
  const auto fetch = node.make<schema::FetchRequest>(Method::fetch, [&](schema::FetchRequest::Builder body) {
    setId(body.initRequest(), {session, 1});
    body.initQueues(1).set(0, "q");
    body.setJobsMax(5);
  });
  const auto results = node.runAll({ack.get(), fetch.get()});
  EXPECT_TRUE(results[1].lease.isZero()) << "the ack of the same entry closed it";
  EXPECT_EQ(results[1].code, ErrorCode::OK);
}

TEST(FsmSession, aWaitingFetchStoresNoResult) {
  Node node;
  const uint64_t session = openSession(node);
  EXPECT_TRUE(fetchOnce(node, {session, 1}, 5000).jobs.empty());
  const auto ids = node.enqueue("q", {"a"});
  EXPECT_EQ(idsOf(fetchOnce(node, {session, 1}, 5000)), ids);
}

TEST(FsmKey, theSameKeyWithAnotherBodyIsRefused) {
  Node node;
  const CommandResult first = enqueueOnce(node, Id("order 7"), "same");
  EXPECT_EQ(enqueueOnce(node, Id("order 7"), "same").ids, first.ids);
  EXPECT_EQ(enqueueOnce(node, Id("order 7"), "other").code, ErrorCode::IDEMPOTENCY_CONFLICT);
  EXPECT_EQ(node.info("q").enqueuedTotal, 1u);
  node.elapsedMs += node.limits.stateLimits.idempotencyKeepMs;
  node.tick();
  EXPECT_NE(enqueueOnce(node, Id("order 7"), "other").ids, first.ids) << "the key is free again";
}

TEST(FsmExchange, requireAcksAppliesAllOrNothing) {
  Node node;
  const auto ids = node.enqueue("in", {"a", "b"});
  const CommandResult granted = node.fetch({"in"}, 2);
  const auto handOver = [&](const JobId& id, bool twice) {
    return node.run<schema::ExchangeRequest>(Method::exchange, [&](schema::ExchangeRequest::Builder body) {
      body.setRequireAcks(true);
      auto acks = body.initAcks(twice ? 2 : 1);
      for (auto ack : acks) {
        ack.setLease(capnp::Data::Reader(granted.lease.bytes.data(), 16));
        ack.initIds(1).set(0, capnp::Data::Reader(id.bytes.data(), 16));
      }
      auto next = body.initEnqueues(1)[0];
      next.setQueue("out");
      next.initJobs(1)[0].setPayload(codec::dataOf("next"));
      body.initFetch().initQueues(1).set(0, "out");
    });
  };
  const CommandResult twice = handOver(ids[0], true);
  EXPECT_EQ(twice.code, ErrorCode::REFUSED) << "two parts cannot count on one job";
  EXPECT_EQ(twice.error->field, "acks[1]");
  const CommandResult done = handOver(ids[0], false);
  ASSERT_EQ(done.parts.size(), 3u);
  EXPECT_EQ(done.parts[0].accepted, 1u);
  EXPECT_EQ(done.parts[1].ids.size(), 1u);
  EXPECT_EQ(payloadsOf(done.parts[2]), std::vector<std::string>{"next"}) << "the fetch sees the enqueue";
  EXPECT_EQ(handOver(ids[0], false).code, ErrorCode::REFUSED);
  EXPECT_EQ(node.info("out").enqueuedTotal, 1u);
}

}  // namespace
}  // namespace capstan::fsm
