// The packed form against the stock library's, in both directions: random messages cut anywhere, what is hostile, and
// runs that must not cross from a table into a body. Owns nothing.
#include "rpc/packing.h"

#include <capnp/message.h>
#include <capnp/serialize-packed.h>
#include <gtest/gtest.h>
#include <kj/io.h>

#include <random>

#include "test/rpc_support.h"

namespace capstan::rpc {
namespace {

using Words = std::vector<std::vector<uint64_t>>;  // the segments of a message

Words randomMessage(std::mt19937& random) {
  Words segments(1 + random() % 5);
  for (auto& segment : segments) {
    segment.resize(random() % 3 == 0 ? random() % 1200 : random() % 6);
    const uint32_t kind = random() % 5;
    for (uint64_t& word : segment) {
      const uint64_t any = uint64_t{random()} << 32 | random();
      const uint64_t full = any | 0x0101010101010101ull;
      if (kind == 0) word = 0;
      if (kind == 1) word = full;
      if (kind == 2) word = full & ~(0xffull << random() % 8 * 8);
      if (kind == 3) word = random() % 2 == 0 ? 0 : any & (uint64_t{random()} << 32 | random());
      if (kind == 4) word = random() % 4 == 0 ? 0 : full;
    }
  }
  return segments;
}

Bytes flat(const Words& segments) {
  Bytes frame((4 + 4 * segments.size() + 7) & ~size_t{7});
  putLittle<uint32_t>(frame.data(), static_cast<uint32_t>(segments.size() - 1));
  for (size_t at = 0; at < segments.size(); ++at) {
    putLittle<uint32_t>(frame.data() + 4 + 4 * at, static_cast<uint32_t>(segments[at].size()));
  }
  for (const auto& segment : segments) {
    const auto* bytes = reinterpret_cast<const uint8_t*>(segment.data());
    frame.insert(frame.end(), bytes, bytes + segment.size() * 8);
  }
  return frame;
}

std::vector<kj::ArrayPtr<const capnp::word>> viewsOf(const Words& segments) {
  std::vector<kj::ArrayPtr<const capnp::word>> views;
  for (const auto& segment : segments) {
    views.emplace_back(reinterpret_cast<const capnp::word*>(segment.data()), segment.size());
  }
  return views;
}

Bytes unpackAll(Unpacker& unpacker, ByteSpan packed, size_t roomAtOnce) {
  Bytes all;
  Bytes room(roomAtOnce);
  for (;;) {
    const size_t bytes = unpacker.unpack(packed, room);
    all.insert(all.end(), room.begin(), room.begin() + static_cast<ptrdiff_t>(bytes));
    if (bytes < roomAtOnce) break;
  }
  EXPECT_TRUE(packed.empty());
  return all;
}

TEST(RpcPacking, whatTheStockLibraryPacksIsUnpackedWhereverItIsCut) {
  for (uint32_t seed = 1; seed <= 200; ++seed) {
    std::mt19937 random(seed);
    kj::VectorOutputStream stream;
    Bytes expected;
    for (int message = 0; message < 4; ++message) {
      const Words segments = randomMessage(random);
      const Bytes frame = flat(segments);
      expected.insert(expected.end(), frame.begin(), frame.end());
      const auto views = viewsOf(segments);
      capnp::writePackedMessage(stream, kj::arrayPtr(views.data(), views.size()));
    }
    const auto packed = stream.getArray();
    Unpacker unpacker;
    Bytes all;
    for (size_t at = 0; at < packed.size();) {
      const size_t bytes = std::min<size_t>(packed.size() - at, 1 + random() % 700);
      const Bytes part = unpackAll(unpacker, ByteSpan(packed.begin() + at, bytes), 1 + random() % 5000);
      all.insert(all.end(), part.begin(), part.end());
      at += bytes;
    }
    ASSERT_EQ(all, expected) << "seed " << seed;
  }
}

TEST(RpcPacking, whatIsPackedIsReadByTheStockLibrary) {
  for (uint32_t seed = 1; seed <= 200; ++seed) {
    std::mt19937 random(seed);
    std::vector<Words> messages;
    Bytes frames;
    for (int message = 0; message < 4; ++message) {
      messages.push_back(randomMessage(random));
      const Bytes frame = flat(messages.back());
      frames.insert(frames.end(), frame.begin(), frame.end());
    }
    Packer packer;
    Bytes packed;
    for (size_t at = 0; at < frames.size();) {
      const size_t bytes = std::min<size_t>(frames.size() - at, 1 + random() % 3000);
      packer.pack(ByteSpan(frames).subspan(at, bytes), packed);
      at += bytes;
    }
    EXPECT_LE(packed.size(), frames.size() * 17 / 16 + 20 * messages.size());
    kj::ArrayInputStream stream(kj::arrayPtr(packed.data(), packed.size()));
    for (const Words& expected : messages) {
      capnp::ReaderOptions options;
      capnp::PackedMessageReader reader(stream, options);
      for (uint32_t at = 0; at < expected.size(); ++at) {
        const auto segment = reader.getSegment(at);
        ASSERT_EQ(segment.size(), expected[at].size()) << "seed " << seed;
        if (segment.size() == 0) continue;
        EXPECT_EQ(std::memcmp(segment.begin(), expected[at].data(), segment.size() * 8), 0) << "seed " << seed;
      }
    }
    EXPECT_EQ(stream.tryGetReadBuffer().size(), 0u);
  }
}

TEST(RpcPacking, aWholeFrameIsPackedAsTheStockLibraryDoes) {
  capnp::MallocMessageBuilder builder;
  auto job = builder.initRoot<schema::NewJob>();
  job.setPayload(capnp::Data::Reader(reinterpret_cast<const uint8_t*>("a payload of some bytes"), 23));
  job.setPriority(3);
  kj::VectorOutputStream stream;
  capnp::writePackedMessage(stream, builder);
  Bytes packed;
  Packer().pack(bytesOf(builder), packed);
  EXPECT_EQ(packed, Bytes(stream.getArray().begin(), stream.getArray().end()));
}

TEST(RpcPacking, zerosGrowOnlyAsFarAsThereIsRoom) {
  Unpacker unpacker;
  const Bytes bomb{0, 255, 0, 255};
  ByteSpan left(bomb);
  Bytes room(100, 1);
  EXPECT_EQ(unpacker.unpack(left, room), 100u);
  EXPECT_EQ(room, Bytes(100));
  EXPECT_EQ(left.size(), 2u) << "the second run is not begun";
  EXPECT_EQ(unpackAll(unpacker, left, 1000).size(), 2 * 256 * 8 - 100u);
}

TEST(RpcPacking, anyBytesUnpackToSomethingOfAKnownSize) {
  std::mt19937 random(7);
  for (int round = 0; round < 300; ++round) {
    Bytes hostile(random() % 400);
    for (uint8_t& byte : hostile)
      byte = static_cast<uint8_t>(random() % 3 == 0 ? 0 : random() % 3 == 0 ? 255 : random());
    Unpacker whole;
    const Bytes expected = unpackAll(whole, hostile, 1 << 20);
    EXPECT_LE(expected.size(), hostile.size() * 1024 + 8);
    Unpacker cut;
    Bytes all;
    for (const uint8_t byte : hostile) {
      const Bytes part = unpackAll(cut, ByteSpan(&byte, 1), 7);
      all.insert(all.end(), part.begin(), part.end());
    }
    EXPECT_EQ(all, expected) << "byte by byte";
  }
}

}  // namespace
}  // namespace capstan::rpc
