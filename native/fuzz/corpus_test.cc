// Runs every committed input of test/corpus through its target: seeds, what fuzzing kept as telling, and the minimal
// input of each finding. Owns nothing; a broken property ends the program. The working folder is the root, as for all
// native tests.
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>

#include "base/check.h"
#include "fuzz/ended.h"
#include "fuzz/targets.h"

namespace capstan::fuzz {
namespace {

std::vector<std::string> inputsOf(std::string_view target) {
  std::vector<std::string> paths;
  for (const auto& file : std::filesystem::directory_iterator("test/corpus/" + std::string(target))) {
    paths.push_back(file.path().string());
  }
  std::sort(paths.begin(), paths.end());
  return paths;
}

std::vector<uint8_t> slurp(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

class FuzzCorpus : public ::testing::TestWithParam<Target> {};

TEST_P(FuzzCorpus, HoldsItsPropertiesOnEveryInput) {
  const auto paths = inputsOf(GetParam().name);
  ASSERT_GE(paths.size(), 7u);
  for (const std::string& path : paths) {
    const auto bytes = slurp(path);
    ASSERT_FALSE(bytes.empty()) << path;
    GetParam().run(bytes);
  }
}

// Cheap mutations of the seeds, the same each time: what a first minute of fuzzing would try.
TEST_P(FuzzCorpus, HoldsThemOnInputsCutShortAndWithChangedBytes) {
  // Two databases are made for each input of this one.
  const size_t rounds = GetParam().name == "apply" ? 1 : 40;
  uint32_t random = 12345;
  for (const std::string& path : inputsOf(GetParam().name)) {
    const auto bytes = slurp(path);
    for (size_t round = 0; round < rounds; ++round) {
      auto changed = bytes;
      random = random * 1664525 + 1013904223;
      if (round % 4 == 0) changed.resize(random % (bytes.size() + 1));
      if (!changed.empty()) changed[(random >> 8) % changed.size()] = static_cast<uint8_t>(random >> 24);
      GetParam().run(changed);
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Targets, FuzzCorpus, ::testing::ValuesIn(targets().begin(), targets().end()),
                         [](const auto& target) { return std::string(target.param.name); });

TEST(FuzzEnding, IsAnAnswerOnlyWhereATargetSaysSo) {
  EXPECT_TRUE(returns([] {}));
  EXPECT_FALSE(returns([] { CAPSTAN_ASSERT(false); }));
  EXPECT_DEATH(CAPSTAN_ASSERT(false), "assertion failed");
}

}  // namespace
}  // namespace capstan::fuzz
