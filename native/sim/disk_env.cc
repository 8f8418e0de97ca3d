// RocksDB's seams over the simulated disk; see disk_env.h. Owns the file handles and the queue of jobs. A full disk is
// given to RocksDB as a plain failure: for the real code of it, RocksDB starts a thread that waits for space, and the
// next write of the state machine ends the process in both cases.
#include "sim/disk_env.h"

#include <rocksdb/file_system.h>
#include <rocksdb/system_clock.h>

#include <algorithm>
#include <cstring>
#include <deque>
#include <utility>

namespace capstan::sim {
namespace {

using rocksdb::FileOptions;
using rocksdb::IODebugContext;
using rocksdb::IOOptions;
using rocksdb::IOStatus;
using rocksdb::Slice;

IOStatus statusOf(Outcome outcome, const std::string& path) {
  switch (outcome) {
    case Outcome::ok:
      return IOStatus::OK();
    case Outcome::missing:
      return IOStatus::PathNotFound(path);
    case Outcome::full:
      return IOStatus::IOError(path, "the simulated disk is full");
    default:
      return IOStatus::IOError(path, outcome == Outcome::exists ? "exists" : "simulated failure");
  }
}

size_t readAt(const Inode& inode, uint64_t offset, size_t count, Slice* result, char* scratch) {
  const size_t got = offset >= inode.now.size() ? 0 : std::min<size_t>(count, inode.now.size() - offset);
  if (got > 0) std::memcpy(scratch, inode.now.data() + offset, got);
  *result = Slice(scratch, got);
  return got;
}

class SequentialFile final : public rocksdb::FSSequentialFile {
 public:
  explicit SequentialFile(InodePtr inode) : inode(std::move(inode)) {}
  IOStatus Read(size_t count, const IOOptions&, Slice* result, char* scratch, IODebugContext*) override {
    place += readAt(*inode, place, count, result, scratch);
    return IOStatus::OK();
  }
  IOStatus Skip(uint64_t count) override {
    place += count;
    return IOStatus::OK();
  }

 private:
  const InodePtr inode;
  uint64_t place = 0;
};

class RandomAccessFile final : public rocksdb::FSRandomAccessFile {
 public:
  explicit RandomAccessFile(InodePtr inode) : inode(std::move(inode)) {}
  IOStatus Read(uint64_t offset, size_t count, const IOOptions&, Slice* result, char* scratch,
                IODebugContext*) const override {
    readAt(*inode, offset, count, result, scratch);
    return IOStatus::OK();
  }

 private:
  const InodePtr inode;
};

class WritableFile final : public rocksdb::FSWritableFile {
 public:
  using rocksdb::FSWritableFile::Append;
  WritableFile(Disk& disk, std::string path, InodePtr inode)
      : disk(disk), path(std::move(path)), inode(std::move(inode)) {}
  IOStatus Append(const Slice& bytes, const IOOptions&, IODebugContext*) override {
    return statusOf(disk.write(path, *inode, inode->now.size(), asBytes(bytes.ToStringView())), path);
  }
  IOStatus Truncate(uint64_t bytes, const IOOptions&, IODebugContext*) override {
    if (bytes == inode->now.size()) return IOStatus::OK();
    return statusOf(disk.resize(path, *inode, bytes), path);
  }
  IOStatus Close(const IOOptions&, IODebugContext*) override { return IOStatus::OK(); }
  IOStatus Flush(const IOOptions&, IODebugContext*) override { return IOStatus::OK(); }
  IOStatus Sync(const IOOptions&, IODebugContext*) override { return statusOf(disk.sync(path, *inode), path); }
  uint64_t GetFileSize(const IOOptions&, IODebugContext*) override { return inode->now.size(); }

 private:
  Disk& disk;
  const std::string path;
  const InodePtr inode;
};

class Directory final : public rocksdb::FSDirectory {
 public:
  Directory(Disk& disk, std::string path) : disk(disk), path(std::move(path)) {}
  IOStatus Fsync(const IOOptions&, IODebugContext*) override { return statusOf(disk.syncDirectory(path), path); }

 private:
  Disk& disk;
  const std::string path;
};

class Lock final : public rocksdb::FileLock {
 public:
  explicit Lock(std::string path) : path(std::move(path)) {}
  const std::string path;
};

class NoLogger final : public rocksdb::Logger {
 public:
  NoLogger() : Logger(rocksdb::InfoLogLevel::FATAL_LEVEL) {}
  using rocksdb::Logger::Logv;
  void Logv(const char*, va_list) override {}
  size_t GetLogFileSize() const override { return 0; }
};

// Paths come with a slash too many now and then.
std::string cleaned(const std::string& path) {
  std::string made;
  for (const char letter : path) {
    if (letter != '/' || made.empty() || made.back() != '/') made.push_back(letter);
  }
  if (made.size() > 1 && made.back() == '/') made.pop_back();
  return made;
}

class Files final : public rocksdb::FileSystem {
 public:
  explicit Files(Disk& disk) : disk(disk) {}
  const char* Name() const override { return "simulated"; }

