// Packed connections of a worker: calls and replies through the packed form, bombs within the bounds of any connection,
// and the work that one call of `receive` does. Owns nothing.
#include "engine/packed.h"

#include <capnp/serialize-packed.h>
#include <kj/io.h>

#include "test/engine_worker_support.h"

namespace capstan::engine {
namespace {

Bytes packedOf(const Bytes& frames) {
  rpc::Packer packer;
  Bytes packed;
  packer.pack(frames, packed);
  return packed;
}

class EnginePacked : public EngineWorker {
 protected:
  void SetUp() override {
    EngineWorker::SetUp();
    packed = std::make_unique<PackedConnections>(*worker);
    packed->open(connection);
  }
  std::vector<uint32_t> feed(ByteSpan bytes, uint32_t recordsMax = 64) {
    std::vector<uint32_t> words(recordsMax * schema::CALL_WORDS);
    words.resize(packed->receive(connection, bytes, words) * schema::CALL_WORDS);
    std::vector<uint32_t> handles;
    for (size_t at = 0; at < words.size(); at += schema::CALL_WORDS) handles.push_back(words[at]);
    return handles;
  }

  std::unique_ptr<PackedConnections> packed;
};

TEST_F(EnginePacked, aCallAndItsReply) {
  const auto handles = feed(packedOf(rpc::enqueueOf(1)));
  ASSERT_EQ(handles.size(), 1u);
  EXPECT_FALSE(packed->pending(connection));
  EXPECT_EQ(packed->buffered(connection), 0u);
  ASSERT_GT(propose(handles), 0);
  engine.finish(one(added()));
  collect();
  const ByteSpan reply = packed->pack(connection, written[connection]);
  EXPECT_LT(reply.size(), written[connection].size());
  kj::ArrayInputStream stream(kj::arrayPtr(reply.data(), reply.size()));
  capnp::PackedMessageReader reader(stream);
  EXPECT_EQ(reader.getRoot<capnp::rpc::Message>().getReturn().getAnswerId(), 1u);
}

TEST_F(EnginePacked, byteByByteIsTheSame) {
  std::vector<uint32_t> handles;
  for (const uint8_t byte : packedOf(rpc::enqueueOf(1))) {
    const auto more = feed(ByteSpan(&byte, 1));
    handles.insert(handles.end(), more.begin(), more.end());
  }
  EXPECT_EQ(handles.size(), 1u);
}

TEST_F(EnginePacked, moreCallsThanRecordsWaitForTheNextCall) {
  Bytes frames;
  for (uint32_t question = 1; question <= 100; ++question) {
    const Bytes frame = rpc::enqueueOf(question);
    frames.insert(frames.end(), frame.begin(), frame.end());
  }
  size_t calls = feed(packedOf(frames), 8).size();
  EXPECT_EQ(calls, 8u);
  for (int rounds = 0; rounds < 100 && packed->pending(connection); ++rounds) calls += feed({}, 8).size();
  EXPECT_EQ(calls, 100u);
  EXPECT_FALSE(packed->pending(connection));
}

TEST_F(EnginePacked, aLargeFrameOfZerosComesInBoundedParts) {
  constexpr uint32_t payloadBytes = 700'000;
  Bytes frames;
  for (uint32_t question = 1; question <= 4; ++question) {
    const Bytes frame = rpc::callOf<schema::EnqueueRequest>(question, rpc::jobQueueId, 0, [&](auto body) {
      body.setQueue("q");
      body.initJobs(1)[0].initPayload(payloadBytes);
    });
    frames.insert(frames.end(), frame.begin(), frame.end());
  }
  const Bytes small = packedOf(frames);
  EXPECT_LT(small.size(), 10'000u);
  size_t calls = feed(small).size();
  EXPECT_LT(calls, 3u) << "1 MiB in one call";
  EXPECT_TRUE(packed->pending(connection));
  EXPECT_GT(packed->buffered(connection), 0u);
  int rounds = 0;
  for (; packed->pending(connection) && rounds < 10; ++rounds) calls += feed({}).size();
  EXPECT_EQ(calls, 4u);
  EXPECT_GE(rounds, 2);
  EXPECT_EQ(packed->buffered(connection), 0u);
}

TEST_F(EnginePacked, aTableThatClaimsTooMuchEndsTheConnectionBeforeItIsUnpacked) {
  Bytes bomb(8);
  putLittle<uint32_t>(bomb.data() + 4, limits.frameBytesMax / 8 + 1);
  Bytes packedBomb = packedOf(bomb);
  for (int runs = 0; runs < 20'000; ++runs) packedBomb.insert(packedBomb.end(), {0, 255});
  EXPECT_TRUE(feed(packedBomb).empty());
  EXPECT_EQ(worker->buffered(connection), 0u);
  collect();
  EXPECT_EQ(eventsOf(EventKind::CLOSE).size(), 1u);
}

TEST_F(EnginePacked, aBombIsOneHalfReceivedFrame) {
  Bytes table(8);
  putLittle<uint32_t>(table.data() + 4, limits.frameBytesMax / 8 - 1);
  Bytes bomb = packedOf(table);
  for (int runs = 0; runs < 8'000; ++runs) bomb.insert(bomb.end(), {0, 255});
  feed(bomb);
  size_t rounds = 0;
  for (; packed->pending(connection) && rounds < 100; ++rounds) {
    EXPECT_LE(worker->buffered(connection), (rounds + 1) * unpackedBytesMax) << "no more than was unpacked";
    feed({});
  }
  EXPECT_GE(rounds, 14u);
  EXPECT_LE(worker->buffered(connection), limits.frameBytesMax);
}

}  // namespace
}  // namespace capstan::engine
