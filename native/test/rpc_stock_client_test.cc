// The stock RPC library of Cap'n Proto as client, through a pipe in memory: that what connection and replies make is
// what strangers' clients understand. The engine behind answers from memory.
#include <capnp/rpc-twoparty.h>
#include <gtest/gtest.h>
#include <kj/async-io.h>

#include "test/engine_worker_support.h"

namespace capstan::engine {
namespace {

// Not a fixture itself: KJ's destructors may throw, a fixture's may not.
struct World {
  World() {
    worker = Worker::open(engine, codec::Limits(), [] {}).take();
    connection = worker->connectionOpen();
    pipe = kj::newTwoWayPipe();
    serving =
        serve().eagerlyEvaluate([this](kj::Exception&& exception) { failure = exception.getDescription().cStr(); });
    client = kj::heap<capnp::TwoPartyClient>(*pipe.ends[0]);
  }

  // Reads a chunk, does what a turn of a listener worker does, writes what is due; until the client is gone.
  kj::Promise<void> serve() {
    return pipe.ends[1]->tryRead(chunk, 1, sizeof(chunk)).then([this](size_t bytes) -> kj::Promise<void> {
      if (bytes == 0) return kj::READY_NOW;
      take(bytes);
      return flush().then([this] { return serve(); });
    });
  }

  void take(size_t bytes) {
    std::vector<uint32_t> words(4096 * schema::CALL_WORDS);
    const uint32_t count = worker->receive(connection, ByteSpan(chunk, bytes), words);
    for (uint32_t at = 0; at < count; at++) {
      const uint32_t* record = words.data() + at * schema::CALL_WORDS;
      const auto callClass = static_cast<CallClass>(record[static_cast<size_t>(CallWord::CLASS)]);
      if (callClass == CallClass::CANCELED) {
        canceled++;
        continue;
      }
      handles.push_back(record[0]);
      if (holdBack) continue;
      ASSERT_GT(worker->propose(0, {record, 1}), 0);
      std::vector<CommandResult> results;
      results.push_back(answer(static_cast<uint16_t>(record[static_cast<size_t>(CallWord::METHOD)])));
      engine.finish(std::move(results));
    }
  }

  CommandResult answer(uint16_t method) {
    CommandResult result;
    if (method == static_cast<uint16_t>(codec::Method::enqueue)) result.ids.resize(2);
    if (method == static_cast<uint16_t>(codec::Method::queueberPoll)) {
      result.lease.bytes.fill(1);
      result.jobs.push_back(rpc::jobOf("stored"));
    }
    if (method == static_cast<uint16_t>(codec::Method::queueberAdd)) {
      result.code = ErrorCode::BUSY;
    }
    return result;
  }

  kj::Promise<void> flush() {
    Bytes out;
    do {
      std::vector<uint64_t> slab(1024);
      const std::span<uint8_t> bytes(reinterpret_cast<uint8_t*>(slab.data()), slab.size() * 8);
      std::vector<uint32_t> events(64 * schema::EVENT_WORDS);
      const uint32_t count = worker->collect(bytes, events);
      for (uint32_t at = 0; at < count; at++) {
        const uint32_t* event = events.data() + at * schema::EVENT_WORDS;
        if (event[0] != static_cast<uint32_t>(EventKind::WRITE)) continue;
        out.insert(out.end(), bytes.begin() + event[2], bytes.begin() + event[2] + event[3]);
      }
    } while (worker->moreToCollect());
    if (out.empty()) return kj::READY_NOW;
    auto copy = kj::heapArray<kj::byte>(out.data(), out.size());
    auto promise = pipe.ends[1]->write(copy.begin(), copy.size());
    return promise.attach(kj::mv(copy));
  }

