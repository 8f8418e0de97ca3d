// What a log and a data directory keep through a killed process, a failed fsync and a power cut in a row, on the
// simulated disk and over many draws of what a cut keeps. Owns a disk for each draw.
#include <gtest/gtest.h>

#include "engine/data_directory.h"
#include "log/segmented_log.h"
#include "sim/disk_files.h"

namespace capstan::log {
namespace {

using sim::CrashKind;

constexpr uint64_t draws = 60;

std::unique_ptr<SegmentedLog> openLog(sim::DiskFiles& files) {
  Options options;
  options.directory = "/log";
  options.segmentBytes = 4096;
  Result<std::unique_ptr<SegmentedLog>> opened = SegmentedLog::open(files, options);
  EXPECT_TRUE(opened.ok()) << (opened.ok() ? "" : opened.error().message);
  return opened.ok() ? opened.take() : nullptr;
}

void append(SegmentedLog& log, uint64_t index) {
  const std::vector<uint8_t> data(700, static_cast<uint8_t>(index));
  const Entry entry{index, 1, 0, ByteSpan(data)};
  ASSERT_TRUE(log.append(HardState{1, 1, index}, {&entry, 1}).ok());
}

void crash(sim::Disk& disk, CrashKind kind) {
  disk.crashNow(kind);
  disk.restart();
}

TEST(LogPowerCut, keepsWhatAnOpenedLogShowed) {
  for (uint64_t seed = 0; seed < draws; ++seed) {
    sim::Trace trace;
    sim::Disk disk(seed, trace);
    sim::DiskFiles files(disk);
    // Killed with unsynced records in the page cache, after each number of them; some begin a segment.
    auto log = openLog(files);
    ASSERT_TRUE(disk.syncDirectory("/") == sim::Outcome::ok);
    for (uint64_t index = 1; index <= 1 + seed % 9; ++index) append(*log, index);
    crash(disk, CrashKind::kill);
    log = openLog(files);
    ASSERT_NE(log, nullptr);
    const uint64_t shown = log->lastIndex();
    crash(disk, CrashKind::power);
    log = openLog(files);
    ASSERT_NE(log, nullptr) << seed;
    EXPECT_EQ(log->lastIndex(), shown) << seed;
  }
}

TEST(LogPowerCut, keepsWhatAnOpenedLogShowedAfterAFailedSync) {
  for (uint64_t seed = 0; seed < draws; ++seed) {
    sim::Trace trace;
    sim::Disk disk(seed, trace);
    sim::DiskFiles files(disk);
    auto log = openLog(files);
    ASSERT_TRUE(disk.syncDirectory("/") == sim::Outcome::ok);
    append(*log, 1);
    ASSERT_TRUE(log->sync().ok());
    append(*log, 2);
    disk.failAt(1);
    EXPECT_FALSE(log->sync().ok());
    crash(disk, CrashKind::kill);
    log = openLog(files);
    ASSERT_NE(log, nullptr);
    EXPECT_EQ(log->lastIndex(), 2u);
    append(*log, 3);
    ASSERT_TRUE(log->sync().ok());
    crash(disk, CrashKind::power);
    log = openLog(files);
    ASSERT_NE(log, nullptr) << seed;
    EXPECT_EQ(log->lastIndex(), 3u) << seed;
  }
}

TEST(LogPowerCut, keepsTheNameOfANewDataDirectory) {
  for (uint64_t seed = 0; seed < draws; ++seed) {
    sim::Trace trace;
    sim::Disk disk(seed, trace);
    sim::DiskFiles files(disk);
    {
      auto directory = engine::DataDirectory::open(files, "/srv/capstan/data").take();
      engine::NodeIdentity identity;
      identity.clusterId.bytes.fill(7);
      ASSERT_TRUE(directory->writeIdentity(identity).ok());
    }
    crash(disk, CrashKind::power);
    EXPECT_TRUE(files.exists("/srv/capstan/data/node").value()) << seed;
  }
}

}  // namespace
}  // namespace capstan::log
