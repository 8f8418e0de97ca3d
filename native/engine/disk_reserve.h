// Whether the disk below the data directory still has its reserve. Owns the last answer; it reads the file system when
// told to, and frees nothing. Called by the engine at its start and by its housekeeping thread; asked by every
// proposer.
//
// Reached: free < max(reserveBytes, reservePercent of the disk). It is over when a sixteenth more than that is free,
// so that a disk at the edge does not flap.
#pragma once

#include <atomic>
#include <cstdint>
#include <string>

#include "base/files.h"

namespace capstan::engine {

// Less than this and RocksDB cannot open: it would end the process by an assertion of its own instead of saying why.
constexpr uint64_t startFreeBytesMin = 1024 * 1024;

// diskFull, naming the directory and what is free, when a start would fail for want of space. A file system that does
// not answer stops nothing.
Result<void> checkRoomToStart(FileSystem& files, const std::string& path);

class DiskReserve {
 public:
  DiskReserve(FileSystem& files, std::string path, uint64_t reserveBytes, uint32_t reservePercent)
      : files(files), path(std::move(path)), reserveBytes(reserveBytes), reservePercent(reservePercent) {}

  // Looks; true when the answer changed. A file system that does not answer changes nothing: the next write will tell.
  bool check();
  bool isReached() const { return reached.load(std::memory_order_relaxed); }
  uint64_t freeBytes() const { return free.load(std::memory_order_relaxed); }

 private:
  FileSystem& files;
  const std::string path;
  const uint64_t reserveBytes;
  const uint32_t reservePercent;
  std::atomic<bool> reached = false;
  std::atomic<uint64_t> free = 0;
};

}  // namespace capstan::engine
