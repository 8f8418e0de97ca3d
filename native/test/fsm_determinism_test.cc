// The same entries give the same state: whatever the size of the windows, and with a restart behind every entry that
// loses what was not flushed. Owns nothing; the entries come from random scripts (fsm_script.h).
#include <random>

#include "test/fsm_script.h"
#include "test/fsm_support.h"

namespace capstan::fsm {
namespace {

struct Recording {
  std::vector<std::vector<uint8_t>> log;
  std::vector<std::array<uint8_t, 16>> digests;
};

Recording record(uint32_t seed, int steps) {
  Node node;
  Script script(node, seed);
  Recording made;
  for (int at = 0; at < steps; ++at) {
    script.step();
    made.digests.push_back(node.digest());
  }
  EXPECT_GT(script.granted, 0u) << "the script must do something";
  made.log = node.log;
  return made;
}

class FsmDeterminism : public testing::TestWithParam<uint32_t> {};

TEST_P(FsmDeterminism, windowOfOneGivesTheSameState) {
  const Recording made = record(GetParam(), 400);
  Options small;
  small.windowJobsMax = 1;
  Options tight;
  tight.windowBytesMax = 600;
  tight.payloadCacheBytes = 0;
  for (const Options& options : {small, tight}) {
    Node node(options);
    for (size_t at = 0; at < made.log.size(); ++at) {
      node.replay(made.log[at]);
      ASSERT_EQ(node.digest(), made.digests[at]) << "entry " << at << " of seed " << GetParam();
    }
  }
}

TEST_P(FsmDeterminism, restartBehindEveryEntryGivesTheSameState) {
  const Recording made = record(GetParam() + 1000, 80);
  std::mt19937 random(GetParam());
  Node node;
  uint64_t replayed = 0;
  for (size_t at = 0; at < made.log.size(); ++at) {
    node.replay(made.log[at]);
    ASSERT_EQ(node.digest(), made.digests[at]) << "entry " << at << " of seed " << GetParam();
    node.machine->flush(random() % 3 == 0, true);
    // What was not flushed is lost; the log gives it again.
    node.restart();
    for (uint64_t index = node.index + 1; index <= at + 2; ++index) {
      node.replay(made.log[index - 2]);
      ++replayed;
    }
    ASSERT_EQ(node.digest(), made.digests[at]) << "restart behind entry " << at << " of seed " << GetParam();
  }
  EXPECT_GT(replayed, 0u);
}

INSTANTIATE_TEST_SUITE_P(Seeds, FsmDeterminism, testing::Range(1u, 5u));

TEST(FsmReplay, entriesThatWereAppliedAreSkipped) {
  Node node;
  node.enqueue("q", {"a"});
  const auto digest = node.digest();
  Applied applied;
  ASSERT_TRUE(node.machine->apply(2, 1, node.log[0], applied).ok());
  EXPECT_TRUE(applied.results.empty());
  EXPECT_EQ(node.digest(), digest);
}

TEST(FsmReplay, anEntryOfALaterVersionIsRefusedUnapplied) {
  Node node;
  node.enqueue("q", {"a"});
  std::vector<uint8_t> entry = node.log[0];
  putLittle<uint16_t>(entry.data(), 99);
  Applied applied;
  const Result<void> refused = node.machine->apply(3, 1, entry, applied);
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().code, ErrorCode::UNSUPPORTED);
  EXPECT_NE(refused.error().message.find("99"), std::string::npos);
  EXPECT_EQ(node.machine->meta().appliedIndex, 2u);
}

}  // namespace
}  // namespace capstan::fsm
