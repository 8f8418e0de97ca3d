// The log of one shard: what it keeps through reopening, torn tails and cuts, and what it refuses. Each test works on
// real files in a directory of its own; tails are torn by changing the files between close and open.
#include <gtest/gtest.h>
#include <stdlib.h>

#include <filesystem>
#include <fstream>

#include "base/crc32c.h"
#include "log/segmented_log.h"
#include "test/temporary_directory.h"

namespace capstan::log {
namespace {

class LogTest : public ::testing::Test {
 protected:
  void SetUp() override {
    options.directory = directory + "/log";
    options.segmentBytes = 4096;
  }

  std::unique_ptr<SegmentedLog> open() {
    auto log = SegmentedLog::open(systemFiles(), options);
    EXPECT_TRUE(log.ok()) << (log.ok() ? "" : log.error().message);
    return log.ok() ? log.take() : nullptr;
  }
  static void appendOne(SegmentedLog& log, uint64_t index, uint64_t term, const std::string& data) {
    const Entry entry{index, term, 0, asBytes(data)};
    ASSERT_TRUE(log.append(HardState{term, 1, index - 1}, std::span(&entry, 1)).ok());
  }
  static std::string dataAt(const SegmentedLog& log, uint64_t index) {
    auto entries = log.read(index, index + 1, 1);
    EXPECT_TRUE(entries.ok());
    return std::string(asText(entries.value().front().data));
  }
  std::string lastFile() const {
    std::string latest;
    for (const auto& item : std::filesystem::directory_iterator(options.directory)) {
      latest = std::max(latest, item.path().string());
    }
    return latest;
  }
  static std::string slurp(const std::string& path) {
    std::ifstream in(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(in), {}};
  }
  static void spill(const std::string& path, const std::string& bytes) {
    std::ofstream(path, std::ios::binary | std::ios::trunc) << bytes;
  }