  kj::EventLoop loop;
  kj::WaitScope scope{loop};
  MemoryEngine engine;
  std::unique_ptr<Worker> worker;
  uint32_t connection = 0;
  kj::TwoWayPipe pipe;
  kj::byte chunk[4096];
  kj::Promise<void> serving = nullptr;
  kj::Own<capnp::TwoPartyClient> client;
  std::vector<uint32_t> handles;
  std::string failure;
  size_t canceled = 0;
  bool holdBack = false;
};

class RpcStockClient : public ::testing::Test {
 protected:
  void TearDown() override { EXPECT_EQ(world->failure, ""); }
  const std::unique_ptr<World> world = std::make_unique<World>();
};

TEST_F(RpcStockClient, callsPipelinedOnTheBootstrapAreAnswered) {
  auto jobs = world->client->bootstrap().castAs<schema::JobQueue>();
  auto request = jobs.enqueueRequest();
  auto body = request.initReq();
  body.setQueue("mail");
  body.initJobs(2);
  auto response = request.send().wait(world->scope);
  EXPECT_EQ(response.getResp().getIds().size(), 2u);
  EXPECT_EQ(world->handles.size(), 1u);
}

TEST_F(RpcStockClient, oneObjectAnswersBothInterfaces) {
  auto object = world->client->bootstrap();
  auto queueber = object.castAs<schema::compat::Queueber>();
  for (int turn = 0; turn < 3; turn++) {
    auto poll = queueber.pollRequest();
    poll.initReq().setLeaseValiditySecs(5);
    auto polled = poll.send().wait(world->scope);
    ASSERT_EQ(polled.getResp().getItems().size(), 1u);
    EXPECT_EQ(rpc::textOf(polled.getResp().getItems()[0].getContents()), "stored");
    auto enqueue = object.castAs<schema::JobQueue>().enqueueRequest();
    enqueue.initReq().setQueue("mail");
    EXPECT_EQ(enqueue.send().wait(world->scope).getResp().getIds().size(), 2u);
  }
}

template <class Call>
kj::Exception failureOf(kj::WaitScope& scope, Call call) {
  kj::Maybe<kj::Exception> caught;
  call.ignoreResult().then([] {}, [&caught](kj::Exception&& exception) { caught = kj::mv(exception); }).wait(scope);
  KJ_IF_MAYBE (exception, caught) return kj::mv(*exception);
  return KJ_EXCEPTION(FAILED, "the call succeeded");
}

TEST_F(RpcStockClient, refusalsAreExceptionsOfTheirType) {
  auto object = world->client->bootstrap();
  auto queueber = object.castAs<schema::compat::Queueber>();
  const auto busy = failureOf(world->scope, queueber.addRequest().send());
  EXPECT_EQ(busy.getType(), kj::Exception::Type::OVERLOADED);
  const auto invalid = failureOf(world->scope, queueber.pollRequest().send());
  EXPECT_EQ(invalid.getType(), kj::Exception::Type::FAILED);
  EXPECT_NE(std::string(invalid.getDescription().cStr()).find("leaseValiditySecs"), std::string::npos);
  const auto unknown =
      failureOf(world->scope, object.typelessRequest(0xfedcba9876543210ull, 0, capnp::MessageSize{4, 0}).send());
  EXPECT_EQ(unknown.getType(), kj::Exception::Type::UNIMPLEMENTED);
}

TEST_F(RpcStockClient, droppingAPromiseCancelsItsCall) {
  auto jobs = world->client->bootstrap().castAs<schema::JobQueue>();
  jobs.enqueueRequest().send().wait(world->scope);  // refused, but the object is there now
  world->holdBack = true;
  {
    auto request = jobs.fetchRequest();
    request.initReq().initQueues(1).set(0, "mail");
    auto promise = request.send();
    while (world->handles.empty()) world->scope.poll();
  }
  while (world->canceled == 0) world->scope.poll();
  world->holdBack = false;
  EXPECT_EQ(world->worker->propose(0, world->handles), 0);
  auto enqueue = jobs.enqueueRequest();
  enqueue.initReq().setQueue("mail");
  EXPECT_EQ(enqueue.send().wait(world->scope).getResp().getIds().size(), 2u) << "the connection goes on";
}

TEST_F(RpcStockClient, theObjectMayBeLetGoAndAskedForAgain) {
  for (int turn = 0; turn < 3; turn++) {
    auto jobs = world->client->bootstrap().castAs<schema::JobQueue>();
    auto request = jobs.enqueueRequest();
    request.initReq().setQueue("mail");
    EXPECT_EQ(request.send().wait(world->scope).getResp().getIds().size(), 2u);
  }
}

TEST_F(RpcStockClient, repliesLargerThanAChunkArrive) {
  world->holdBack = true;
  auto jobs = world->client->bootstrap().castAs<schema::JobQueue>();
  auto request = jobs.fetchRequest();
  request.initReq().initQueues(1).set(0, "mail");
  auto promise = request.send();
  while (world->handles.empty()) world->scope.poll();
  ASSERT_GT(world->worker->propose(0, world->handles), 0);
  CommandResult result;
  result.lease.bytes.fill(1);
  result.jobs.push_back(rpc::jobOf(std::string(300'000, 'x')));
  std::vector<CommandResult> results;
  results.push_back(std::move(result));
  world->engine.finish(std::move(results));
  auto writing = world->flush().eagerlyEvaluate(nullptr);
  EXPECT_EQ(promise.wait(world->scope).getResp().getJobs()[0].getPayload().size(), 300'000u);
}

}  // namespace
}  // namespace capstan::engine
