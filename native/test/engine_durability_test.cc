// What a power cut leaves of the log, and that nothing is reported before it is durable: the log and its step on files
// that lose what was not synced. The threads around them are not here.
#include <gtest/gtest.h>

#include <functional>

#include "engine/log_step.h"
#include "test/memory_files.h"

namespace capstan::engine {
namespace {

class Sink final : public LogSink {
 public:
  void persisted(Persisted report) override { atPersisted(report.number); }
  void logBegins(LogBegins) override {}
  std::function<void(uint64_t)> atPersisted = [](uint64_t) {};
};

class EngineDurability : public testing::Test {
 protected:
  static log::Options options() {
    log::Options made;
    made.directory = "log";
    made.segmentBytes = 16 << 10;
    return made;
  }
  static std::unique_ptr<log::SegmentedLog> open(MemoryFiles& files) {
    auto log = log::SegmentedLog::open(files, options());
    EXPECT_TRUE(log.ok()) << (log.ok() ? "" : log.error().message);
    return log.ok() ? log.take() : nullptr;
  }
  // Entry `index` and three more, and a hard state that belongs to them, in one Ready.
  static raft::LogWrite write(uint64_t number, uint64_t index) {
    const auto data = std::make_shared<std::vector<uint8_t>>(300, static_cast<uint8_t>(index));
    raft::LogWrite made{number, true, raft::HardState{number, 1, index - 1}, {}};
    for (uint64_t at = 0; at < 4; ++at) {
      made.entries.push_back({index + at, number, raft::EntryType::normal, ByteSpan(*data), data});
    }
    return made;
  }
  void run(raft::LogWrite one) {
    std::vector<LogMail> mail;
    mail.emplace_back(std::move(one));
    step.run(mail);
  }

  MemoryFiles files;
  Sink sink;
  LogStep step{open(files), sink, 1 << 20, 16 << 10};
};

TEST_F(EngineDurability, whatIsReportedSurvivesAPowerCut) {
  uint64_t reports = 0;
  sink.atPersisted = [&](uint64_t number) {
    const auto left = files.afterPowerCut();
    const auto log = open(*left);
    ASSERT_NE(log, nullptr);
    EXPECT_EQ(log->lastIndex(), number * 4);
    EXPECT_EQ(log->hardState().term, number);
    EXPECT_TRUE(log->lastIndex() == 0 || log->read(1, log->lastIndex() + 1, 1 << 20).ok());
    ++reports;
  };
  // Over several segments, so that new files and their names must be durable too.
  for (uint64_t number = 1; number <= 40; ++number) run(write(number, number * 4 - 3));
  EXPECT_EQ(reports, 40u);
  EXPECT_GT(files.all().size(), 2u);
}

TEST_F(EngineDurability, aReadyIsThereWholeOrNotAtAll) {
  run(write(1, 1));
  const auto before = files.afterPowerCut();
  run(write(2, 5));
  size_t whole = 0;
  // What a cut in the midst of that write leaves: its bytes up to any of them.
  const auto& [path, content] = *files.all().begin();
  const auto& old = before->all().at(path)->written;
  for (size_t kept = 0; kept <= content->written.size(); ++kept) {
    MemoryFiles torn;
    MemoryFiles::Bytes bytes = old;
    size_t left = kept;
    for (size_t at = 0; at < content->written.size() && left > 0; ++at) {
      if (bytes[at] == content->written[at]) continue;
      bytes[at] = content->written[at];
      --left;
    }
    torn.put(path, bytes);
    const auto log = open(torn);
    ASSERT_NE(log, nullptr) << kept;
    const bool isWhole = log->lastIndex() == 8;
    EXPECT_EQ(log->lastIndex(), isWhole ? 8u : 4u) << kept;
    EXPECT_EQ(log->hardState().term, isWhole ? 2u : 1u) << kept;
    if (isWhole) ++whole;
    if (left > 0) break;
  }
  EXPECT_GT(whole, 0u);
}

TEST_F(EngineDurability, aResetIsDurableBeforeWhatIsOlderGoes) {
  auto log = open(files);
  const std::string data(500, 'd');
  for (uint64_t index = 1; index <= 3; ++index) {
    const log::Entry entry{index, 1, 0, asBytes(data)};
    ASSERT_TRUE(log->append(log::HardState{1, 1, index - 1}, {&entry, 1}).ok());
  }
  ASSERT_TRUE(log->sync().ok());
  ASSERT_TRUE(log->reset(50, 3, {3, 1, 50}).ok());
  const auto left = files.afterPowerCut();
  const auto reopened = open(*left);
  ASSERT_NE(reopened, nullptr);
  EXPECT_EQ(reopened->baseIndex(), 50u);
  EXPECT_EQ(reopened->hardState().commit, 50u);
}

TEST_F(EngineDurability, aPowerCutMayKeepTheNameOfASegmentWithoutItsHeader) {
  run(write(1, 1));
  const auto left = files.afterPowerCut(0, true);
  EXPECT_EQ(open(*left)->lastIndex(), 4u);
}

using EngineDurabilityDeathTest = EngineDurability;

// The second try of a failed fsync may say yes although the pages are gone.
TEST_F(EngineDurabilityDeathTest, aFailedSyncEndsTheProcessAndIsNotTriedAgain) {
  run(write(1, 1));
  files.syncsToFail = 1;
  EXPECT_DEATH(run(write(2, 5)), "its sync fails");
}

}  // namespace
}  // namespace capstan::engine