  const TemporaryDirectory temporary{"/var/tmp"};
  const std::string directory = temporary.path;
  Options options;
};

TEST_F(LogTest, KeepsEntriesAndHardStateThroughReopening) {
  {
    auto log = open();
    EXPECT_EQ(log->lastIndex(), 0u);
    for (uint64_t index = 1; index <= 200; ++index) appendOne(*log, index, 7, "data " + std::to_string(index));
    ASSERT_TRUE(log->sync().ok());
  }
  auto log = open();
  EXPECT_EQ(log->lastIndex(), 200u);
  EXPECT_EQ(log->hardState(), (HardState{7, 1, 199}));
  EXPECT_EQ(log->recovery().tornBytes, 0u);
  for (uint64_t index = 1; index <= 200; ++index) EXPECT_EQ(dataAt(*log, index), "data " + std::to_string(index));
  auto some = log->read(10, 150, 64);
  ASSERT_TRUE(some.ok());
  EXPECT_GE(some.value().size(), 2u);
  EXPECT_LT(some.value().size(), 20u);
}

TEST_F(LogTest, AnEntryAtOrBelowTheLastIndexTruncatesFirst) {
  {
    auto log = open();
    for (uint64_t index = 1; index <= 10; ++index) appendOne(*log, index, 1, "old");
    appendOne(*log, 6, 2, "new");
    EXPECT_EQ(log->lastIndex(), 6u);
    ASSERT_TRUE(log->sync().ok());
  }
  auto log = open();
  EXPECT_EQ(log->lastIndex(), 6u);
  EXPECT_EQ(dataAt(*log, 5), "old");
  EXPECT_EQ(dataAt(*log, 6), "new");
  EXPECT_EQ(log->term(6).value(), 2u);
  EXPECT_EQ(log->term(5).value(), 1u);
}

TEST_F(LogTest, CutsATailTornAtAnyByteAndNothingBefore) {
  {
    auto log = open();
    for (uint64_t index = 1; index <= 3; ++index) appendOne(*log, index, 1, "kept" + std::to_string(index));
    ASSERT_TRUE(log->sync().ok());
  }
  const std::string file = lastFile();
  const std::string before = slurp(file);
  {
    auto log = open();
    const std::string data(100, 'x');
    const Entry entries[] = {{4, 1, 0, asBytes(data)}, {5, 1, 0, asBytes(data)}};
    ASSERT_TRUE(log->append(HardState{2, 3, 4}, entries).ok());
  }
  const std::string after = slurp(file);
  size_t begin = 0;
  while (before[begin] == after[begin]) ++begin;
  const size_t recordBytes = 32 + 24 + 2 * (24 + 104);
  begin = begin / 8 * 8;
  for (size_t written = 0; written <= recordBytes; ++written) {
    std::string torn = before;
    torn.replace(begin, written, after, begin, written);
    spill(file, torn);
    auto log = open();
    ASSERT_NE(log, nullptr) << written;
    const bool whole = torn == after;
    EXPECT_EQ(log->lastIndex(), whole ? 5u : 3u) << written;
    EXPECT_EQ(log->hardState().term, whole ? 2u : 1u) << written;
    if (!whole) {
      // What was cut can never come back behind a new record of the same size.
      appendOne(*log, 4, 9, "again");
      ASSERT_TRUE(log->sync().ok());
      log.reset();
      auto reopened = open();
      ASSERT_NE(reopened, nullptr);
      EXPECT_EQ(reopened->lastIndex(), 4u);
      EXPECT_EQ(dataAt(*reopened, 4), "again");
    }
  }
}

TEST_F(LogTest, RefusesAFlippedByteAnywhereInWhatLaterRecordsCallSynced) {
  {
    auto log = open();
    for (uint64_t index = 1; index <= 8; ++index) {
      appendOne(*log, index, 1, "value" + std::to_string(index));
      ASSERT_TRUE(log->sync().ok());
    }
  }
  const std::string file = lastFile();
  const std::string good = slurp(file);
  const size_t recordBytes = 32 + 24 + 24 + 8;
  const size_t end = 96 + 7 * recordBytes;  // the last record's own bytes may look torn
  for (size_t at = 0; at < end; ++at) {
    std::string bad = good;
    bad[at] = static_cast<char>(bad[at] ^ 0x10);
    spill(file, bad);
    auto log = SegmentedLog::open(systemFiles(), options);
    if (log.ok()) {
      // Padding and reserved bytes that nothing reads.
      EXPECT_EQ(log.value()->lastIndex(), 8u) << at;
      for (uint64_t index = 1; index <= 8; ++index)
        EXPECT_EQ(dataAt(*log.value(), index), "value" + std::to_string(index));
    } else {
      EXPECT_NE(log.error().message.find(file), std::string::npos) << log.error().message;
    }
  }
}

TEST_F(LogTest, RefusesABadRecordInASegmentThatIsNotTheLast) {
  {
    auto log = open();
    for (uint64_t index = 1; index <= 200; ++index) appendOne(*log, index, 1, std::string(60, 'a'));
    ASSERT_TRUE(log->sync().ok());
  }
  const std::string first = options.directory + "/0000000000000001.log";
  ASSERT_NE(first, lastFile());
  std::string bytes = slurp(first);
  bytes[1000] = static_cast<char>(bytes[1000] ^ 1);
  spill(first, bytes);
  auto log = SegmentedLog::open(systemFiles(), options);
  ASSERT_FALSE(log.ok());
  EXPECT_NE(log.error().message.find(first), std::string::npos);
}

TEST_F(LogTest, CutRemovesWholeSegmentsAndKeepsTheTermBeforeTheFirst) {
  auto log = open();
  for (uint64_t index = 1; index <= 300; ++index) appendOne(*log, index, index / 100 + 1, std::string(60, 'a'));
  ASSERT_TRUE(log->sync().ok());
  ASSERT_TRUE(log->cut(250).ok());
  const uint64_t base = log->baseIndex();
  EXPECT_GT(base, 200u);
  EXPECT_LE(base, 250u);
  EXPECT_EQ(log->baseTerm(), base / 100 + 1);
  log.reset();
  log = open();
  EXPECT_EQ(log->baseIndex(), base);
  EXPECT_EQ(log->baseTerm(), base / 100 + 1);
  EXPECT_EQ(log->lastIndex(), 300u);
  EXPECT_EQ(log->read(base + 1, 301, 1 << 20).value().size(), 300 - base);
}

// The third segment begins with entries of term 2 that replace what the second one ends with.
class ReplacedLogTest : public LogTest {
 protected:
  void fill() {
    log = open();
    const auto segments = [&] {
      const std::filesystem::directory_iterator files(options.directory);
      return std::distance(begin(files), end(files));
    };
    while (last < 10 || segments() < 3) appendOne(*log, ++last, 1, std::string(60, 'a'));
    replaced = last - 5;
    for (uint64_t next = replaced; next <= 300; ++next) appendOne(*log, next, 2, std::string(60, 'b'));
    ASSERT_TRUE(log->sync().ok());
  }
  void reopenAndCheck() {
    log.reset();
    log = open();
    ASSERT_NE(log, nullptr);
    check();
  }
  void check() {
    const uint64_t base = log->baseIndex();
    EXPECT_EQ(log->baseTerm(), base == 0 ? 0u : base < replaced ? 1u : 2u) << "of the entry that is there now";
    EXPECT_EQ(log->read(base + 1, 301, 1 << 20).value().size(), 300 - base);
  }

