// Opens, reads, writes and flushes the RocksDB of one shard. Owns the options of each family, which follow its access
// pattern. Called as database.h says.
#include "storage/database.h"

#include <rocksdb/cache.h>
#include <rocksdb/filter_policy.h>
#include <rocksdb/slice_transform.h>
#include <rocksdb/sst_file_reader.h>
#include <rocksdb/table.h>
#include <rocksdb/utilities/checkpoint.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>

#include "base/check.h"
#include "storage/overrides.h"

namespace capstan::storage {
namespace {

// The manager counts what memtables hold; it begins no flush and stalls no writer, since it is never full.
constexpr size_t writeBuffersNeverFull = size_t{1} << 60;

// How often a writer that waits for room looks again.
constexpr int roomEveryMicroseconds = 500;

// What a memtable needs for a row beside its bytes in the batch: a node of the skip list, sequence number, lengths.
constexpr uint64_t rowOverheadBytes = 48;

// RocksDB names the file of a bad block, but not of a bad footer or of bad properties: that is a table which does not
// open.
std::string damagedTable(const std::string& directory) {
  std::error_code code;
  for (const auto& entry : std::filesystem::directory_iterator(directory, code)) {
    if (entry.path().extension() != ".sst") continue;
    const rocksdb::Status opened = rocksdb::SstFileReader(rocksdb::Options()).Open(entry.path());
    if (opened.IsCorruption()) return entry.path();
  }
  return "";
}

std::string wordsFor(const rocksdb::Status& status, const std::string& directory) {
  const std::string words = status.ToString();
  if (!status.IsCorruption() || words.find(".sst") != std::string::npos) return words;
  const std::string table = damagedTable(directory);
  return table.empty() ? words : words + " (" + table + ")";
}

void checkRead(const rocksdb::Status& status, const std::string& directory) {
  if (status.IsCorruption()) endForDamage("the state is damaged: " + wordsFor(status, directory));
  CAPSTAN_OS_CHECK(status.ok(), status.ToString());
}

// CURRENT names the manifest and has no checksum: when that is damaged, RocksDB names only what it did not find.
std::string danglingCurrent(const std::string& directory) {
  std::ifstream file(directory + "/CURRENT");
  std::string name;
  std::error_code code;
  if (!std::getline(file, name) || std::filesystem::exists(directory + "/" + name, code)) return "";
  return directory + "/CURRENT is damaged, it names a file that does not exist: ";
}

rocksdb::Slice sliceOf(std::string_view text) { return {text.data(), text.size()}; }

// Keys that come in order behind one another, and leave by SingleDelete before they are flushed.
bool isQueueLike(Family family) {
  return family == Family::jobs || family == Family::scheduled || family == Family::dead || family == Family::done ||
         family == Family::leases;
}

bool holdsPayloads(Family family) {
  return family == Family::jobs || family == Family::scheduled || family == Family::dead || family == Family::done;
}

rocksdb::ColumnFamilyOptions familyOptions(Family family, const DatabaseOptions& options,
                                           const std::shared_ptr<rocksdb::Cache>& cache) {
  rocksdb::ColumnFamilyOptions made;
  rocksdb::BlockBasedTableOptions table;
  table.block_cache = cache;
  table.block_size = holdsPayloads(family) ? 16 << 10 : 4 << 10;
  table.format_version = 5;
  table.cache_index_and_filter_blocks = true;
  table.pin_l0_filter_and_index_blocks_in_cache = true;
  // Point reads of keys that are mostly absent: whether a job was moved, tried before, or is half closed.
  if (!isQueueLike(family)) table.filter_policy.reset(rocksdb::NewBloomFilterPolicy(10));
  made.table_factory.reset(rocksdb::NewBlockBasedTableFactory(table));
  made.compression = rocksdb::kNoCompression;
  // Never reached: `flush` acts on counted bytes long before, so that RocksDB begins no flush by itself.
  made.write_buffer_size = options.writeBufferBytes * 4;
  made.max_write_buffer_number = 4;
  made.level_compaction_dynamic_level_bytes = true;
  if (family == Family::jobs) {
    // A new key lands behind its lane's last one: the hint finds that place without a search.
    made.prefix_extractor.reset(rocksdb::NewFixedPrefixTransform(laneKeyBytes));
    made.memtable_insert_with_hint_prefix_extractor.reset(rocksdb::NewFixedPrefixTransform(laneKeyBytes));
  }
  return made;
}

}  // namespace

Database::Database(const DatabaseOptions& options)
    : options(options), writeBuffers(std::make_shared<rocksdb::WriteBufferManager>(writeBuffersNeverFull)) {}

Result<std::unique_ptr<Database>> Database::open(const DatabaseOptions& options) {
  rocksdb::DBOptions made;
  made.create_if_missing = true;
  made.create_missing_column_families = true;
  made.atomic_flush = true;
  made.allow_concurrent_memtable_write = false;
  made.enable_pipelined_write = false;
  made.db_write_buffer_size = 0;
  made.max_background_jobs = static_cast<int>(std::max(2u, options.backgroundJobs));
  made.bytes_per_sync = 1 << 20;
  made.max_open_files = 512;
  made.keep_log_file_num = 4;
  made.max_log_file_size = 16 << 20;
  made.info_log_level = rocksdb::WARN_LEVEL;
  made.avoid_flush_during_shutdown = true;
  made.paranoid_checks = true;
  // Statistics would go into a log of RocksDB's that keeps warnings only.
  made.stats_dump_period_sec = 0;
  made.stats_persist_period_sec = 0;
  if (options.env != nullptr) {
    made.env = options.env;
    made.max_file_opening_threads = 1;  // the simulator's: everything in one thread
  }
  std::unique_ptr<Database> result(new Database(options));
  made.write_buffer_manager = result->writeBuffers;
  Result<Overrides> parsed = Overrides::parse(options.overrides);
  if (!parsed) return parsed.takeError();
  const Overrides overrides = parsed.take();
  overrides.apply(made);
  const auto cache = rocksdb::NewLRUCache(options.blockCacheBytes);
  std::vector<rocksdb::ColumnFamilyDescriptor> families;
  for (size_t at = 0; at < familyCount; ++at) {
    rocksdb::ColumnFamilyOptions family = familyOptions(static_cast<Family>(at), options, cache);
    overrides.apply(family);
    families.emplace_back(familyNames[at], family);
  }
  rocksdb::DB* raw = nullptr;
  std::vector<rocksdb::ColumnFamilyHandle*> opened;
  const rocksdb::Status status = rocksdb::DB::Open(made, options.directory, families, &opened, &raw);
  if (!status.ok()) {
    const std::string what = danglingCurrent(options.directory) + wordsFor(status, options.directory);
    return Error{schema::ErrorCode::INTERNAL, "opening the state in " + options.directory + ": " + what, "", 0};
  }
  result->database.reset(raw);
  std::copy(opened.begin(), opened.end(), result->handles.begin());
  return result;
}

rocksdb::Status Iterator::status() const {
  const rocksdb::Status status = over->status();
  if (status.IsCorruption()) checkRead(status, directory);
  return status;
}

void Database::check(const rocksdb::Status& status) const { checkRead(status, options.directory); }

Database::~Database() {
  if (!database) return;
  for (auto* handle : handles) {
    const rocksdb::Status status = database->DestroyColumnFamilyHandle(handle);
    CAPSTAN_ASSERT(status.ok(), status.ToString());
  }
  const rocksdb::Status status = database->Close();
  CAPSTAN_ASSERT(status.ok(), status.ToString());
}

std::optional<std::string> Database::get(Family which, std::string_view key, const rocksdb::Snapshot* at) const {
  rocksdb::ReadOptions read;
  read.snapshot = at;
  std::string value;
  const rocksdb::Status status = database->Get(read, family(which), sliceOf(key), &value);
  if (status.IsNotFound()) return std::nullopt;
  check(status);
  return value;
}

std::optional<std::string> Database::getPersisted(Family which, std::string_view key) const {
  rocksdb::ReadOptions read;
  read.read_tier = rocksdb::kPersistedTier;
  std::string value;
  const rocksdb::Status status = database->Get(read, family(which), sliceOf(key), &value);
  if (status.IsNotFound()) return std::nullopt;
  check(status);
  return value;
}

std::unique_ptr<Iterator> Database::iterate(Family which, const rocksdb::Snapshot* at) const {
  rocksdb::ReadOptions read;
  read.snapshot = at;
  read.total_order_seek = true;
  return std::make_unique<Iterator>(database->NewIterator(read, family(which)), options.directory);
}

void Database::multiGet(Family which, const std::vector<rocksdb::Slice>& keys,
                        std::vector<rocksdb::PinnableSlice>& values, std::vector<rocksdb::Status>& found) const {
  values.resize(keys.size());
  found.resize(keys.size());
  database->MultiGet(rocksdb::ReadOptions(), family(which), keys.size(), keys.data(), values.data(), found.data());
  for (const rocksdb::Status& status : found) {
    if (!status.IsNotFound()) check(status);
  }
}

void Database::write(rocksdb::WriteBatch& batch) {
  rocksdb::WriteOptions write;
  write.disableWAL = true;
  unflushedBytes += batch.GetDataSize() + batch.Count() * rowOverheadBytes;
  // Damage that a compaction met is told by the next write.
  check(database->Write(write, &batch));
}

void Database::flush(bool force, bool wait) {
  // A disk that is slower than the writes must not make memtables grow: one half is filled while the other is flushed.
  while (!force && memtableBytes() > options.writeBufferBytes && isFlushing()) {
    database->GetEnv()->SleepForMicroseconds(roomEveryMicroseconds);
  }
  // Counted bytes and not RocksDB's own sense of memory decide, so that a simulator sees the same flushes.
  if (!force && unflushedBytes < options.writeBufferBytes / 2) return;
  if (!force && property(Family::meta, rocksdb::DB::Properties::kMemTableFlushPending) != 0) return;
  unflushedBytes = 0;
  rocksdb::FlushOptions flush;
  flush.wait = wait;
  flush.allow_write_stall = true;
  const rocksdb::Status status =
      database->Flush(flush, std::vector<rocksdb::ColumnFamilyHandle*>(handles.begin(), handles.end()));
  check(status);
}

// After an error RocksDB begins no flush any more; the next write tells of it.
bool Database::isFlushing() const {
  if (property(Family::meta, rocksdb::DB::Properties::kBackgroundErrors) != 0) return false;
  return property(Family::meta, rocksdb::DB::Properties::kNumRunningFlushes) != 0 ||
         property(Family::meta, rocksdb::DB::Properties::kMemTableFlushPending) != 0;
}

Result<void> Database::checkpoint(const std::string& directory) {
  flush(true, true);
  rocksdb::Checkpoint* raw = nullptr;
  rocksdb::Status status = rocksdb::Checkpoint::Create(database.get(), &raw);
  const std::unique_ptr<rocksdb::Checkpoint> checkpoint(raw);
  // Never by its own flush: that one may pick families before it waits.
  if (status.ok()) status = checkpoint->CreateCheckpoint(directory, UINT64_MAX);
  if (!status.ok()) {
    return Error{schema::ErrorCode::INTERNAL, "checkpoint into " + directory + ": " + status.ToString(), "", 0};
  }
  return {};
}

uint64_t Database::property(Family which, const std::string& name) const {
  uint64_t value = 0;
  database->GetIntProperty(family(which), name, &value);
  return value;
}

}  // namespace capstan::storage
