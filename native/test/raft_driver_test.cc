// One driver over a log in memory: leading, committing after the fsync, restarting, and refusing what does not fit.
// Owns the small log; the rules are the core's. Run by the native test program.
#include <gtest/gtest.h>

#include <cstring>
#include <map>

#include "raft/driver.h"

namespace capstan::raft {
namespace {

struct Memory {
  std::vector<Entry> entries;  // from index 2 on
  HardState hardState{1, 0, 1};
  std::vector<std::string> committed;
  uint64_t applied = 1;

  std::unique_ptr<Driver> open(uint64_t cacheBytes = 1 << 20) {
    Options options;
    options.appliedIndex = applied;
    options.confState = Driver::makeConfState({1});
    options.hardState = hardState;
    options.baseIndex = options.baseTerm = 1;
    options.lastIndex = 1 + entries.size();
    options.cacheBytesMax = cacheBytes;
    auto driver = Driver::open(options, [this](uint64_t from, uint64_t to, uint64_t) {
      return Result<std::vector<Entry>>(std::vector<Entry>(entries.begin() + static_cast<long>(from - 2),
                                                           entries.begin() + static_cast<long>(to - 2)));
    });
    return driver.take();
  }

  void write(const LogWrite& write) {
    if (write.hardState) hardState = *write.hardState;
    for (const Entry& entry : write.entries) {
      entries.resize(entry.index - 2);
      entries.push_back(entry);
    }
  }

  void run(Driver& driver) {
    Step step;
    while (driver.advance(step)) {
      for (const LogWrite& one : step.writes) {
        write(one);
        driver.persisted(one.number);
      }
      for (const Entry& entry : step.committed) {
        EXPECT_EQ(reinterpret_cast<uintptr_t>(entry.data.data()) % 8, 0u);
        if (!entry.data.empty()) committed.emplace_back(asText(entry.data));
        applied = entry.index;
        driver.applied(applied);
      }
      step.clear();
    }
  }
};

std::vector<uint8_t> bytesOf(const std::string& text) { return {text.begin(), text.end()}; }

TEST(RaftDriver, refusesALogThatDoesNotFitTheState) {
  Options options;
  options.confState = Driver::makeConfState({1});
  options.appliedIndex = 10;
  options.baseIndex = options.lastIndex = 3;
  EXPECT_FALSE(Driver::open(options, nullptr).ok());
  options.baseIndex = options.lastIndex = 20;
  EXPECT_FALSE(Driver::open(options, nullptr).ok());
  options.appliedIndex = options.baseIndex = options.lastIndex = 3;
  options.hardState = {1, 1, 9};
  EXPECT_FALSE(Driver::open(options, nullptr).ok());
  options.hardState = {1, 1, 3};
  options.confState = "\xff\xff";
  EXPECT_FALSE(Driver::open(options, nullptr).ok());
}

TEST(RaftDriver, takesWhatTheStateAppliedForCommitted) {
  Options options;
  options.confState = Driver::makeConfState({1});
  options.baseIndex = 3;
  options.baseTerm = 1;
  options.hardState = {1, 1, 3};
  options.appliedIndex = options.lastIndex = 3;
  EXPECT_EQ(Driver::open(options, nullptr).value()->status().commit, 3u);
  // The last hard state that reached the disk may be older than what was applied.
  options.hardState.commit = 2;
  EXPECT_EQ(Driver::open(options, nullptr).value()->status().commit, 3u);
}

TEST(RaftDriver, leadsAtOnceAndCommitsOnlyWhatIsDurable) {
  Memory memory;
  auto driver = memory.open();
  EXPECT_EQ(driver->propose(bytesOf("too early")), schema::ErrorCode::NOT_LEADER);
  driver->campaign();
  memory.run(*driver);
  ASSERT_TRUE(driver->status().leads);
  ASSERT_EQ(driver->propose(bytesOf("one")), schema::ErrorCode::OK);
  Step step;
  driver->advance(step);
  EXPECT_TRUE(step.committed.empty());
  ASSERT_EQ(step.writes.size(), 1u);
  EXPECT_TRUE(step.writes[0].mustSync);
  memory.write(step.writes[0]);
  driver->persisted(step.writes[0].number);
  step.clear();
  driver->advance(step);
  ASSERT_EQ(step.committed.size(), 1u);
  EXPECT_EQ(asText(step.committed[0].data), "one");
}

TEST(RaftDriver, severalTurnsMayBeUnderWay) {
  Memory memory;
  auto driver = memory.open();
  driver->campaign();
  memory.run(*driver);
  std::vector<uint64_t> numbers;
  for (int turn = 0; turn < 5; ++turn) {
    ASSERT_EQ(driver->propose(bytesOf("turn " + std::to_string(turn))), schema::ErrorCode::OK);
    Step step;
    driver->advance(step);
    for (const LogWrite& one : step.writes) {
      memory.write(one);
      numbers.push_back(one.number);
    }
  }
  for (const uint64_t number : numbers) driver->persisted(number);
  memory.run(*driver);
  EXPECT_EQ(memory.committed.size(), 5u);
  EXPECT_EQ(memory.committed.back(), "turn 4");
}

TEST(RaftDriver, continuesAfterARestartAndAfterACut) {
  Memory memory;
  auto driver = memory.open();
  driver->campaign();
  memory.run(*driver);
  for (int number = 0; number < 200; ++number) {
    ASSERT_EQ(driver->propose(bytesOf(std::string(100, 'a') + std::to_string(number))), schema::ErrorCode::OK);
    memory.run(*driver);
  }
  const uint64_t term = driver->status().term;
  memory.applied = 50;
  memory.committed.clear();
  driver = memory.open(500);
  memory.run(*driver);
  EXPECT_EQ(memory.committed.size(), 202u - 50u) << "given again from the applied index, through a small cache";
  driver->campaign();
  memory.run(*driver);
  EXPECT_GT(driver->status().term, term);
  driver->logCut(60, memory.entries[58].term);
  ASSERT_EQ(driver->propose(bytesOf("end")), schema::ErrorCode::OK);
  memory.run(*driver);
  EXPECT_EQ(memory.committed.back(), "end");
}

}  // namespace
}  // namespace capstan::raft
