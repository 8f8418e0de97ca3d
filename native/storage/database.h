// The RocksDB of one shard: opened with options for each family's access pattern, written by whole batches, flushed all
// families at once. Owns the database and its families. It knows nothing of what rows mean. RocksDB's own log is off:
// the Raft log is the log, and every batch carries the applied index.
//
// Threading: `write`, `flush` and `checkpoint` by one thread; reads by any. Errors: a failed read or write ends the
// process (design: a node that cannot apply must not go on), for damage with a message that names the file and with the
// exit code of a damaged directory; opening gives an Error that names the path.
#pragma once

#include <rocksdb/db.h>
#include <rocksdb/iterator.h>
#include <rocksdb/write_batch.h>
#include <rocksdb/write_buffer_manager.h>

#include <array>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "storage/keys.h"

namespace capstan::storage {

struct DatabaseOptions {
  std::string directory;
  uint64_t blockCacheBytes = 128ull << 20;
  uint64_t writeBufferBytes = 128ull << 20;  // memtables, those being flushed included
  uint32_t backgroundJobs = 2;
  rocksdb::Env* env = nullptr;
  std::string overrides{};  // for benchmarks: see overrides.h
};

// RocksDB's iterator, but that damage it meets ends the process. Whoever iterates to where it is not valid any more
// asks for its status.
class Iterator {
 public:
  Iterator(rocksdb::Iterator* over, const std::string& directory) : over(over), directory(directory) {}

  void Seek(const rocksdb::Slice& key) { over->Seek(key); }
  void SeekToFirst() { over->SeekToFirst(); }
  void SeekToLast() { over->SeekToLast(); }
  void SeekForPrev(const rocksdb::Slice& key) { over->SeekForPrev(key); }
  void Next() { over->Next(); }
  void Prev() { over->Prev(); }
  bool Valid() const { return over->Valid(); }
  rocksdb::Slice key() const { return over->key(); }
  rocksdb::Slice value() const { return over->value(); }
  rocksdb::Status status() const;

 private:
  const std::unique_ptr<rocksdb::Iterator> over;
  const std::string& directory;  // the database's
};

class Database {
 public:
  static Result<std::unique_ptr<Database>> open(const DatabaseOptions& options);
  ~Database();
  Database(const Database&) = delete;
  Database& operator=(const Database&) = delete;

  rocksdb::ColumnFamilyHandle* family(Family family) const { return handles[static_cast<size_t>(family)]; }
  std::optional<std::string> get(Family family, std::string_view key, const rocksdb::Snapshot* at = nullptr) const;
  // What a crash now would keep.
  std::optional<std::string> getPersisted(Family family, std::string_view key) const;
  std::unique_ptr<Iterator> iterate(Family family, const rocksdb::Snapshot* at = nullptr) const;
  void multiGet(Family family, const std::vector<rocksdb::Slice>& keys, std::vector<rocksdb::PinnableSlice>& values,
                std::vector<rocksdb::Status>& found) const;

  void write(rocksdb::WriteBatch& batch);
  // Begins a flush of all families when `force` or when the write buffers hold their share; waits when asked to, and
  // for a flush under way while the memtables hold more than writeBufferBytes.
  void flush(bool force, bool wait);
  uint64_t memtableBytes() const { return writeBuffers->memory_usage(); }
  Result<void> checkpoint(const std::string& directory);
  uint64_t property(Family family, const std::string& name) const;
  rocksdb::DB& raw() { return *database; }

 private:
  explicit Database(const DatabaseOptions& options);
  bool isFlushing() const;
  void check(const rocksdb::Status& status) const;

  const DatabaseOptions options;
  const std::shared_ptr<rocksdb::WriteBufferManager> writeBuffers;
  std::unique_ptr<rocksdb::DB> database;
  std::array<rocksdb::ColumnFamilyHandle*, familyCount> handles{};
  uint64_t unflushedBytes = 0;
};

}  // namespace capstan::storage