  IOStatus NewSequentialFile(const std::string& name, const FileOptions&,
                             std::unique_ptr<rocksdb::FSSequentialFile>* result, IODebugContext*) override {
    InodePtr inode = disk.find(cleaned(name));
    if (!inode) return IOStatus::PathNotFound(name);
    *result = std::make_unique<SequentialFile>(std::move(inode));
    return IOStatus::OK();
  }
  IOStatus NewRandomAccessFile(const std::string& name, const FileOptions&,
                               std::unique_ptr<rocksdb::FSRandomAccessFile>* result, IODebugContext*) override {
    InodePtr inode = disk.find(cleaned(name));
    if (!inode) return IOStatus::PathNotFound(name);
    *result = std::make_unique<RandomAccessFile>(std::move(inode));
    return IOStatus::OK();
  }
  IOStatus NewWritableFile(const std::string& name, const FileOptions&,
                           std::unique_ptr<rocksdb::FSWritableFile>* result, IODebugContext*) override {
    const std::string path = cleaned(name);
    if (disk.find(path)) {
      if (const Outcome removed = disk.remove(path); removed != Outcome::ok) return statusOf(removed, path);
    }
    InodePtr inode;
    if (const Outcome made = disk.create(path, inode); made != Outcome::ok) return statusOf(made, path);
    *result = std::make_unique<WritableFile>(disk, path, std::move(inode));
    return IOStatus::OK();
  }
  IOStatus NewDirectory(const std::string& name, const IOOptions&, std::unique_ptr<rocksdb::FSDirectory>* result,
                        IODebugContext*) override {
    const std::string path = cleaned(name);
    if (!disk.isDirectory(path)) return IOStatus::PathNotFound(name);
    *result = std::make_unique<Directory>(disk, path);
    return IOStatus::OK();
  }
  IOStatus FileExists(const std::string& name, const IOOptions&, IODebugContext*) override {
    const std::string path = cleaned(name);
    return disk.find(path) || disk.isDirectory(path) ? IOStatus::OK() : IOStatus::NotFound(name);
  }
  IOStatus GetChildren(const std::string& name, const IOOptions&, std::vector<std::string>* result,
                       IODebugContext*) override {
    const std::string path = cleaned(name);
    if (!disk.isDirectory(path)) return IOStatus::PathNotFound(name);
    *result = disk.list(path);
    return IOStatus::OK();
  }
  IOStatus DeleteFile(const std::string& name, const IOOptions&, IODebugContext*) override {
    return statusOf(disk.remove(cleaned(name)), name);
  }
  IOStatus CreateDir(const std::string& name, const IOOptions&, IODebugContext*) override {
    return statusOf(disk.makeDirectory(cleaned(name)), name);
  }
  IOStatus CreateDirIfMissing(const std::string& name, const IOOptions&, IODebugContext*) override {
    const std::string path = cleaned(name);
    return disk.isDirectory(path) ? IOStatus::OK() : statusOf(disk.makeDirectory(path), name);
  }
  IOStatus DeleteDir(const std::string& name, const IOOptions&, IODebugContext*) override {
    return statusOf(disk.removeDirectory(cleaned(name)), name);
  }
  IOStatus GetFileSize(const std::string& name, const IOOptions&, uint64_t* bytes, IODebugContext*) override {
    const InodePtr inode = disk.find(cleaned(name));
    if (!inode) return IOStatus::PathNotFound(name);
    *bytes = inode->now.size();
    return IOStatus::OK();
  }
  IOStatus GetFileModificationTime(const std::string&, const IOOptions&, uint64_t* seconds, IODebugContext*) override {
    *seconds = 0;
    return IOStatus::OK();
  }
  IOStatus RenameFile(const std::string& from, const std::string& to, const IOOptions&, IODebugContext*) override {
    return statusOf(disk.rename(cleaned(from), cleaned(to)), from);
  }
  IOStatus LinkFile(const std::string& from, const std::string& to, const IOOptions&, IODebugContext*) override {
    return statusOf(disk.link(cleaned(from), cleaned(to)), from);
  }
  IOStatus LockFile(const std::string& name, const IOOptions&, rocksdb::FileLock** lock, IODebugContext*) override {
    const std::string path = cleaned(name);
    if (!disk.lock(path)) return IOStatus::IOError(name, "is locked");
    *lock = new Lock(path);
    return IOStatus::OK();
  }
  IOStatus UnlockFile(rocksdb::FileLock* lock, const IOOptions&, IODebugContext*) override {
    const std::unique_ptr<Lock> held(static_cast<Lock*>(lock));
    disk.unlock(held->path);
    return IOStatus::OK();
  }
  IOStatus GetTestDirectory(const IOOptions&, std::string*, IODebugContext*) override {
    return IOStatus::NotSupported("GetTestDirectory");
  }
  IOStatus GetAbsolutePath(const std::string& path, const IOOptions&, std::string* result, IODebugContext*) override {
    *result = path;
    return IOStatus::OK();
  }
  IOStatus IsDirectory(const std::string& name, const IOOptions&, bool* result, IODebugContext*) override {
    *result = disk.isDirectory(cleaned(name));
    return IOStatus::OK();
  }
  IOStatus NewLogger(const std::string&, const IOOptions&, std::shared_ptr<rocksdb::Logger>* result,
                     IODebugContext*) override {
    *result = std::make_shared<NoLogger>();
    return IOStatus::OK();
  }

