// Honest and hostile messages in a seeded disorder: calls that finish, are canceled, sleep, wake, and connections that
// break the protocol, in every mixture that a listener's turns can meet. Whatever happens, JavaScript must get back
// what each call held, once: its budget of memory would otherwise leak or run negative.
#include <gtest/gtest.h>

#include <random>

#include "test/engine_worker_support.h"

namespace capstan::engine {
namespace {

class EngineWorkerCrowd : public EngineWorker, public ::testing::WithParamInterface<uint32_t> {
 protected:
  uint32_t below(uint32_t bound) { return static_cast<uint32_t>(random() % bound); }

  Bytes message() {
    question++;
    switch (below(10)) {
      case 0:
      case 1:
        return rpc::enqueueOf(question, std::string(below(3000), 'x'));
      case 2:
      case 3:
        return rpc::fetchOf(question, 5000);
      case 4:
        return rpc::fetchOf(question);
      case 5:
        return rpc::callOf<schema::SetQueueRequest>(question, rpc::jobQueueId, 9,
                                                    [](auto body) { body.setQueue("shelf"); });
      case 6:
        return rpc::callOf<schema::PeekRequest>(question, rpc::jobQueueId, 13,
                                                [](auto body) { body.setQueue("shelf"); });
      default:
        return rpc::finishOf(question - below(10));
    }
  }

  // Bytes arrive in two chunks; now and then one of them is not what the client meant.
  void clientSends() {
    Bytes bytes = message();
    if (below(8) == 0) bytes[8 + below(static_cast<uint32_t>(bytes.size()) - 8)] ^= 1u << below(8);
    const auto cut = bytes.begin() + below(static_cast<uint32_t>(bytes.size()));
    for (const Bytes& chunk : {Bytes(bytes.begin(), cut), Bytes(cut, bytes.end())}) {
      for (const Record& record : receive(chunk)) route(record);
    }
  }

  void route(const Record& record) {
    const auto callClass = static_cast<CallClass>(record[CallWord::CLASS]);
    if (callClass == CallClass::CANCELED) return;
    calls++;
    held += record.held();
    if (callClass == CallClass::READ) {
      EXPECT_EQ(worker->read(record.handle()), 0);
    } else if (callClass == CallClass::INFO) {
      worker->answerInfo(record.handle(), "1");
    } else {
      open.push_back(record.handle());
    }
  }

  void engineWorks() {
    if (below(4) == 0 && !open.empty()) {
      EXPECT_GE(propose(std::exchange(open, {})), 0);
    }
    if (below(4) == 0 && !engine.proposals.empty()) {
      std::vector<CommandResult> results(engine.proposals.front().replySlots.size());
      for (CommandResult& result : results) {
        if (below(2) == 0) result = granted(std::string(below(5000), 'p'));
      }
      engine.finish(std::move(results));
    }
    if (below(4) == 0 && !engine.reads.empty()) engine.finishRead(ReadResult());
    if (below(8) == 0 && !engine.asleep.empty()) engine.wake(*engine.asleep.begin());
  }

  void turn(size_t slabBytes) {
    events.clear();
    written.clear();
    collect(slabBytes, 16);
    for (const Event& event : std::exchange(events, {})) {
      if (event.kind == EventKind::WRITE) held -= event.words[5];
      if (event.kind == EventKind::DROPPED) held -= event.words[2];
      if (event.kind == EventKind::WAKE) open.push_back(event.words[1]);
      if (event.kind == EventKind::EMPTY) whenEmpty(event.words[1]);
      if (event.kind == EventKind::CLOSE && event.words[1] == connection) {
        closes++;
        worker->connectionClose(connection);
        connection = worker->connectionOpen();
        receive(rpc::bootstrapOf(0));
        receive(rpc::finishOf(0, false));
      }
    }
  }

  void whenEmpty(uint32_t handle) {
    if (below(3) == 0) {
      worker->expire(handle);
    } else if (!worker->park(handle)) {
      open.push_back(handle);
    }
  }

  std::mt19937 random{GetParam()};
  uint32_t question = 100;
  int64_t held = 0;
  size_t calls = 0;
  size_t closes = 0;
  std::vector<uint32_t> open;
};

TEST_P(EngineWorkerCrowd, everyCallGivesBackWhatItHeldOnce) {
  for (int step = 0; step < 8000; step++) {
    clientSends();
    engineWorks();
    if (below(16) == 0) worker->setWritable(connection, below(2) == 0);
    if (below(3) == 0) turn(2048);
    ASSERT_GE(held, 0);
  }
  EXPECT_GT(calls, 1000u);
  EXPECT_GT(closes, 50u);
  worker->connectionClose(connection);
  do {
    while (!engine.proposals.empty()) engine.finish({});
    while (!engine.reads.empty()) engine.finishRead(ReadResult());
    turn(64 << 10);
  } while (worker->moreToCollect() || !engine.proposals.empty() || !engine.completions.empty());
  EXPECT_EQ(held, 0);
  EXPECT_TRUE(engine.asleep.empty()) << "nobody sleeps for a client that is gone";
}

INSTANTIATE_TEST_SUITE_P(Seeds, EngineWorkerCrowd, ::testing::Values(1, 2, 3));

}  // namespace
}  // namespace capstan::engine
