// Rings and states of the workers' queues, and the disk reserve that changes the state. One file system that says what
// the test wants. Run by the native test program.
#include <gtest/gtest.h>

#include <thread>

#include "base/files.h"
#include "engine/completions.h"
#include "engine/disk_reserve.h"
#include "engine/housekeeper.h"

namespace capstan::engine {
namespace {

std::vector<Completion> drained(CompletionQueue& queue) {
  std::vector<Completion> all;
  queue.drain(all);
  return all;
}

Completion readOf(uint32_t slot) {
  Completion completion;
  completion.kind = CompletionKind::read;
  completion.slot = slot;
  return completion;
}

TEST(EngineCompletions, ringsOnceBetweenTwoDrainsAndNeverAfterTheClose) {
  Completions completions;
  int rings = 0;
  CompletionQueue* queue = nullptr;
  const uint32_t worker = completions.open([&rings] { ++rings; }, &queue);
  EXPECT_EQ(rings, 1) << "the state is there from the start";
  EXPECT_EQ(drained(*queue).size(), 1u);
  for (uint32_t slot = 0; slot < 5; ++slot) completions.post(worker, readOf(slot));
  EXPECT_EQ(rings, 2);
  const auto all = drained(*queue);
  ASSERT_EQ(all.size(), 5u);
  for (uint32_t slot = 0; slot < 5; ++slot) EXPECT_EQ(all[slot].slot, slot);
  completions.post(worker, readOf(9));
  EXPECT_EQ(rings, 3);
  completions.close(worker);
  completions.post(worker, readOf(10));
  completions.changeState(1, 0);
  EXPECT_EQ(rings, 3);
}

TEST(EngineCompletions, tellsTheLastStateOnly) {
  Completions completions;
  completions.changeState(3, 0);
  CompletionQueue* queue = nullptr;
  completions.open([] {}, &queue);
  completions.changeState(4, 1);
  completions.changeState(8, 2);
  const auto all = drained(*queue);
  ASSERT_EQ(all.size(), 1u);
  EXPECT_EQ(all[0].kind, CompletionKind::state);
  EXPECT_EQ(all[0].stateBits, 12u);
  completions.changeState(8, 3);
  EXPECT_TRUE(drained(*queue).empty()) << "nothing changed";
}

TEST(EngineCompletions, losesNothingWithManyPosters) {
  Completions completions;
  CompletionQueue* queue = nullptr;
  std::atomic<int> rings = 0;
  const uint32_t worker = completions.open(
      [&rings] {
        rings.fetch_add(1);
        rings.notify_all();
      },
      &queue);
  constexpr uint32_t postersCount = 4, postsCount = 5000;
  std::vector<std::thread> posters;
  for (uint32_t poster = 0; poster < postersCount; ++poster) {
    posters.emplace_back([&completions, worker, poster] {
      for (uint32_t post = 0; post < postsCount; ++post) completions.post(worker, readOf(poster * postsCount + post));
    });
  }
  std::vector<uint32_t> next(postersCount, 0);
  size_t got = 0;
  while (got < postersCount * postsCount) {
    const int seen = rings.load();
    for (const Completion& one : drained(*queue)) {
      if (one.kind != CompletionKind::read) continue;
      EXPECT_EQ(one.slot % postsCount, next[one.slot / postsCount]++) << "in order for each poster";
      ++got;
    }
    if (got < postersCount * postsCount && rings.load() == seen) rings.wait(seen);
  }
  for (std::thread& poster : posters) poster.join();
}

// Only its space counts.
class Disk final : public FileSystem {
 public:
  Result<std::unique_ptr<File>> open(const std::string&, OpenMode) override { return none(); }
  Result<std::unique_ptr<File>> lock(const std::string&) override { return none(); }
  Result<void> makeDirectory(const std::string&) override { return none(); }
  Result<void> syncDirectory(const std::string&) override { return none(); }
  Result<void> rename(const std::string&, const std::string&) override { return none(); }
  Result<void> remove(const std::string&) override { return none(); }
  Result<void> removeTree(const std::string&) override { return none(); }
  Result<std::vector<std::string>> list(const std::string&) override { return none(); }
  Result<bool> exists(const std::string&) override { return none(); }
  std::string kind(const std::string&) override { return ""; }
  Result<DiskSpace> space(const std::string&) override {
    looks.fetch_add(1);
    looks.notify_all();
    if (free.load() == UINT64_MAX) return none();
    return DiskSpace{free.load(), 1'000'000};
  }

  std::atomic<uint64_t> free = 500'000;
  std::atomic<int> looks = 0;

 private:
  static Error none() { return Error{schema::ErrorCode::INTERNAL, "no such thing here", "", 0}; }
};

TEST(EngineDiskReserve, isReachedBelowTheLargerOfBothAndOverALittleAboveIt) {
  Disk disk;
  DiskReserve reserve(disk, "/data", 16'000, 10);  // 10 % are 100,000
  EXPECT_FALSE(reserve.check());
  EXPECT_FALSE(reserve.isReached());
  disk.free = 100'000;
  EXPECT_FALSE(reserve.check());
  disk.free = 99'999;
  EXPECT_TRUE(reserve.check());
  EXPECT_TRUE(reserve.isReached());
  disk.free = 101'000;
  EXPECT_FALSE(reserve.check()) << "at the edge it does not flap";
  disk.free = UINT64_MAX;
  EXPECT_FALSE(reserve.check());
  EXPECT_TRUE(reserve.isReached()) << "a disk that does not answer changes nothing";
  disk.free = 106'250;
  EXPECT_TRUE(reserve.check());
  EXPECT_FALSE(reserve.isReached());
  DiskReserve large(disk, "/data", 900'000, 1);
  EXPECT_TRUE(large.check());
}

TEST(EngineDiskReserve, aDiskThatIsFullRefusesTheStartByName) {
  Disk disk;
  disk.free = startFreeBytesMin;
  EXPECT_TRUE(checkRoomToStart(disk, "/data"));
  disk.free = startFreeBytesMin - 1;
  const Result<void> full = checkRoomToStart(disk, "/data");
  ASSERT_FALSE(full);
  EXPECT_EQ(full.error().code, schema::ErrorCode::DISK_FULL);
  EXPECT_EQ(full.error().field, "diskFull");
  EXPECT_EQ(full.error().message, "/data lies on a disk with 1048575 bytes free; starting needs 1048576");
  disk.free = UINT64_MAX;
  EXPECT_TRUE(checkRoomToStart(disk, "/data")) << "a disk that does not answer stops nothing";
}

TEST(EngineDiskReserve, theHousekeeperLooksBeforeMuchIsWritten) {
  Disk disk;
  DiskReserve reserve(disk, "/data", 100'000, 0);
  std::atomic<int> told = -1;
  Housekeeper housekeeper(reserve, [&told](bool reached) {
    told = reached ? 1 : 0;
    told.notify_all();
  });
  EXPECT_EQ(told.load(), 0);
  disk.free = 5;
  for (int megabytes = 0; megabytes < 32; ++megabytes) housekeeper.proposed(1 << 20);
  told.wait(0);
  EXPECT_EQ(told.load(), 1);
  disk.free = 500'000;
  told.wait(1);
  EXPECT_EQ(told.load(), 0) << "it recovers by itself";
  housekeeper.close();
  const int looks = disk.looks.load();
  housekeeper.proposed(64 << 20);
  EXPECT_EQ(disk.looks.load(), looks);
}

}  // namespace
}  // namespace capstan::engine
