// What a connection does with the messages of honest and of hostile clients: its tables, refusals, and the Abort with
// which it ends. The calls it passes on are only counted here.
#include "rpc/connection.h"

#include <gtest/gtest.h>

#include <map>

#include "rpc/replies.h"
#include "test/rpc_support.h"

namespace capstan::rpc {
namespace {

namespace wire = capnp::rpc;

class RpcConnection : public ::testing::Test, public ConnectionOwner {
 protected:
  bool hasRoom() const override { return called_.size() + canceledCalls.size() < roomMax; }
  uint32_t called(uint32_t question, std::unique_ptr<codec::Request> request) override {
    if (isFull) return 0;
    called_.push_back({question, std::move(request)});
    return static_cast<uint32_t>(called_.size());
  }
  void canceled(uint32_t call) override { canceledCalls.push_back(call); }
  void send(std::vector<uint8_t> frame, bool isReturn, uint32_t question) override {
    sent.emplace_back(frame);
    if (isReturn && sendsAtOnce) connection.returnSent(question);
  }

  void take(const Bytes& bytes) { connection.receive(bytes); }
  void open() {
    take(bootstrapOf(0));
    take(finishOf(0, false));
    sent.clear();
  }
  void expectAbort(const char* word) {
    ASSERT_TRUE(connection.isClosed());
    ASSERT_FALSE(sent.empty());
    ASSERT_TRUE(sent.back().message().isAbort());
    const std::string reason = sent.back().message().getAbort().getReason().cStr();
    EXPECT_NE(reason.find(word), std::string::npos) << reason;
    const size_t before = sent.size();
    take(bootstrapOf(77));
    EXPECT_EQ(sent.size(), before) << "nothing is read after an Abort";
  }
  void expectException(wire::Exception::Type type, const char* word) {
    ASSERT_FALSE(connection.isClosed());
    ASSERT_FALSE(sent.empty());
    ASSERT_TRUE(sent.back().answer().isException());
    EXPECT_EQ(sent.back().answer().getException().getType(), type);
    const std::string reason = sent.back().answer().getException().getReason().cStr();
    EXPECT_NE(reason.find(word), std::string::npos) << reason;
  }

