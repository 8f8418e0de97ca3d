// Requests become entries and are read back the same: defaults filled in, the Queueber face mapped, digests that depend
// on what is asked alone, stamps that touch nothing else. Damaged entries first. Run by the native test program.
#include <gtest/gtest.h>

#include "codec/entry.h"
#include "codec/read_request.h"
#include "codec/views.h"
#include "test/codec_support.h"

namespace capstan::codec {
namespace {

std::unique_ptr<Request> enqueueOf(const std::string& payload, const char* key = nullptr, bool asLast = false) {
  return requestOf<schema::EnqueueRequest>(Method::enqueue,
                                           [&](schema::EnqueueRequest::Builder body) {
                                             if (!asLast && key != nullptr) body.initRequest().setIdempotencyKey(key);
                                             body.setQueue("mail");
                                             body.initJobs(1)[0].setPayload(dataOf(payload));
                                             if (asLast && key != nullptr) body.initRequest().setIdempotencyKey(key);
                                           })
      .take();
}

std::vector<uint8_t> entryOf(const Request& request) {
  const Request* requests[] = {&request};
  return buildEntry(requests, defaultTenant, Limits{});
}

std::string digestOf(const Request& request) {
  const std::vector<uint8_t> entry = entryOf(request);
  const OpenEntry opened = openEntry(entry).take();
  const auto digest = opened.root().getCommands()[0].getRequestDigest();
  return std::string(reinterpret_cast<const char*>(digest.begin()), digest.size());
}

TEST(CodecEntry, refusesWhatIsNoEntry) {
  EXPECT_FALSE(openEntry({}).ok());
  std::vector<uint8_t> entry = buildTickEntry(5);
  EXPECT_FALSE(openEntry(ByteSpan(entry).first(40)).ok());
  EXPECT_FALSE(openEntry(ByteSpan(entry).first(entry.size() - 8)).ok());
  auto newer = entry;
  putLittle<uint16_t>(newer.data(), 2);
  const auto opened = openEntry(newer);
  ASSERT_FALSE(opened.ok());
  EXPECT_EQ(opened.error().code, schema::ErrorCode::UNSUPPORTED);
  EXPECT_NE(opened.error().message.find("version 2"), std::string::npos);
  auto miscounted = entry;
  putLittle<uint32_t>(miscounted.data() + 4, 2);
  EXPECT_FALSE(openEntry(miscounted).ok());
}

TEST(CodecEntry, aStampTouchesNothingElse) {
  std::vector<uint8_t> entry = entryOf(*enqueueOf("x"));
  const std::vector<uint8_t> before = entry;
  Stamp stamp{123, -456, {}};
  stamp.seed.fill(7);
  stampEntry(entry, stamp);
  const EntryHeader header = readEntryHeader(entry).take();
  EXPECT_EQ(header.commands, 1u);
  EXPECT_EQ(header.stamp.elapsedMs, 123u);
  EXPECT_EQ(header.stamp.wallMs, -456);
  EXPECT_EQ(header.stamp.seed, stamp.seed);
  EXPECT_TRUE(std::equal(entry.begin() + 40, entry.end(), before.begin() + 40, before.end()));
  EXPECT_TRUE(std::equal(entry.begin(), entry.begin() + 8, before.begin()));
}

TEST(CodecEntry, manyRequestsKeepTheirOrderAndAreOneSegment) {
  std::vector<std::unique_ptr<Request>> owned;
  std::vector<const Request*> requests;
  for (int number = 0; number < 100; ++number) {
    owned.push_back(enqueueOf(std::to_string(number) + std::string(300, 'x')));
    requests.push_back(owned.back().get());
  }
  const std::vector<uint8_t> entry = buildEntry(requests, defaultTenant, Limits{});
  EXPECT_EQ(getLittle<uint32_t>(entry.data() + 48), 0u) << "one segment";
  const OpenEntry opened = openEntry(entry).take();
  const auto commands = opened.root().getCommands();
  ASSERT_EQ(commands.size(), 100u);
  for (uint32_t number = 0; number < 100; ++number) {
    const auto payload = commands[number].getEnqueue().getJobs()[0].getPayload();
    EXPECT_EQ(asText({payload.begin(), payload.size()}), std::to_string(number) + std::string(300, 'x'));
  }
  EXPECT_EQ(opened.root().getQueueDefaults().getMaxAttempts(), 10u);
  EXPECT_EQ(opened.root().getLimits().getLeasedJobsMax(), 1'000'000u);
}

TEST(CodecEntry, fillsInDefaultsAndMovesTheRequestId) {
  const auto fetch = requestOf<schema::FetchRequest>(Method::fetch, [](auto body) {
                       body.initQueues(1).set(0, "q");
                       body.setWaitMs(100);
                       body.initRequest().setSession(9);
                       body.getRequest().setSequence(4);
                     }).take();
  const std::vector<uint8_t> entry = entryOf(*fetch);
  const OpenEntry opened = openEntry(entry).take();
  const auto command = opened.root().getCommands()[0];
  EXPECT_TRUE(command.getMayPark());
  EXPECT_EQ(command.getRequest().getSession(), 9u);
  EXPECT_FALSE(command.getFetch().hasRequest());
  EXPECT_EQ(command.getFetch().getJobsMax(), 1u);
  EXPECT_EQ(command.getFetch().getBytesMax(), 4u << 20);
  EXPECT_EQ(command.getFetch().getLeaseMs(), 30'000u);
  EXPECT_EQ(command.getRequestDigest().size(), 16u);
}

TEST(CodecEntry, aRetryWithLessWaitOrOtherDefaultsIsTheSameRequest) {
  const auto fetchOf = [](uint64_t waitMs, uint32_t jobsMax) {
    return requestOf<schema::FetchRequest>(Method::fetch,
                                           [&](auto body) {
                                             body.initQueues(1).set(0, "q");
                                             body.setWaitMs(waitMs);
                                             body.setJobsMax(jobsMax);
                                             body.initRequest().setSession(9);
                                             body.getRequest().setSequence(4);
                                           })
        .take();
  };
  const std::string one = digestOf(*fetchOf(5000, 0));
  EXPECT_EQ(one.size(), 16u);
  EXPECT_EQ(one, digestOf(*fetchOf(10, 0)));
  EXPECT_NE(one, digestOf(*fetchOf(5000, 7)));
  const auto fetch = fetchOf(5000, 0);
  const Request* requests[] = {fetch.get()};
  Limits limits;
  limits.leaseMsDefault = 77'000;
  const std::vector<uint8_t> entry = buildEntry(requests, defaultTenant, limits);
  const OpenEntry opened = openEntry(entry).take();
  const auto command = opened.root().getCommands()[0];
  EXPECT_EQ(command.getFetch().getLeaseMs(), 77'000u);
  EXPECT_EQ(viewOf(command.getRequestDigest()), one);
}

TEST(CodecEntry, aDigestDependsOnWhatIsAskedAlone) {
  const std::string one = digestOf(*enqueueOf("same", "key"));
  EXPECT_EQ(one.size(), 16u);
  EXPECT_EQ(one, digestOf(*enqueueOf("same", "another key", true)));
  EXPECT_NE(one, digestOf(*enqueueOf("other", "key")));
  EXPECT_TRUE(digestOf(*enqueueOf("same")).empty());
}

TEST(CodecEntry, theQueueberFaceBecomesTheSameCommands) {
  const auto add = requestOf<schema::compat::AddRequest>(Method::queueberAdd, [](auto body) {
                     auto items = body.initItems(2);
                     items[0].setContents(dataOf("a"));
                     items[1].setVisibilityTimeoutSecs(UINT64_MAX);
                   }).take();
  const auto poll = requestOf<schema::compat::PollRequest>(Method::queueberPoll, [](auto body) {
                      body.setLeaseValiditySecs(UINT64_MAX);
                      body.setNumItems(UINT32_MAX);
                    }).take();
  EXPECT_EQ(poll->waitMs, waitsForever);
  const Request* requests[] = {add.get(), poll.get()};
  const std::vector<uint8_t> entry = buildEntry(requests, defaultTenant, Limits{});
  const OpenEntry opened = openEntry(entry).take();
  const auto enqueue = opened.root().getCommands()[0].getEnqueue();
  EXPECT_EQ(enqueue.getQueue(), "default");
  EXPECT_EQ(enqueue.getJobs()[0].getMaxAttempts(), unlimitedAttempts);
  EXPECT_EQ(enqueue.getJobs()[1].getDelayMs(), Limits{}.delayMsMax);
  const auto fetch = opened.root().getCommands()[1].getFetch();
  EXPECT_EQ(fetch.getJobsMax(), Limits{}.fetchJobsMax);
  EXPECT_EQ(fetch.getLeaseMs(), Limits{}.leaseMsMax);
  EXPECT_TRUE(opened.root().getCommands()[1].getMayPark());
}

TEST(CodecEntry, theEnginesOwnEntries) {
  EXPECT_EQ(openEntry(buildStampEntry()).take().header.commands, 0u);
  const std::vector<uint8_t> tick = buildTickEntry(77);
  EXPECT_EQ(openEntry(tick).take().root().getCommands()[0].getTick().getRowsMax(), 77u);
  LeaseId lease;
  lease.bytes.fill(3);
  const LeaseId leases[] = {lease, lease};
  const std::vector<uint8_t> unsend = buildUnsendEntry(leases);
  EXPECT_EQ(openEntry(unsend).take().root().getCommands()[1].getUnsend().getLease().size(), 16u);
}

TEST(CodecEntry, bytesWhosePointersLeadNowhereAreNoEntry) {
  std::vector<uint8_t> tick = buildTickEntry(77);
  const size_t root = schema::ENTRY_HEADER_BYTES + 8;
  putLittle<uint64_t>(tick.data() + root, 0x7ffffff0);
  const Result<OpenEntry> far = openEntry(tick);
  ASSERT_FALSE(far.ok());
  EXPECT_EQ(far.error().code, schema::ErrorCode::INTERNAL);
  putLittle<uint64_t>(tick.data() + root, 3);  // a capability
  EXPECT_FALSE(openEntry(tick).ok());
}

TEST(CodecEntry, aReadHasItsDefaults) {
  const auto peek = requestOf<schema::PeekRequest>(Method::peek, [](auto body) { body.setQueue("q"); }).take();
  EXPECT_EQ(peek->callClass, schema::CallClass::READ);
  const ReadCommand command = makeRead(*peek, defaultTenant, Limits{});
  EXPECT_EQ(command.queue, "q");
  EXPECT_EQ(command.limit, 10u);
  EXPECT_EQ(command.payloadBytesMax, 64u << 10);
}

}  // namespace
}  // namespace capstan::codec
