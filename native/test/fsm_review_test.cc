// What a review of the state machine found: what would have crashed, grown without bound or been counted wrongly. Owns
// nothing. Driven through entries made of real requests; rows are changed by hand where a number would take years.
#include <capnp/any.h>

#include <atomic>
#include <thread>

#include "fsm/ids.h"
#include "fsm/rows.h"
#include "storage/database.h"
#include "test/fsm_invariants.h"
#include "test/fsm_script.h"
#include "test/fsm_support.h"

namespace capstan::fsm {
namespace {

using storage::Family;

// Changes one row of a state that is closed meanwhile.
template <class Row, class Edit>
void editRow(Node& node, Family family, const std::string& key, Edit edit) {
  node.machine->flush(true, true);
  node.close();
  {
    auto database = storage::Database::open({node.options.directory}).take();
    Row row = Row::decode(database->get(family, key).value());
    edit(row);
    rocksdb::WriteBatch batch;
    ASSERT_TRUE(batch.Put(database->family(family), key, row.encode()).ok());
    database->write(batch);
    database->flush(true, true);
  }
  node.restart();
}

uint64_t openSession(Node& node) {
  return node
      .run<schema::OpenSessionRequest>(Method::openSession,
                                       [](schema::OpenSessionRequest::Builder body) { body.setKeepMs(10'000); })
      .session;
}

std::unique_ptr<codec::Request> enqueueIn(Node& node, uint64_t session, uint64_t sequence, uint64_t lowest,
                                          const std::vector<uint64_t>& receivedAbove = {}) {
  return node.make<schema::EnqueueRequest>(Method::enqueue, [&](schema::EnqueueRequest::Builder body) {
    auto id = body.initRequest();
    id.setSession(session);
    id.setSequence(sequence);
    id.setLowestUnanswered(lowest);
    auto above = id.initReceivedAbove(static_cast<uint32_t>(receivedAbove.size()));
    for (uint32_t at = 0; at < above.size(); ++at) above.set(at, receivedAbove[at]);
    body.setQueue("q");
    body.initJobs(1);
  });
}

// --- Records ---------------------------------------------------------------------------------------------------------

TEST(FsmRecord, headersWithFieldsOfALaterVersionAreTaken) {
  Node node;
  const auto request = node.make<schema::EnqueueRequest>(Method::enqueue, [](schema::EnqueueRequest::Builder body) {
    body.setQueue("q");
    auto job = body.initJobs(1)[0];
    job.setPayload(codec::dataOf("payload"));
    // Field 6 of NewJob is its third pointer; each header has three pointers and data that this build does not know.
    auto headers = capnp::AnyStruct::Builder(kj::mv(job)).getPointerSection()[2].initAsListOfAnyStruct(3, 5, 2);
    for (auto header : headers) {
      auto pointers = header.getPointerSection();
      pointers[0].setAs<capnp::Text>("name");
      pointers[1].setAs<capnp::Data>(codec::dataOf("value"));
      pointers[3].setAs<capnp::Text>(std::string(500, 'n'));
    }
  });
  EXPECT_EQ(node.runAll({request.get()}).at(0).code, ErrorCode::OK);
  const CommandResult granted = node.fetch({"q"});
  ASSERT_EQ(payloadsOf(granted), std::vector<std::string>{"payload"});
  const kj::ArrayPtr<const capnp::word> segments[1] = {
      {reinterpret_cast<const capnp::word*>(granted.jobs[0].record->words.get()), granted.jobs[0].record->wordCount}};
  capnp::SegmentArrayMessageReader reader(kj::arrayPtr(segments, 1));
  const auto headers = reader.getRoot<schema::JobRecord>().getHeaders();
  ASSERT_EQ(headers.size(), 2u);
  EXPECT_EQ(headers[1].getName(), "name");
  EXPECT_EQ(headers[1].getValue(), codec::dataOf("value"));
  EXPECT_LT(granted.jobs[0].record->wordCount, 40u) << "what is not known is not kept";
  EXPECT_EQ(node.info("q").bytes, 7u + 2 * 9u);
}

// --- Bounded steps ---------------------------------------------------------------------------------------------------

constexpr size_t largeBytes = 1 << 20;
constexpr uint64_t atOnceMax = 24;  // large jobs that one tick may move

std::vector<std::string> largeJobs() { return std::vector<std::string>(8, std::string(largeBytes, 'x')); }

// Ticks until nothing is due; returns the largest number of jobs that `count` grew by in one of them.
template <class Count>
uint64_t largestStep(Node& node, Count count) {
  uint64_t largest = 0;
  for (int ticks = 0; ticks < 100; ++ticks) {
    const NextDue due = node.machine->nextDue();
    if (!due.now && due.elapsedMs > node.elapsedMs) return largest;
    const uint64_t before = count();
    node.tick();
    largest = std::max(largest, count() - before);
  }
  ADD_FAILURE() << "the ticks do not end";
  return largest;
}

TEST(FsmTick, movesDelayedJobsByBytes) {
  Node node;
  for (int turn = 0; turn < 5; ++turn) node.enqueue("q", largeJobs(), 0, "", 1000);
  node.elapsedMs += 1000;
  EXPECT_LE(largestStep(node, [&] { return node.info("q").ready; }), atOnceMax);
  EXPECT_EQ(node.info("q").ready, 40u);
}

TEST(FsmTick, movesDyingJobsByBytesAndRedrivesThemSo) {
  Node node;
  node.limits.queueDefaults.maxAttempts = 1;
  for (int turn = 0; turn < 5; ++turn) node.enqueue("q", largeJobs());
  while (!node.fetch({"q"}, 8, 1000).jobs.empty()) continue;
  EXPECT_EQ(node.info("q").leased, 40u);
  node.elapsedMs += 1000;
  EXPECT_LE(largestStep(node, [&] { return node.info("q").dead; }), atOnceMax);
  EXPECT_EQ(node.info("q").dead, 40u);
  const CommandResult redriven = node.run<schema::DeadRequest>(Method::redriveDead, [](auto body) {
    body.setQueue("q");
    body.setAll(true);
  });
  EXPECT_LE(redriven.operationDone, atOnceMax);
  EXPECT_FALSE(redriven.operationFinished);
  EXPECT_LE(largestStep(node, [&] { return node.info("q").ready; }), atOnceMax);
  EXPECT_EQ(node.info("q").ready, 40u);
}

TEST(FsmTick, deletesAQueueByBytes) {
  Node node;
  for (int turn = 0; turn < 5; ++turn) node.enqueue("q", largeJobs());
  const CommandResult begun =
      node.run<schema::DeleteQueueRequest>(Method::deleteQueue, [](auto body) { body.setQueue("q"); });
  EXPECT_LE(begun.operationDone, atOnceMax);
  for (int ticks = 0; ticks < 10 && node.machine->nextDue().now; ++ticks) node.tick();
  EXPECT_FALSE(node.machine->nextDue().now);
  EXPECT_EQ(checkState(node), 0u);
}

// --- Sessions --------------------------------------------------------------------------------------------------------

TEST(FsmSession, resultsOfOneEntryCountToo) {
  Node node;
  node.limits.stateLimits.sessionResultsMax = 3;
  const uint64_t session = openSession(node);
  std::vector<std::unique_ptr<codec::Request>> requests;
  std::vector<const codec::Request*> pointers;
  for (uint64_t sequence = 1; sequence <= 5; ++sequence) {
    requests.push_back(enqueueIn(node, session, sequence, 1));
    pointers.push_back(requests.back().get());
  }
  const auto results = node.runAll(pointers);
  EXPECT_EQ(results[2].code, ErrorCode::OK);
  EXPECT_EQ(results[3].code, ErrorCode::BUSY);
  EXPECT_EQ(results[4].code, ErrorCode::BUSY);
  EXPECT_EQ(node.info("q").enqueuedTotal, 3u);
  const auto later = enqueueIn(node, session, 4, 3);
  EXPECT_EQ(node.runAll({later.get()}).at(0).code, ErrorCode::OK) << "what was counted in the entry is over";
}

TEST(FsmSession, aResultThatNobodyAwaitsIsNotKept) {
  Node node;
  node.limits.stateLimits.sessionResultsMax = 2;
  const uint64_t session = openSession(node);
  // The client gives a request up and goes on; both are in one entry.
  for (uint64_t sequence = 1; sequence < 9; sequence += 2) {
    const auto given = enqueueIn(node, session, sequence, sequence);
    const auto next = enqueueIn(node, session, sequence + 1, sequence + 1);
    const auto results = node.runAll({given.get(), next.get()});
    EXPECT_EQ(results[1].code, ErrorCode::OK);
  }
  const auto first = enqueueIn(node, session, 9, 9);
  const auto above = enqueueIn(node, session, 10, 9, {9});
  EXPECT_EQ(node.runAll({first.get(), above.get()}).at(1).code, ErrorCode::OK);
  checkState(node);
}

// --- Numbers ---------------------------------------------------------------------------------------------------------

TEST(FsmNumbers, aQueuesNumberIsNotGivenAgainInTheEntryThatGivesItUp) {
  Options options;
  options.windowJobsMax = 1;
  Node node(options);
  node.enqueue("first", {"old 1", "old 2", "old 3"}, 3, "group");
  const auto old = node.enqueue("first", {"old 4"}, 3, "another group");
  node.enqueue("second", {"x"});
  const CommandResult granted = node.fetch({"first"});
  editRow<Meta>(node, Family::meta, std::string(metaKey), [](Meta& meta) { meta.queueNumber = queueNumberMax; });
  const auto release = node.make<schema::ReleaseRequest>(Method::release, [&](auto body) {
    body.setLease(capnp::Data::Reader(granted.lease.bytes.data(), 16));
    body.setAll(true);
  });
  const auto gone =
      node.make<schema::DeleteQueueRequest>(Method::deleteQueue, [](auto body) { body.setQueue("first"); });
  const auto again = node.make<schema::EnqueueRequest>(Method::enqueue, [](schema::EnqueueRequest::Builder body) {
    body.setQueue("third");
    auto jobs = body.initJobs(3);
    for (auto job : jobs) {
      job.setPayload(codec::dataOf("new"));
      job.setPriority(3);
      job.setGroup("another");
    }
  });
  const auto remove = node.make<schema::DeleteJobsRequest>(
      Method::deleteJobs, [&](auto body) { body.initIds(1).set(0, capnp::Data::Reader(old[0].bytes.data(), 16)); });
  const auto fetch = node.fetchRequest({"third"}, 10);
  const auto results = node.runAll({release.get(), gone.get(), again.get(), remove.get(), fetch.get()});
  EXPECT_TRUE(results[1].operationFinished);
  EXPECT_EQ(results[3].accepted, 0u) << "it went with its queue";
  EXPECT_EQ(payloadsOf(results[4]), (std::vector<std::string>{"new", "new", "new"}));
  checkState(node);
}

TEST(FsmNumbers, areGivenRoundAndRound) {
  Node node;
  node.enqueue("q", {"a"}, 0, "a");
  node.enqueue("q", {"b"}, 1, "b");
  node.enqueue("q", {"c"}, 0, "c");
  const CommandResult granted = node.fetch({"q"});
  node.ack(granted.lease, idsOf(granted));
  editRow<QueueRow>(node, Family::queues, storage::queueKey(1),
                    [](QueueRow& row) { row.groupNumber = groupNumberMax; });
  const auto numberOf = [&](const std::string& group) { return homeOf(node.enqueue("q", {"x"}, 0, group)[0]).group; };
  EXPECT_EQ(numberOf("d"), 2u) << "the first one that is free";
  EXPECT_EQ(numberOf("e"), 4u) << "and not looked for from the beginning again";
  const CommandResult freed = node.fetch({"q"}, 2);
  EXPECT_EQ(node.ack(freed.lease, idsOf(freed)).accepted, 2u);
  EXPECT_EQ(numberOf("f"), 5u) << "though smaller ones were given up";
  checkState(node);
}

TEST(FsmLimits, lanesAreCountedExactly) {
  Node node;
  node.limits.stateLimits.lanesMax = 2;
  const auto enqueue = [&](std::vector<std::pair<std::string, uint8_t>> jobs) {
    return node
        .run<schema::EnqueueRequest>(Method::enqueue,
                                     [&](schema::EnqueueRequest::Builder body) {
                                       body.setQueue("q");
                                       auto list = body.initJobs(static_cast<uint32_t>(jobs.size()));
                                       for (uint32_t at = 0; at < jobs.size(); ++at) {
                                         list[at].setGroup(jobs[at].first);
                                         list[at].setPriority(jobs[at].second);
                                       }
                                     })
        .code;
  };
  EXPECT_EQ(enqueue({{"g", 0}, {"h", 0}, {"g", 1}}), ErrorCode::LIMIT_REACHED);
  EXPECT_EQ(enqueue({{"g", 0}, {"h", 0}, {"g", 0}, {"h", 0}}), ErrorCode::OK) << "two lanes, however many jobs";
  EXPECT_EQ(enqueue({{"g", 0}, {"", 0}}), ErrorCode::LIMIT_REACHED);
  EXPECT_EQ(enqueue({{"g", 0}, {"h", 0}}), ErrorCode::OK);
}

TEST(FsmOperations, oneThatTookLongLeavesNoRow) {
  Node node;
  for (int turn = 0; turn < 2; ++turn) node.enqueue("q", std::vector<std::string>(600, "x"));
  for (CommandResult granted = node.fetch({"q"}, 300); !granted.jobs.empty(); granted = node.fetch({"q"}, 300)) {
    node.run<schema::FailRequest>(Method::fail, [&](schema::FailRequest::Builder body) {
      body.setLease(capnp::Data::Reader(granted.lease.bytes.data(), 16));
      auto jobs = body.initJobs(static_cast<uint32_t>(granted.jobs.size()));
      for (uint32_t at = 0; at < jobs.size(); ++at) {
        jobs[at].setId(capnp::Data::Reader(granted.jobs[at].id.bytes.data(), 16));
        jobs[at].setDead(true);
      }
    });
  }
  const CommandResult begun = node.run<schema::DeadRequest>(Method::deleteDead, [](auto body) {
    body.setQueue("q");
    body.setAll(true);
  });
  ASSERT_NE(begun.operation, 0u);
  editRow<Meta>(node, Family::meta, std::string(metaKey), [](Meta& meta) { meta.operations += 1000; });
  node.tick();
  EXPECT_EQ(node.info("q").dead, 0u);
  ReadCommand command;
  command.method = Method::getOperation;
  command.operation = begun.operation;
  EXPECT_EQ(node.machine->read(command).code, ErrorCode::NOT_FOUND) << "a thousand newer ones have begun";
}

// --- Reads -----------------------------------------------------------------------------------------------------------

TEST(FsmReads, anEntryWaitsOnlyForTheReadsUnderWay) {
  Node node;
  for (int turn = 0; turn < 20; ++turn) node.enqueue("q", std::vector<std::string>(500, "x"));
  std::atomic<bool> isOver = false;
  std::atomic<uint64_t> reads = 0;
  std::vector<std::thread> readers;
  for (int count = 0; count < 3; ++count) {
    readers.emplace_back([&] {
      ReadCommand peek;
      peek.method = Method::peek;
      peek.tenant = codec::defaultTenant;
      peek.queue = "q";
      peek.limit = 1000;
      for (; !isOver; ++reads) node.machine->read(peek);
    });
  }
  while (reads < 10) std::this_thread::yield();
  const uint64_t before = reads;
  for (int entry = 0; entry < 20; ++entry) node.enqueue("q", {"y"});
  EXPECT_LT(reads - before, 600u) << "in the time of 20 entries";
  isOver = true;
  for (std::thread& reader : readers) reader.join();
}

// --- The whole state -------------------------------------------------------------------------------------------------

class FsmWhole : public testing::TestWithParam<uint32_t> {};

TEST_P(FsmWhole, rowsAgreeThroughARandomScriptAndNothingIsLeftWhenItIsDrained) {
  Node node;
  Script script(node, GetParam());
  for (int at = 0; at < 400; ++at) {
    script.step();
    if (at % 40 == 39) checkState(node);
    if (testing::Test::HasFailure()) FAIL() << "step " << at << " of seed " << GetParam();
  }
  for (int turn = 0; turn < 60; ++turn) {
    for (const std::string queue : {"q0", "q1", "q2", "q3"}) {
      node.run<schema::SetQueueRequest>(Method::setQueue, [&](auto body) {
        body.setQueue(queue);
        body.setResume(true);
      });
      node.run<schema::DeadRequest>(Method::deleteDead, [&](auto body) {
        body.setQueue(queue);
        body.setAll(true);
      });
      const CommandResult granted = node.fetch({queue}, 1000);
      if (!granted.jobs.empty()) node.ack(granted.lease, idsOf(granted));
    }
    node.elapsedMs += 500;
    node.wallMs += 500;
    node.tick();
  }
  EXPECT_EQ(checkState(node), 0u) << "seed " << GetParam();
}

INSTANTIATE_TEST_SUITE_P(Seeds, FsmWhole, testing::Range(1u, 5u));

}  // namespace
}  // namespace capstan::fsm