  struct Called {
    uint32_t question;
    std::unique_ptr<codec::Request> request;
  };
  codec::Limits limits;
  Connection connection{limits, *this};
  std::vector<Called> called_;
  std::vector<uint32_t> canceledCalls;
  std::vector<Received> sent;
  size_t roomMax = 1000;
  bool sendsAtOnce = true;
  bool isFull = false;
};

Bytes header(std::vector<uint32_t> words) {
  Bytes bytes(words.size() * 4);
  std::memcpy(bytes.data(), words.data(), bytes.size());
  return bytes;
}

TEST_F(RpcConnection, refusesTooManySegments) {
  take(header({512, 1}));
  expectAbort("512 segments");
}

TEST_F(RpcConnection, takesTheMostSegmentsThatAreAllowed) {
  std::vector<uint32_t> table(514, 0);
  table[0] = 511;
  table[1] = 1;
  Bytes frame = header(table);
  frame.resize((frame.size() + 7) / 8 * 8 + 8);
  take(frame);  // a null root: a Message of kind `unimplemented`, the first of the union
  expectAbort("Unimplemented");
}

TEST_F(RpcConnection, refusesAFrameThatClaimsTooMuchBeforeItComes) {
  take(header({0, (32u << 20) / 8}));
  EXPECT_EQ(connection.buffered(), 0u);
  expectAbort("claims");
}

TEST_F(RpcConnection, refusesSizesWhoseSumIsHuge) {
  std::vector<uint32_t> table(512, 0xffffffff);
  table[0] = 510;
  take(header(table));
  expectAbort("claims");
}

TEST_F(RpcConnection, refusesAnEmptyFirstSegment) {
  take(header({0, 0}));
  expectAbort("empty");
}

TEST_F(RpcConnection, buffersOnlyWhatCame) {
  take(header({0, 1u << 20}));
  EXPECT_EQ(connection.buffered(), 8u);
  take(Bytes(100, 0));
  EXPECT_EQ(connection.buffered(), 108u);
  EXPECT_TRUE(sent.empty());
}

TEST_F(RpcConnection, survivesEveryFlippedByte) {
  const Bytes good = enqueueOf(1);
  size_t passedOn = 0;
  size_t refused = 0;
  size_t ended = 0;
  size_t other = 0;  // became another message of the protocol, or a frame that waits for more
  for (size_t at = 0; at < good.size(); at++) {
    for (const uint8_t flip : {0x01, 0x10, 0x80, 0xff}) {
      Connection fresh(limits, *this);
      fresh.receive(bootstrapOf(0));
      sent.clear();
      called_.clear();
      Bytes bad = good;
      bad[at] ^= flip;
      fresh.receive(bad);
      if (fresh.isClosed()) {
        ended++;
      } else if (!called_.empty()) {
        passedOn++;
      } else if (!sent.empty()) {
        refused++;
      } else {
        other++;
      }
    }
  }
  EXPECT_GT(passedOn, 10u) << "a payload's byte changes nothing";
  EXPECT_GT(refused, 10u);
  EXPECT_GT(ended, 50u);
  EXPECT_EQ(passedOn + refused + ended + other, good.size() * 4);
  EXPECT_LT(other, good.size());
}

TEST_F(RpcConnection, pointersOutOfBoundsEndIt) {
  Bytes bad = bootstrapOf(1);
  putLittle<uint32_t>(bad.data() + 8, 0x7ffffff0);  // the root points far behind the end
  take(bad);
  expectAbort("malformed");
}

TEST_F(RpcConnection, anEndlessPointerLoopEndsIt) {
  Bytes call = enqueueOf(1);
  open();
  // The call's own pointer to its parameters points at itself, as far as its reader follows.
  for (size_t at = 16; at + 8 <= call.size(); at += 8) {
    Bytes bad = call;
    putLittle<uint64_t>(bad.data() + at, 0x00010000fffffffcull);
    Connection fresh(limits, *this);
    fresh.receive(bootstrapOf(0));
    fresh.receive(bad);
  }
  EXPECT_FALSE(sent.empty());
}

TEST_F(RpcConnection, readsFramesCutAtEveryByte) {
  Bytes stream = bootstrapOf(0);
  for (uint32_t question = 1; question <= 3; question++) {
    const Bytes call = enqueueOf(question, std::string(question * 10, 'x'));
    stream.insert(stream.end(), call.begin(), call.end());
  }
  for (size_t cut = 0; cut <= stream.size(); cut++) {
    Connection fresh(limits, *this);
    fresh.receive(ByteSpan(stream).first(cut));
    fresh.receive(ByteSpan(stream).subspan(cut));
    ASSERT_EQ(called_.size(), 3u) << cut;
    EXPECT_EQ(called_[2].question, 3u);
    EXPECT_EQ(fresh.buffered(), 0u);
    called_.clear();
  }
  Connection drop(limits, *this);
  for (const uint8_t byte : stream) drop.receive(ByteSpan(&byte, 1));
  EXPECT_EQ(called_.size(), 3u);
}

TEST_F(RpcConnection, keepsWhatThereIsNoRoomFor) {
  open();
  roomMax = 2;
  Bytes stream;
  for (uint32_t question = 1; question <= 5; question++) {
    const Bytes call = enqueueOf(question);
    stream.insert(stream.end(), call.begin(), call.end());
  }
  take(stream);
  EXPECT_EQ(called_.size(), 2u);
  EXPECT_GT(connection.buffered(), 0u);
  roomMax = 4;
  take({});
  EXPECT_EQ(called_.size(), 4u);
  roomMax = 100;
  take(enqueueOf(6));
  ASSERT_EQ(called_.size(), 6u);
  EXPECT_EQ(called_[4].question, 5u);
  EXPECT_EQ(called_[5].question, 6u);
  EXPECT_EQ(connection.buffered(), 0u);
}

TEST_F(RpcConnection, bootstrapReturnsTheOneObject) {
  take(bootstrapOf(9));
  ASSERT_EQ(sent.size(), 1u);
  EXPECT_EQ(sent[0].answer().getAnswerId(), 9u);
  EXPECT_TRUE(sent[0].answer().getReleaseParamCaps());
  const auto results = sent[0].answer().getResults();
  ASSERT_EQ(results.getCapTable().size(), 1u);
  EXPECT_EQ(results.getCapTable()[0].getSenderHosted(), 0u);
  EXPECT_EQ(results.getCapTable()[0].getAttachedFd(), 0xff);
  EXPECT_TRUE(results.getContent().isCapability());
}

TEST_F(RpcConnection, aCallOnAnUnknownTargetEndsIt) {
  take(enqueueOf(1));
  expectAbort("target");
}

TEST_F(RpcConnection, aCallOnAReleasedObjectEndsIt) {
  open();
  take(enqueueOf(1));
  ASSERT_EQ(called_.size(), 1u);
  take(releaseOf(0, 1));
  take(enqueueOf(2));
  EXPECT_EQ(called_.size(), 1u);
  expectAbort("target");
}

TEST_F(RpcConnection, releasingTooOftenEndsIt) {
  open();
  take(releaseOf(0, 2));
  expectAbort("Release");
}

TEST_F(RpcConnection, releasingAnUnknownExportEndsIt) {
  open();
  take(releaseOf(5, 1));
  expectAbort("Release");
}

TEST_F(RpcConnection, countsAReferenceForEachBootstrap) {
  take(bootstrapOf(0));
  take(bootstrapOf(1));
  take(finishOf(0, true));  // gives one back
  take(finishOf(1, false));
  take(enqueueOf(2));
  EXPECT_EQ(called_.size(), 1u);
  take(releaseOf(0, 1));
  EXPECT_FALSE(connection.isClosed());
  take(enqueueOf(3));
  expectAbort("target");
}

TEST_F(RpcConnection, aReusedQuestionEndsIt) {
  open();
  take(enqueueOf(4));
  take(enqueueOf(4));
  EXPECT_EQ(called_.size(), 1u);
  expectAbort("asked again");
}

TEST_F(RpcConnection, aReturnedQuestionIsTakenUntilItIsFinished) {
  open();
  take(enqueueOf(4));
  connection.returnSent(4);
  take(finishOf(4));
  take(enqueueOf(4));
  EXPECT_EQ(called_.size(), 2u) << "free again";
  connection.returnSent(4);
  take(enqueueOf(4));
  expectAbort("asked again");
}

TEST_F(RpcConnection, finishBeforeReturnCancels) {
  open();
  take(enqueueOf(4));
  EXPECT_EQ(connection.openCalls(), std::vector<uint32_t>{1});
  take(finishOf(4));
  EXPECT_EQ(canceledCalls, std::vector<uint32_t>{1});
  ASSERT_EQ(sent.size(), 1u);
  EXPECT_TRUE(sent[0].answer().isCanceled());
  EXPECT_EQ(sent[0].answer().getAnswerId(), 4u);
  EXPECT_TRUE(connection.openCalls().empty());
  take(enqueueOf(4));
  EXPECT_EQ(called_.size(), 2u) << "both returned and finished: free again";
}

TEST_F(RpcConnection, aCanceledQuestionIsTakenUntilItsReturnLeft) {
  open();
  sendsAtOnce = false;
  take(enqueueOf(4));
  take(finishOf(4));
  take(enqueueOf(4));
  EXPECT_EQ(called_.size(), 1u);
  expectAbort("asked again");
}

TEST_F(RpcConnection, finishingTwiceOrTheUnknownEndsIt) {
  open();
  take(enqueueOf(4));
  sendsAtOnce = false;
  take(finishOf(4));
  take(finishOf(4));
  expectAbort("Finish");
}

TEST_F(RpcConnection, finishingTheUnknownEndsIt) {
  take(finishOf(12));
  expectAbort("Finish");
}

Bytes pipelined(uint32_t question, uint32_t on, int field) {
  return callWith<schema::EnqueueRequest>(
      question, jobQueueId, 0,
      [](auto body) {
        body.setQueue("mail");
        body.initJobs(1);
      },
      [&](auto call) {
        auto promised = call.initTarget().initPromisedAnswer();
        promised.setQuestionId(on);
        if (field >= 0) promised.initTransform(1)[0].setGetPointerField(static_cast<uint16_t>(field));
      });
}

TEST_F(RpcConnection, callsMayBePipelinedOnTheBootstrap) {
  sendsAtOnce = false;
  take(bootstrapOf(0));
  take(pipelined(1, 0, -1));
  ASSERT_EQ(called_.size(), 1u);
  EXPECT_EQ(called_[0].question, 1u);
  EXPECT_EQ(called_[0].request->method, codec::Method::enqueue);
}

TEST_F(RpcConnection, nothingElseHoldsACapability) {
  take(bootstrapOf(0));
  take(pipelined(1, 0, 0));
  expectException(wire::Exception::Type::FAILED, "no capability");
  take(enqueueOf(2));
  take(pipelined(3, 2, 0));
  expectException(wire::Exception::Type::FAILED, "no capability");
  EXPECT_EQ(called_.size(), 1u);
  take(pipelined(4, 99, 0));
  expectAbort("target");
}

TEST_F(RpcConnection, unknownInterfacesAndMethodsAreUnimplemented) {
  open();
  const auto nothing = [](auto) {};
  take(callOf<schema::EnqueueRequest>(1, 0xfedcba9876543210ull, 0, nothing));
  expectException(wire::Exception::Type::UNIMPLEMENTED, "interface");
  take(callOf<schema::EnqueueRequest>(2, jobQueueId, 21, nothing));
  expectException(wire::Exception::Type::UNIMPLEMENTED, "method 21");
  take(callOf<schema::EnqueueRequest>(3, queueberId, 4, nothing));
  expectException(wire::Exception::Type::UNIMPLEMENTED, "method 4");
  EXPECT_TRUE(called_.empty());
}

TEST_F(RpcConnection, resultsGoToTheCallerOnly) {
  open();
  take(callWith<schema::EnqueueRequest>(
      1, jobQueueId, 0, [](auto body) { body.setQueue("q"); },
      [](auto call) { call.getSendResultsTo().setYourself(); }));
  expectException(wire::Exception::Type::UNIMPLEMENTED, "caller");
}

TEST_F(RpcConnection, refusalsOfJobQueueAreValues) {
  open();
  take(callOf<schema::EnqueueRequest>(1, jobQueueId, 0, [](auto body) {
    body.setQueue("q");
    body.initJobs(1)[0].setPriority(16);
  }));
  ASSERT_EQ(sent.size(), 1u);
  const auto status = sent[0].response<schema::EnqueueResponse>().getStatus();
  EXPECT_EQ(status.getCode(), schema::ErrorCode::INVALID_ARGUMENT);
  EXPECT_STREQ(status.getField().cStr(), "jobs[0].priority");
  EXPECT_GT(status.getMessage().size(), 0u);
}

TEST_F(RpcConnection, refusalsOfQueueberAreExceptionsThatNameTheField) {
  open();
  take(callOf<schema::compat::PollRequest>(1, queueberId, 2, [](auto body) { body.setNumItems(1); }));
  expectException(wire::Exception::Type::FAILED, "leaseValiditySecs");
  take(callOf<schema::compat::RemoveRequest>(2, queueberId, 1, [](auto body) { body.initLease(15); }));
  expectException(wire::Exception::Type::FAILED, "lease");
}

TEST_F(RpcConnection, anAbsentRequestReadsAsAnEmptyOne) {
  open();
  take(messageOf([](auto message) {
    auto call = message.initCall();
    call.setQuestionId(1);
    call.initTarget().setImportedCap(0);
    call.setInterfaceId(queueberId);
    call.setMethodId(0);
  }));
  ASSERT_EQ(called_.size(), 1u);
  EXPECT_EQ(called_[0].request->method, codec::Method::queueberAdd);
}

TEST_F(RpcConnection, noRoomForACallIsBusy) {
  open();
  isFull = true;
  take(enqueueOf(1));
  EXPECT_EQ(sent.back().response<schema::EnqueueResponse>().getStatus().getCode(), schema::ErrorCode::BUSY);
  take(callOf<schema::compat::AddRequest>(2, queueberId, 0, [](auto) {}));
  expectException(wire::Exception::Type::OVERLOADED, "busy");
}

TEST_F(RpcConnection, disembargoComesBack) {
  open();
  take(messageOf([](auto message) {
    auto disembargo = message.initDisembargo();
    disembargo.initTarget().setImportedCap(0);
    disembargo.getContext().setSenderLoopback(42);
  }));
  ASSERT_EQ(sent.size(), 1u);
  EXPECT_EQ(sent[0].message().getDisembargo().getContext().getReceiverLoopback(), 42u);
  take(messageOf([](auto message) {
    auto disembargo = message.initDisembargo();
    disembargo.initTarget().setImportedCap(3);
    disembargo.getContext().setSenderLoopback(43);
  }));
  expectAbort("Disembargo");
}

TEST_F(RpcConnection, anAnswerToADisembargoThatWasNeverSentEndsIt) {
  open();
  take(messageOf([](auto message) { message.initDisembargo().getContext().setReceiverLoopback(1); }));
  expectAbort("Disembargo");
}

TEST_F(RpcConnection, messagesOfHigherLevelsAreUnimplemented) {
  open();
  take(messageOf([](auto message) { message.initProvide().setQuestionId(5); }));
  ASSERT_TRUE(sent.back().message().isUnimplemented());
  EXPECT_EQ(sent.back().message().getUnimplemented().getProvide().getQuestionId(), 5u);
  take(messageOf([](auto message) { message.initJoin().setQuestionId(6); }));
  EXPECT_TRUE(sent.back().message().getUnimplemented().isJoin());
  take(messageOf([](auto message) { message.initResolve().setPromiseId(7); }));
  EXPECT_EQ(sent.back().message().getUnimplemented().getResolve().getPromiseId(), 7u);
  EXPECT_FALSE(connection.isClosed());
}

TEST_F(RpcConnection, aLargeUnknownMessageIsNotEchoed) {
  take(messageOf([](auto message) { message.initResolve().initException().initReason(1 << 20); }));
  expectAbort("echo");
}

TEST_F(RpcConnection, aReturnEndsIt) {
  take(messageOf([](auto message) { message.initReturn().setAnswerId(0); }));
  expectAbort("Return");
}

TEST_F(RpcConnection, anAbortOfThePeerEndsItSilently) {
  open();
  take(enqueueOf(1));
  take(messageOf([](auto message) { message.initAbort().setReason("bye"); }));
  EXPECT_TRUE(connection.isClosed());
  EXPECT_TRUE(sent.empty());
  EXPECT_EQ(connection.openCalls().size(), 1u);
}

TEST_F(RpcConnection, questionsThatAreNeverFinishedAreBounded) {
  open();
  uint32_t question = 1;
  while (!connection.isClosed() && question < 100'000) {
    take(callOf<schema::EnqueueRequest>(question++, 1, 0, [](auto) {}));
    if (!connection.isClosed()) sent.clear();
  }
  EXPECT_GT(question, 65'000u);
  expectAbort("not finished");
}

}  // namespace
}  // namespace capstan::rpc
