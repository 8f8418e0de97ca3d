// What limits the state, the reads of it, and the exact layouts: refusals change nothing, pages go on where they ended,
// ids, records and the keyed hash are what they claim to be. Owns nothing.
#include "entry.capnp.h"
#include "fsm/ids.h"
#include "fsm/record.h"
#include "fsm/siphash.h"
#include "storage/database.h"
#include "test/fsm_support.h"

namespace capstan::fsm {
namespace {

TEST(FsmLimits, queuesGroupsAndLanesAreRefusedWhole) {
  Node node;
  node.limits.stateLimits.queuesMax = 2;
  node.limits.stateLimits.groupsMax = 3;
  node.limits.stateLimits.lanesMax = 6;
  node.enqueue("a", {"1"});
  node.enqueue("b", {"1"});
  const auto enqueue = [&](const std::string& queue, int groups, int priorities) {
    return node.run<schema::EnqueueRequest>(Method::enqueue, [&](schema::EnqueueRequest::Builder body) {
      body.setQueue(queue);
      auto jobs = body.initJobs(static_cast<uint32_t>(groups + priorities));
      for (int at = 0; at < groups; ++at) jobs[static_cast<uint32_t>(at)].setGroup("g" + std::to_string(at));
      for (int at = 0; at < priorities; ++at) {
        jobs[static_cast<uint32_t>(groups + at)].setPriority(static_cast<uint8_t>(at));
      }
    });
  };
  EXPECT_EQ(enqueue("c", 0, 1).code, ErrorCode::LIMIT_REACHED);
  EXPECT_EQ(enqueue("a", 4, 0).code, ErrorCode::LIMIT_REACHED);
  EXPECT_EQ(enqueue("a", 0, 8).code, ErrorCode::LIMIT_REACHED);
  EXPECT_EQ(node.info("a").enqueuedTotal, 1u) << "all or nothing";
  EXPECT_EQ(node.info("a").groups, 0u);
  EXPECT_EQ(enqueue("a", 3, 0).code, ErrorCode::OK);
  EXPECT_EQ(node.info("a").groups, 3u);
  const CommandResult granted = node.fetch({"a"}, 10);
  EXPECT_EQ(node.ack(granted.lease, idsOf(granted)).accepted, 4u);
  EXPECT_EQ(node.info("a").groups, 0u) << "a group goes with its last job";
  EXPECT_EQ(enqueue("a", 3, 0).code, ErrorCode::OK);
}

TEST(FsmReads, pagesGoOnWhereTheyEnded) {
  Node node;
  std::vector<std::string> payloads;
  for (int at = 0; at < 25; ++at) payloads.push_back("p" + std::to_string(at));
  node.enqueue("q", payloads);
  node.enqueue("q", payloads, 3, "g");
  node.fetch({"q"}, 5);
  ReadCommand peek;
  peek.method = Method::peek;
  peek.tenant = codec::defaultTenant;
  peek.queue = "q";
  peek.limit = 7;
  peek.payloadBytesMax = 1000;
  std::vector<JobId> seen;
  int pages = 0;
  for (; pages < 50; ++pages) {
    const ReadResult page = node.machine->read(peek);
    ASSERT_EQ(page.code, ErrorCode::OK);
    for (const JobInfoValue& job : page.jobs) seen.push_back(job.id);
    peek.after = page.next;
    if (page.next.empty()) break;
  }
  EXPECT_EQ(seen.size(), 45u) << "the leased ones are not ready";
  const CommandResult rest = node.fetch({"q"}, 100);
  EXPECT_EQ(seen, idsOf(rest)) << "in the order in which they would be given out";
}

TEST(FsmReads, aJobIsFoundWhereverItIs) {
  Node node;
  const auto ready = node.enqueue("q", {"a"});
  const auto later = node.enqueue("q", {"b"}, 0, "", 5000);
  ReadCommand get;
  get.method = Method::getJob;
  get.tenant = codec::defaultTenant;
  get.payloadBytesMax = 100;
  const auto stateOf = [&](const JobId& id) {
    get.id = id;
    const ReadResult found = node.machine->read(get);
    EXPECT_EQ(found.code, ErrorCode::OK);
    return found.jobs.at(0).state;
  };
  EXPECT_EQ(stateOf(ready[0]), schema::JobState::READY);
  EXPECT_EQ(stateOf(later[0]), schema::JobState::SCHEDULED);
  const CommandResult granted = node.fetch({"q"});
  EXPECT_EQ(stateOf(ready[0]), schema::JobState::LEASED);
  node.fail(granted.lease, ready[0], true);
  EXPECT_EQ(stateOf(ready[0]), schema::JobState::DEAD);
  get.id.bytes.fill(4);
  EXPECT_EQ(node.machine->read(get).code, ErrorCode::NOT_FOUND);
  get.id = later[0];
  get.tenant = "another";
  EXPECT_EQ(node.machine->read(get).code, ErrorCode::NOT_FOUND) << "of another tenant";
}

TEST(FsmPause, aPausedQueueGivesNothingAndResumingTellsWaiters) {
  Node node;
  node.enqueue("q", {"a"});
  const auto set = [&](bool pause) {
    node.run<schema::SetQueueRequest>(Method::setQueue, [&](schema::SetQueueRequest::Builder body) {
      body.setQueue("q");
      if (pause) body.setPause(true);
      if (!pause) body.setResume(true);
    });
  };
  set(true);
  EXPECT_EQ(node.applied.queues.at(0).grantable, 0u);
  EXPECT_TRUE(node.fetch({"q"}).jobs.empty());
  set(false);
  EXPECT_TRUE(node.applied.queues.at(0).bumped);
  EXPECT_EQ(node.applied.queues.at(0).grantable, 1u);
  EXPECT_EQ(node.fetch({"q"}).jobs.size(), 1u);
}

TEST(FsmLayout, idsSayWhereTheyWerePut) {
  const storage::LaneKey lane{queueNumberMax - 3, 13, groupNumberMax - 5};
  const JobId id = makeJobId(1'700'000'000'123, 0xabcde, 61, lane);
  EXPECT_EQ(homeOf(id), lane);
  EXPECT_EQ(idMsOf(id), 1'700'000'000'123u);
  EXPECT_EQ(id.bytes[6] >> 4, 7) << "the version of a UUID";
  EXPECT_EQ(id.bytes[8] >> 6, 2) << "its variant";
  EXPECT_LT(id, makeJobId(1'700'000'000'123, 0xabcdf, 0, {}));
  EXPECT_LT(id, after(id));
}

TEST(FsmLayout, whatIsAckedBeforeTheFlushLeavesNothingOnDisk) {
  Node node;
  node.enqueue("q", {"a", "b", "c"});
  const CommandResult granted = node.fetch({"q"}, 3);
  ASSERT_EQ(node.ack(granted.lease, idsOf(granted)).accepted, 3u);
  node.machine->flush(true, true);
  node.close();
  const auto database = storage::Database::open({node.options.directory}).take();
  for (const auto family : {storage::Family::jobs, storage::Family::leases}) {
    EXPECT_EQ(database->property(family, rocksdb::DB::Properties::kLiveSstFilesSize), 0u) << static_cast<int>(family);
  }
}

TEST(FsmLayout, factsOfARecordAreThoseOfItsReader) {
  capnp::MallocMessageBuilder builder;
  auto job = builder.initRoot<schema::NewJob>();
  job.setPayload(codec::dataOf(std::string(777, 'x')));
  job.setGroup("group");
  job.setContentType("text/plain");
  auto header = job.initHeaders(2)[1];
  header.setName("name");
  header.setValue(codec::dataOf("value!"));
  const RecordFacts facts{5, 6, 7, 8, -9, 777, storedBytesOf(job.asReader())};
  const auto record = makeRecord(facts, job.asReader());
  const RecordFacts read = readFacts(viewOf(*record));
  EXPECT_EQ(read.queue, 5u);
  EXPECT_EQ(read.priority, 6u);
  EXPECT_EQ(read.group, 7u);
  EXPECT_EQ(read.maxAttempts, 8u);
  EXPECT_EQ(read.enqueuedMs, -9);
  EXPECT_EQ(read.payloadBytes, 777u);
  EXPECT_EQ(read.storedBytes, 787u);
  const kj::ArrayPtr<const capnp::word> segments[1] = {
      {reinterpret_cast<const capnp::word*>(record->words.get()), record->wordCount}};
  capnp::SegmentArrayMessageReader reader(kj::arrayPtr(segments, 1));
  const auto root = reader.getRoot<schema::JobRecord>();
  EXPECT_EQ(root.getGroupName(), "group");
  EXPECT_EQ(root.getHeaders()[1].getName(), "name");
  EXPECT_EQ(root.getContentType(), "text/plain");
}

// The first vectors of the reference implementation's 128-bit test: key 00 01 … 0f, messages of 0 and 1 bytes.
TEST(FsmLayout, sipHashMatchesItsReference) {
  std::array<uint8_t, 16> key;
  for (uint8_t at = 0; at < 16; ++at) key[at] = at;
  EXPECT_EQ(toHex(sipHash128(key, {})), "a3817f04ba25a8e66df67214c7550293");
  const uint8_t zero[1] = {0};
  EXPECT_EQ(toHex(sipHash128(key, zero)), "da87c1d86b99af44347659119b22fc45");
}

}  // namespace
}  // namespace capstan::fsm
