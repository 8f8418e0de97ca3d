// The seam for files: what the log and the data directory do to a file system, so that a simulator can lose unsynced
// writes and fail on demand. Owns open descriptors. Errors come back as Results with the path and the system's text;
// what must not be survived (a failed fsync) is decided by the caller. Thread-safe unless one File is shared.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"

namespace capstan {

class File {
 public:
  virtual ~File() = default;  // closes, and gives up a lock
  // Reads up to `into.size()` bytes; fewer only at the end of the file.
  virtual Result<size_t> read(uint64_t offset, std::span<uint8_t> into) = 0;
  // Writes all of them.
  virtual Result<void> write(uint64_t offset, ByteSpan bytes) = 0;
  virtual Result<void> write(uint64_t offset, std::span<const ByteSpan> parts) = 0;
  // fdatasync: data and what is needed to read it back.
  virtual Result<void> sync() = 0;
  // Reserves blocks and extends the file; its new part reads as zeros.
  virtual Result<void> allocate(uint64_t bytes) = 0;
  virtual Result<void> truncate(uint64_t bytes) = 0;
  virtual Result<uint64_t> size() = 0;
};

struct DiskSpace {
  uint64_t freeBytes = 0;  // for this process
  uint64_t totalBytes = 0;
};

enum class OpenMode { read, readWrite, create };  // create: must not exist, mode 0600 whatever the umask

class FileSystem {
 public:
  virtual ~FileSystem() = default;
  virtual Result<std::unique_ptr<File>> open(const std::string& path, OpenMode mode) = 0;
  // An exclusive lock on a file that is made when missing; held until the File goes. busy: another process has it.
  virtual Result<std::unique_ptr<File>> lock(const std::string& path) = 0;
  // Mode 0700 whatever the umask; parents too. No error when it exists.
  virtual Result<void> makeDirectory(const std::string& path) = 0;
  // fsync of a directory, after create, rename and remove in it.
  virtual Result<void> syncDirectory(const std::string& path) = 0;
  virtual Result<void> rename(const std::string& from, const std::string& to) = 0;
  virtual Result<void> remove(const std::string& path) = 0;
  virtual Result<void> removeTree(const std::string& path) = 0;
  // Names, sorted, without . and ..
  virtual Result<std::vector<std::string>> list(const std::string& path) = 0;
  virtual Result<bool> exists(const std::string& path) = 0;
  virtual Result<DiskSpace> space(const std::string& path) = 0;
  // "ext4", "tmpfs", "nfs" …; empty when it is not known.
  virtual std::string kind(const std::string& path) = 0;
};

// Lives for the process.
FileSystem& systemFiles();

}  // namespace capstan