 private:
  Disk& disk;
};

class Clock final : public rocksdb::SystemClockWrapper {
 public:
  explicit Clock(uint64_t& micros) : SystemClockWrapper(rocksdb::SystemClock::Default()), micros(micros) {}
  const char* Name() const override { return "simulated"; }
  uint64_t NowMicros() override { return micros; }
  uint64_t NowNanos() override { return micros * 1000; }
  uint64_t CPUMicros() override { return micros; }
  uint64_t CPUNanos() override { return micros * 1000; }
  void SleepForMicroseconds(int count) override { micros += static_cast<uint64_t>(count); }
  rocksdb::Status GetCurrentTime(int64_t* seconds) override {
    *seconds = static_cast<int64_t>(micros / 1'000'000);
    return rocksdb::Status::OK();
  }

 private:
  uint64_t& micros;
};

}  // namespace

class DiskEnv::Environment final : public rocksdb::EnvWrapper {
 public:
  struct Job {
    void (*run)(void*);
    void* argument;
    void* tag;
    Priority priority;
    void (*drop)(void*);
  };

  Environment(const std::shared_ptr<rocksdb::FileSystem>& files, std::shared_ptr<rocksdb::SystemClock> clock)
      : EnvWrapper(rocksdb::NewCompositeEnv(files)) {
    file_system_ = files;
    system_clock_ = std::move(clock);
  }
  const char* Name() const override { return "simulated"; }

  void Schedule(void (*run)(void*), void* argument, Priority priority, void* tag, void (*drop)(void*)) override {
    queue.push_back({run, argument, tag, priority, drop});
  }
  int UnSchedule(void* tag, Priority priority) override {
    int dropped = 0;
    std::deque<Job> kept;
    for (const Job& job : queue) {
      if (job.tag != tag || job.priority != priority) {
        kept.push_back(job);
        continue;
      }
      if (job.drop != nullptr) job.drop(job.argument);
      ++dropped;
    }
    queue.swap(kept);
    return dropped;
  }
  uint64_t NowMicros() override { return system_clock_->NowMicros(); }
  // Who sleeps here waits for a flush, and nobody else would run it.
  void SleepForMicroseconds(int micros) override {
    system_clock_->SleepForMicroseconds(micros);
    runOneJob();
  }
  bool runOneJob() {
    if (queue.empty()) return false;
    const Job job = queue.front();
    queue.pop_front();
    job.run(job.argument);
    return true;
  }
  void SetBackgroundThreads(int, Priority) override {}
  void IncBackgroundThreadsIfNeeded(int, Priority) override {}
  int GetBackgroundThreads(Priority) override { return 1; }
  unsigned int GetThreadPoolQueueLen(Priority) const override { return static_cast<unsigned int>(queue.size()); }

  std::deque<Job> queue;
};

DiskEnv::DiskEnv(Disk& disk, uint64_t& micros)
    : environment(std::make_unique<Environment>(std::make_shared<Files>(disk), std::make_shared<Clock>(micros))) {}

DiskEnv::~DiskEnv() = default;

rocksdb::Env* DiskEnv::env() { return environment.get(); }

size_t DiskEnv::jobs() const { return environment->queue.size(); }

bool DiskEnv::runOneJob() { return environment->runOneJob(); }

}  // namespace capstan::sim
