// The RocksDB of a shard under its own rules: nothing is kept that was not flushed, a flush keeps every family at once,
// and a checkpoint is the whole state. Owns a directory per test. Run by the native test program.
#include <gtest/gtest.h>
#include <rocksdb/table.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "base/check.h"
#include "storage/database.h"
#include "test/temporary_directory.h"

namespace capstan::storage {
namespace {

class StorageDatabase : public ::testing::Test {
 protected:
  std::unique_ptr<Database> open(const std::string& name) const {
    DatabaseOptions options;
    options.directory = directory + "/" + name;
    options.writeBufferBytes = 8 << 20;
    return Database::open(options).take();
  }

  static void put(Database& database, Family family, std::string_view key, std::string_view value) {
    rocksdb::WriteBatch batch;
    ASSERT_TRUE(batch.Put(database.family(family), {key.data(), key.size()}, {value.data(), value.size()}).ok());
    database.write(batch);
  }

  const TemporaryDirectory temporary;
  const std::string directory = temporary.path;
};

TEST_F(StorageDatabase, refusesADirectoryThatCannotBeMade) {
  DatabaseOptions options;
  options.directory = "/proc/no such place";
  const Result<std::unique_ptr<Database>> opened = Database::open(options);
  ASSERT_FALSE(opened.ok());
  EXPECT_NE(opened.error().message.find(options.directory), std::string::npos);
}

TEST_F(StorageDatabase, takesOptionsOfABenchmarkAndLeavesTheOthers) {
  DatabaseOptions options;
  options.directory = directory + "/state";
  options.overrides = "bytes_per_sync=4096;max_write_buffer_number=2;block_based_table_factory={block_size=8192}";
  const auto database = Database::open(options).take();
  const rocksdb::Options found = database->raw().GetOptions(database->family(Family::jobs));
  EXPECT_EQ(found.bytes_per_sync, 4096u);
  EXPECT_EQ(found.max_write_buffer_number, 2);
  EXPECT_EQ(found.compression, rocksdb::kNoCompression);
  const auto* table = found.table_factory->GetOptions<rocksdb::BlockBasedTableOptions>();
  ASSERT_NE(table, nullptr);
  EXPECT_EQ(table->block_size, 8192u);
  EXPECT_TRUE(table->cache_index_and_filter_blocks) << "of the same table, and not named";
}

TEST_F(StorageDatabase, refusesAnOptionThatRocksDbDoesNotKnow) {
  for (const char* overrides : {"no_such_option=1", "bytes_per_sync=many", "bytes_per_sync"}) {
    DatabaseOptions options;
    options.directory = directory + "/state";
    options.overrides = overrides;
    const Result<std::unique_ptr<Database>> opened = Database::open(options);
    ASSERT_FALSE(opened.ok()) << overrides;
    EXPECT_EQ(opened.error().code, schema::ErrorCode::INVALID_ARGUMENT) << overrides;
  }
}

TEST_F(StorageDatabase, forgetsWhatWasNotFlushedInAllFamiliesAlike) {
  {
    auto database = open("state");
    put(*database, Family::meta, "meta", "1");
    put(*database, Family::jobs, "a", "1");
    EXPECT_EQ(database->get(Family::jobs, "a"), "1");
    EXPECT_EQ(database->getPersisted(Family::meta, "meta"), std::nullopt);
  }
  auto database = open("state");
  EXPECT_EQ(database->get(Family::meta, "meta"), std::nullopt);
  EXPECT_EQ(database->get(Family::jobs, "a"), std::nullopt);
}

TEST_F(StorageDatabase, memtablesStayWithinTheirShareHoweverFastWritesCome) {
  auto database = open("state");
  const std::string value(512 << 10, 'v');
  for (int number = 0; number < 200; ++number) {
    rocksdb::WriteBatch batch;
    ASSERT_TRUE(batch.Put(database->family(Family::jobs), "key " + std::to_string(number), value).ok());
    // Every batch of a state machine has it, and the flush of all families is told by its family.
    ASSERT_TRUE(batch.Put(database->family(Family::meta), "meta", std::to_string(number)).ok());
    database->write(batch);
    database->flush(false, false);
    // One write beyond, and the blocks of two arenas that writes began.
    ASSERT_LE(database->memtableBytes(), (8u << 20) + value.size() + (2u << 20)) << number;
  }
}

TEST_F(StorageDatabase, aFlushKeepsAllFamiliesAtOnce) {
  {
    auto database = open("state");
    put(*database, Family::jobs, "a", "1");
    put(*database, Family::meta, "meta", "1");
    database->flush(true, true);
    EXPECT_EQ(database->getPersisted(Family::meta, "meta"), "1");
    put(*database, Family::jobs, "b", "2");
    put(*database, Family::meta, "meta", "2");
    EXPECT_EQ(database->getPersisted(Family::meta, "meta"), "1");
  }
  auto database = open("state");
  EXPECT_EQ(database->get(Family::meta, "meta"), "1");
  EXPECT_EQ(database->get(Family::jobs, "a"), "1");
  EXPECT_EQ(database->get(Family::jobs, "b"), std::nullopt);
}

TEST_F(StorageDatabase, aJobThatLeavesBeforeTheFlushLeavesNothing) {
  auto database = open("state");
  const std::string key = jobKey({1, 0, 0}, JobId{});
  put(*database, Family::jobs, key, std::string(1000, 'x'));
  rocksdb::WriteBatch batch;
  ASSERT_TRUE(batch.SingleDelete(database->family(Family::jobs), key).ok());
  database->write(batch);
  database->flush(true, true);
  EXPECT_EQ(database->get(Family::jobs, key), std::nullopt);
  EXPECT_EQ(database->property(Family::jobs, rocksdb::DB::Properties::kLiveSstFilesSize), 0u);
}

TEST_F(StorageDatabase, aCheckpointIsTheWholeStateAndIsRefusedWhereOneStands) {
  auto database = open("state");
  put(*database, Family::leases, "lease", "1");
  put(*database, Family::meta, "meta", "7");
  ASSERT_TRUE(database->checkpoint(directory + "/copy").ok());
  EXPECT_FALSE(database->checkpoint(directory + "/copy").ok());
  put(*database, Family::meta, "meta", "8");
  auto copy = open("copy");
  EXPECT_EQ(copy->get(Family::meta, "meta"), "7");
  EXPECT_EQ(copy->get(Family::leases, "lease"), "1");
}

TEST_F(StorageDatabase, damageMetByAReadEndsTheProcessNamingTheFile) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");  // RocksDB has threads
  {
    auto database = open("state");
    put(*database, Family::jobs, "a", std::string(100'000, 'x'));
    database->flush(true, true);
  }
  std::string path;
  for (const auto& entry : std::filesystem::directory_iterator(directory + "/state")) {
    if (entry.path().extension() == ".sst") path = entry.path();
  }
  ASSERT_FALSE(path.empty());
  std::fstream(path, std::ios::in | std::ios::out | std::ios::binary).seekp(5000).put('y');
  const ::testing::ExitedWithCode damaged(damagedExitCode);
  const std::string name = std::filesystem::path(path).filename();
  EXPECT_EXIT(open("state")->get(Family::jobs, "a"), damaged, "the state is damaged.*" + name);
  const auto walk = [&] {
    const auto database = open("state");
    const auto iterator = database->iterate(Family::jobs);
    iterator->SeekToFirst();
    return iterator->status();
  };
  EXPECT_EXIT(walk(), damaged, "the state is damaged.*" + name);
  const auto multiGet = [&] {
    std::vector<rocksdb::PinnableSlice> values;
    std::vector<rocksdb::Status> found;
    open("state")->multiGet(Family::jobs, {"a"}, values, found);
  };
  EXPECT_EXIT(multiGet(), damaged, "the state is damaged.*" + name);
}

TEST_F(StorageDatabase, namesATableWhosePropertiesAreDamaged) {
  {
    auto database = open("state");
    put(*database, Family::jobs, "a", "1");
    database->flush(true, true);
  }
  std::string path;
  for (const auto& entry : std::filesystem::directory_iterator(directory + "/state")) {
    if (entry.path().extension() == ".sst") path = entry.path();
  }
  std::stringstream whole;
  whole << std::ifstream(path, std::ios::binary).rdbuf();
  // Of "rocksdb.comparator"; what it shares with the name before it is not written again. So its name sorts before.
  const size_t at = whole.str().find("mparator");
  ASSERT_NE(at, std::string::npos);
  std::fstream(path, std::ios::in | std::ios::out | std::ios::binary).seekp(static_cast<long>(at)).put('a');
  DatabaseOptions options;
  options.directory = directory + "/state";
  const Result<std::unique_ptr<Database>> opened = Database::open(options);
  ASSERT_FALSE(opened.ok());
  EXPECT_NE(opened.error().message.find(path), std::string::npos) << opened.error().message;
}

TEST_F(StorageDatabase, namesTheFileThatSentItToOneThatDoesNotExist) {
  open("state").reset();
  std::ofstream(directory + "/state/CURRENT") << "MANIFEST-002005\n";
  DatabaseOptions options;
  options.directory = directory + "/state";
  const Result<std::unique_ptr<Database>> opened = Database::open(options);
  ASSERT_FALSE(opened.ok());
  EXPECT_NE(opened.error().message.find("/state/CURRENT is damaged"), std::string::npos) << opened.error().message;
}

TEST_F(StorageDatabase, keysSortLikeTheirNumbers) {
  EXPECT_LT(laneKey({1, 2, 3}), laneKey({1, 3, 0}));
  EXPECT_LT(laneKey({255, 0, 0}), laneKey({256, 0, 0}));
  EXPECT_LT(scheduledKey(ClockKind::elapsed, 255, JobId{}), scheduledKey(ClockKind::elapsed, 256, JobId{}));
  const LaneKey lane{7, 15, 0x01020304};
  EXPECT_EQ(laneOf(jobKey(lane, JobId{})), lane);
  EXPECT_EQ(jobKey(lane, JobId{}).size(), jobKeyBytes);
}

}  // namespace
}  // namespace capstan::storage