  std::unique_ptr<SegmentedLog> log;
  uint64_t last = 0;  // of term 1
  uint64_t replaced = 0;
};

TEST_F(ReplacedLogTest, CutBeginsTheLogOnlyWhereTheEntryBeforeWasNotReplaced) {
  fill();
  for (const uint64_t index : {last, uint64_t{250}}) {
    ASSERT_TRUE(log->cut(index).ok());
    EXPECT_LE(log->baseIndex(), index);
    check();
    reopenAndCheck();
  }
  EXPECT_GT(log->baseIndex(), 200u) << "later ones go";
}

TEST_F(ReplacedLogTest, AKillWithinACutIsMendedByOpening) {
  fill();
  log.reset();
  for (const char* file : {"/0000000000000001.log", "/0000000000000002.log"}) {
    ASSERT_TRUE(std::filesystem::remove(options.directory + file));
  }
  reopenAndCheck();
  EXPECT_GT(log->baseIndex(), last);
  reopenAndCheck();
}

TEST_F(LogTest, ResetIsAnEmptyLogAfterTheSnapshot) {
  auto log = open();
  for (uint64_t index = 1; index <= 100; ++index) appendOne(*log, index, 1, "x");
  ASSERT_TRUE(log->reset(5000, 9, HardState{9, 2, 5000}).ok());
  EXPECT_EQ(log->lastIndex(), 5000u);
  appendOne(*log, 5001, 9, "after");
  ASSERT_TRUE(log->sync().ok());
  log.reset();
  log = open();
  EXPECT_EQ(log->baseIndex(), 5000u);
  EXPECT_EQ(log->baseTerm(), 9u);
  EXPECT_EQ(log->lastIndex(), 5001u);
  EXPECT_EQ(dataAt(*log, 5001), "after");
}

TEST_F(LogTest, ASegmentWhoseHeaderNeverReachedTheDiskIsRemoved) {
  {
    auto log = open();
    appendOne(*log, 1, 1, "x");
    ASSERT_TRUE(log->sync().ok());
  }
  spill(options.directory + "/0000000000000002.log", std::string(4096, '\0'));
  auto log = open();
  EXPECT_EQ(log->lastIndex(), 1u);
  appendOne(*log, 2, 1, "y");
  EXPECT_TRUE(log->sync().ok());
}

TEST_F(LogTest, ARecordLargerThanASegmentGetsOneOfItsOwn) {
  {
    auto log = open();
    appendOne(*log, 1, 1, std::string(100'000, 'z'));
    appendOne(*log, 2, 1, "small");
    ASSERT_TRUE(log->sync().ok());
  }
  auto log = open();
  EXPECT_EQ(dataAt(*log, 1).size(), 100'000u);
  EXPECT_EQ(dataAt(*log, 2), "small");
}

TEST_F(LogTest, RefusesANewerFormatNamingBoth) {
  {
    auto log = open();
    appendOne(*log, 1, 1, "x");
    ASSERT_TRUE(log->sync().ok());
  }
  std::string bytes = slurp(lastFile());
  bytes[8] = 2;
  putLittle<uint32_t>(reinterpret_cast<uint8_t*>(bytes.data()) + 92, crc32c(0, asBytes(bytes).first(92)));
  spill(lastFile(), bytes);
  auto log = SegmentedLog::open(systemFiles(), options);
  ASSERT_FALSE(log.ok());
  EXPECT_EQ(log.error().code, schema::ErrorCode::UNSUPPORTED);
  EXPECT_NE(log.error().message.find("format 2"), std::string::npos) << log.error().message;
}

}  // namespace
}  // namespace capstan::log
