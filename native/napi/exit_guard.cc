// The handler, and the short life of a database in memory that goes before it. Nothing here touches a disk. See
// exit_guard.h for why.
#include "napi/exit_guard.h"

#include <rocksdb/db.h>
#include <rocksdb/env.h>
#include <rocksdb/file_system.h>
#include <rocksdb/iterator.h>
#include <rocksdb/options.h>
#include <rocksdb/system_clock.h>
#include <unistd.h>

#include <cstdlib>
#include <memory>

#include "base/check.h"

namespace capstan::napi {

namespace {

void checked(const rocksdb::Status& status) { CAPSTAN_ASSERT(status.ok(), status.ToString()); }

// Goes once through what the engine does: opening, writing, flushing, compacting, reading, scanning.
void makeStatics() {
  (void)rocksdb::FileSystem::Default();
  (void)rocksdb::SystemClock::Default();
  const std::unique_ptr<rocksdb::Env> memory(rocksdb::NewMemEnv(rocksdb::Env::Default()));
  rocksdb::Options options;
  options.env = memory.get();
  options.create_if_missing = true;
  options.write_buffer_size = 64 << 10;
  rocksdb::DB* opened = nullptr;
  checked(rocksdb::DB::Open(options, "/statics", &opened));
  const std::unique_ptr<rocksdb::DB> database(opened);
  for (const char* key : {"a", "b"}) {
    checked(database->Put(rocksdb::WriteOptions(), key, "value"));
    checked(database->Flush(rocksdb::FlushOptions()));
  }
  checked(database->SingleDelete(rocksdb::WriteOptions(), "a"));
  checked(database->CompactRange(rocksdb::CompactRangeOptions(), nullptr, nullptr));
  std::string value;
  checked(database->Get(rocksdb::ReadOptions(), "b", &value));
  const std::unique_ptr<rocksdb::Iterator> iterator(database->NewIterator(rocksdb::ReadOptions()));
  iterator->SeekToFirst();
  CAPSTAN_ASSERT(iterator->Valid());
}

}  // namespace

void endBeforeStaticDestructors(bool (*isRunning)()) {
#ifdef __GLIBC__
  makeStatics();
  const auto end = [](int status, void* isRunning) {
    if (reinterpret_cast<bool (*)()>(isRunning)()) ::_exit(status);
  };
  CAPSTAN_OS_CHECK(::on_exit(end, reinterpret_cast<void*>(isRunning)) == 0, "on_exit");
#endif
}

}  // namespace capstan::napi
