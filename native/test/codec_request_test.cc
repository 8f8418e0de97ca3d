// What a client may not send, and that each refusal names its field; then what a good request says about itself.
// Hostile bytes come first. Owns nothing. Run by the native test program.
#include <gtest/gtest.h>

#include <random>

#include "codec/entry.h"
#include "test/codec_support.h"

namespace capstan::codec {
namespace {

using schema::ErrorCode;

const std::string lease(16, 'l');
const std::string job(16, 'j');

std::vector<uint8_t> enqueueFrame(uint32_t jobs = 3) {
  return frameOf<schema::EnqueueRequest>([&](schema::EnqueueRequest::Builder body) {
    body.setQueue("mail");
    auto list = body.initJobs(jobs);
    for (auto one : list) {
      one.setPayload(dataOf("payload"));
      one.setGroup("group");
      auto header = one.initHeaders(1)[0];
      header.setName("trace");
      header.setValue(dataOf("abc"));
    }
  });
}

template <class Struct, class Fill>
void expectRefused(Method method, ErrorCode code, const std::string& field, Fill fill) {
  const auto request = requestOf<Struct>(method, fill);
  ASSERT_FALSE(request.ok()) << field;
  EXPECT_EQ(request.error().code, code) << request.error().message;
  EXPECT_EQ(request.error().field, field);
  EXPECT_FALSE(request.error().message.empty());
}

TEST(CodecFrame, refusesSegmentTablesThatLie) {
  const std::vector<uint8_t> good = enqueueFrame();
  ASSERT_TRUE(validateFrame(Method::enqueue, good).ok());
  EXPECT_FALSE(pinMessage({}).ok());
  EXPECT_FALSE(pinMessage(ByteSpan(good).first(7)).ok());
  EXPECT_FALSE(pinMessage(ByteSpan(good).first(good.size() - 8)).ok());
  auto longer = good;
  longer.resize(longer.size() + 8);
  EXPECT_FALSE(pinMessage(longer).ok());
  for (const uint32_t segments : {1u, 511u, 512u, 0x7fffffffu, 0xffffffffu}) {
    auto bad = good;
    putLittle<uint32_t>(bad.data(), segments);
    EXPECT_FALSE(pinMessage(bad).ok()) << segments;
  }
  auto bad = good;
  putLittle<uint32_t>(bad.data() + 4, 0xffffffffu);
  EXPECT_FALSE(pinMessage(bad).ok());
}

TEST(CodecFrame, aLargeFrameIsTakenWithoutACopy) {
  std::vector<uint8_t> frame = enqueueFrame();
  const uint8_t* where = frame.data();
  const auto adopted = adoptMessage(std::move(frame));
  ASSERT_TRUE(adopted.ok());
  EXPECT_EQ(reinterpret_cast<const uint8_t*>(adopted.value()->first), where + 8);
  std::vector<uint8_t> bad = enqueueFrame();
  bad.pop_back();
  EXPECT_FALSE(adoptMessage(std::move(bad)).ok());
}

TEST(CodecRequest, keepsOnlyWhatAReplyNeedsOnceAnEntryHoldsIt) {
  const std::string payload(100'000, 'p');
  auto enqueue = requestOf<schema::EnqueueRequest>(Method::enqueue, [&](auto body) {
                   body.setQueue("mail");
                   body.initJobs(1)[0].setPayload(dataOf(payload));
                 }).take();
  const uint32_t bytes = enqueue->bytes;
  enqueue->releaseBody();
  EXPECT_EQ(enqueue->body<schema::EnqueueRequest>().getJobs().size(), 0u);
  EXPECT_EQ(enqueue->bytes, bytes);

  auto exchange = requestOf<schema::ExchangeRequest>(Method::exchange, [&](auto body) {
                    body.initAcks(2)[0].setLease(dataOf(lease));
                    body.getAcks()[1].setLease(dataOf(lease));
                    body.initEnqueues(1)[0].setQueue("mail");
                    body.getEnqueues()[0].initJobs(1)[0].setPayload(dataOf(payload));
                    body.initFetch().initQueues(1).set(0, "mail");
                  }).take();
  exchange->releaseBody();
  const auto left = exchange->body<schema::ExchangeRequest>();
  EXPECT_EQ(left.getAcks().size(), 2u);
  EXPECT_EQ(left.getFails().size(), 0u);
  EXPECT_EQ(left.getEnqueues().size(), 1u);
  EXPECT_EQ(left.getEnqueues()[0].getJobs().size(), 0u);
  EXPECT_TRUE(left.hasFetch());
}

// A request may pass although a byte of it was changed; then making an entry of it must be safe too. Parts of an
// exchange carry fields that nothing reads, which are copied all the same.
TEST(CodecFrame, whatPassesCanBecomeAnEntry) {
  const std::vector<uint8_t> good = frameOf<schema::ExchangeRequest>([](auto body) {
    body.initRequest().setIdempotencyKey("key");
    auto ack = body.initAcks(1)[0];
    ack.setLease(dataOf(lease));
    ack.initRequest().initReceivedAbove(3);
    ack.initIds(1).set(0, dataOf(job));
    auto enqueue = body.initEnqueues(1)[0];
    enqueue.setQueue("mail");
    enqueue.initRequest().setIdempotencyKey("not looked at");
    enqueue.initJobs(2)[1].setPayload(dataOf("payload"));
    body.initFetch().initQueues(1).set(0, "mail");
  });
  std::mt19937 random(3);
  uint32_t passed = 0;
  for (size_t at = 0; at < good.size(); ++at) {
    for (int round = 0; round < 32; ++round) {
      auto bad = good;
      bad[at] = static_cast<uint8_t>(random());
      auto request = validateFrame(Method::exchange, bad);
      if (!request.ok()) continue;
      ++passed;
      const Request* requests[] = {request.value().get()};
      const std::vector<uint8_t> entry = buildEntry(requests, defaultTenant, Limits{});
      ASSERT_TRUE(openEntry(entry).ok());
    }
  }
  EXPECT_GT(passed, 1000u);
}

// A waiting fetch is proposed anew at each wake, so a request may be read without end.
TEST(CodecFrame, whatPassedCanBecomeAnEntryAnyNumberOfTimes) {
  const auto validated = validateFrame(Method::enqueue, enqueueFrame(3));
  ASSERT_TRUE(validated.ok()) << validated.error().message;
  const Request* request = validated.value().get();
  const std::vector<uint8_t> first = buildEntry({&request, 1}, defaultTenant, Limits());
  for (int turn = 0; turn < 5000; ++turn) ASSERT_EQ(buildEntry({&request, 1}, defaultTenant, Limits()), first) << turn;
}

TEST(CodecFrame, survivesEveryByteFlipped) {
  const std::vector<uint8_t> good = enqueueFrame();
  std::mt19937 random(7);
  uint32_t refused = 0;
  for (size_t at = 0; at < good.size(); ++at) {
    for (int round = 0; round < 8; ++round) {
      auto bad = good;
      bad[at] = static_cast<uint8_t>(random());
      if (!validateFrame(Method::enqueue, bad).ok()) ++refused;
    }
  }
  EXPECT_GT(refused, good.size()) << "most of the bytes are structure";
}

TEST(CodecFrame, refusesAListThatClaimsMoreThanTheMessageHolds) {
  auto bad = enqueueFrame(1);
  // The struct's pointers stand behind its root pointer: request, queue, jobs. The third becomes a huge list of
  // nothing.
  uint8_t* pointer = bad.data() + 8 + 8 + 16;
  putLittle<uint32_t>(pointer, 1);
  putLittle<uint32_t>(pointer + 4, 0xfffffff8u);
  EXPECT_FALSE(validateFrame(Method::enqueue, bad).ok());
}

TEST(CodecRequest, boundsTheSettingsOfAQueue) {
  using Settings = schema::QueueSettings::Builder;
  const auto with = [](auto set) {
    return [set](schema::SetQueueRequest::Builder body) {
      body.setQueue("q");
      set(body.initSettings());
    };
  };
  const auto refused = [&](const char* field, auto set) {
    expectRefused<schema::SetQueueRequest>(Method::setQueue, ErrorCode::INVALID_ARGUMENT, field, with(set));
  };
  refused("settings.deadKeepMs", [](Settings settings) { settings.setDeadKeepMs(1000); });
  refused("settings.backoffBaseMs", [](Settings settings) { settings.setBackoffBaseMs(24 * 3600 * 1000 + 1); });
  refused("settings.backoffMaxMs", [](Settings settings) { settings.setBackoffMaxMs(30ull * 24 * 3600 * 1000 + 1); });
  refused("settings.groupQuantum", [](Settings settings) { settings.setGroupQuantum(10'001); });
  refused("settings.noJitter", [](Settings settings) {
    settings.setNoJitter(true);
    settings.setBackoffJitterPercent(5);
  });
  refused("settings.noBackoff", [](Settings settings) {
    settings.setNoBackoff(true);
    settings.setBackoffBaseMs(5);
  });
}

TEST(CodecRequest, namesTheFieldOfAnEnqueue) {
  using Body = schema::EnqueueRequest::Builder;
  const auto with = [](auto set) {
    return [set](Body body) {
      body.setQueue("q");
      set(body.initJobs(2)[1]);
    };
  };
  expectRefused<schema::EnqueueRequest>(Method::enqueue, ErrorCode::INVALID_ARGUMENT, "queue",
                                        [](Body body) { body.initJobs(1); });
  expectRefused<schema::EnqueueRequest>(Method::enqueue, ErrorCode::INVALID_ARGUMENT, "queue",
                                        [](Body body) { body.setQueue("a\nb"); });
  expectRefused<schema::EnqueueRequest>(Method::enqueue, ErrorCode::INVALID_ARGUMENT, "jobs[1].priority",
                                        with([](schema::NewJob::Builder one) { one.setPriority(16); }));
  expectRefused<schema::EnqueueRequest>(Method::enqueue, ErrorCode::TOO_LARGE, "jobs[1].payload",
                                        with([](schema::NewJob::Builder one) { one.initPayload((1u << 20) + 1); }));
  expectRefused<schema::EnqueueRequest>(Method::enqueue, ErrorCode::INVALID_ARGUMENT, "jobs[1].runAtMs",
                                        with([](schema::NewJob::Builder one) {
                                          one.setRunAtMs(5);
                                          one.setDelayMs(5);
                                        }));
  expectRefused<schema::EnqueueRequest>(Method::enqueue, ErrorCode::INVALID_ARGUMENT, "jobs[1].delayMs",
                                        with([](schema::NewJob::Builder one) { one.setDelayMs(UINT64_MAX); }));
  expectRefused<schema::EnqueueRequest>(Method::enqueue, ErrorCode::INVALID_ARGUMENT, "jobs[1].maxAttempts",
                                        with([](schema::NewJob::Builder one) { one.setMaxAttempts(1001); }));
}

TEST(CodecRequest, namesTheFieldOfOtherCalls) {
  expectRefused<schema::FetchRequest>(Method::fetch, ErrorCode::INVALID_ARGUMENT, "queues", [](auto) {});
  expectRefused<schema::FetchRequest>(Method::fetch, ErrorCode::INVALID_ARGUMENT, "leaseMs", [](auto body) {
    body.initQueues(1).set(0, "q");
    body.setLeaseMs(99);
  });
  expectRefused<schema::AckRequest>(Method::ack, ErrorCode::INVALID_ARGUMENT, "lease",
                                    [](auto body) { body.setLease(dataOf("short")); });
  expectRefused<schema::AckRequest>(Method::ack, ErrorCode::INVALID_ARGUMENT, "ids[0]", [](auto body) {
    body.setLease(dataOf(lease));
    body.initIds(1).set(0, dataOf("odd"));
  });
  expectRefused<schema::GetJobRequest>(Method::getJob, ErrorCode::INVALID_ARGUMENT, "id",
                                       [](auto body) { body.setId(dataOf("odd")); });
  expectRefused<schema::ExchangeRequest>(Method::exchange, ErrorCode::INVALID_ARGUMENT, "enqueues[0].queue",
                                         [](auto body) { body.initEnqueues(1); });
}

TEST(CodecRequest, namesTheFieldOfTheQueueberFace) {
  expectRefused<schema::compat::PollRequest>(Method::queueberPoll, ErrorCode::INVALID_ARGUMENT, "leaseValiditySecs",
                                             [](auto) {});
  expectRefused<schema::compat::RemoveRequest>(Method::queueberRemove, ErrorCode::INVALID_ARGUMENT, "lease",
                                               [](auto) {});
  expectRefused<schema::compat::AddRequest>(Method::queueberAdd, ErrorCode::TOO_LARGE, "items[1].contents",
                                            [](auto body) { body.initItems(2)[1].initContents((1u << 20) + 1); });
  const auto odd = requestOf<schema::compat::RemoveRequest>(Method::queueberRemove, [](auto body) {
    body.setLease(dataOf(lease));
    body.setId(dataOf("any odd size is merely unknown"));
  });
  EXPECT_TRUE(odd.ok());
}

TEST(CodecRequest, anAbsentStructReadsAsAnEmptyOne) {
  const std::vector<uint8_t> nothing{0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0};
  EXPECT_TRUE(validateFrame(Method::queueberAdd, nothing).ok());
  EXPECT_TRUE(validateFrame(Method::serverInfo, nothing).ok());
  const auto poll = validateFrame(Method::queueberPoll, nothing);
  ASSERT_FALSE(poll.ok());
  EXPECT_EQ(poll.error().field, "leaseValiditySecs");
}

TEST(CodecRequest, saysWhatItsCallerNeedsToKnow) {
  const auto enqueued = validateFrame(Method::enqueue, enqueueFrame(3));
  ASSERT_TRUE(enqueued.ok());
  const Request& enqueue = *enqueued.value();
  EXPECT_EQ(enqueue.callClass, schema::CallClass::WRITE);
  EXPECT_EQ(enqueue.jobs, 3u);
  EXPECT_TRUE(enqueue.enqueues);
  EXPECT_EQ(enqueue.queueKey, queueHash(defaultTenant, "mail"));
  EXPECT_GE(enqueue.replyBytesMax, 3 * 24u);
  // Segments without a word take memory too.
  auto spread = enqueueFrame(3);
  const uint32_t words = getLittle<uint32_t>(spread.data() + 4);
  std::vector<uint8_t> table(4 + 4 * 512, 0);
  putLittle<uint32_t>(table.data(), 511);
  putLittle<uint32_t>(table.data() + 4, words);
  table.resize((table.size() + 7) / 8 * 8);
  spread.erase(spread.begin(), spread.begin() + 8);
  spread.insert(spread.begin(), table.begin(), table.end());
  const auto inSegments = validateFrame(Method::enqueue, spread);
  ASSERT_TRUE(inSegments.ok()) << inSegments.error().message;
  EXPECT_GE(inSegments.value()->bytes, enqueue.bytes + 511 * 20);
  const auto fetched = requestOf<schema::FetchRequest>(Method::fetch, [](auto body) {
    auto queues = body.initQueues(2);
    queues.set(0, "a");
    queues.set(1, "b");
    body.setWaitMs(5000);
    body.setJobsMax(7);
    body.initRequest().setSession(3);
    body.getRequest().setSequence(1);
  });
  ASSERT_TRUE(fetched.ok()) << fetched.error().message;
  const Request& fetch = *fetched.value();
  EXPECT_EQ(fetch.callClass, schema::CallClass::FETCH);
  EXPECT_EQ(fetch.waitMs, 5000u);
  EXPECT_EQ(fetch.jobs, 7u);
  EXPECT_EQ(fetch.queueKey, 0u);
  EXPECT_EQ(fetch.queueHashes.size(), 2u);
  EXPECT_TRUE(fetch.storesResult);
  EXPECT_NE(queueHash("a", "bc"), queueHash("ab", "c"));
}

}  // namespace
}  // namespace capstan::codec
