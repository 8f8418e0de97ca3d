// The file seam over the simulated disk, with the errors that the system's would give. Owns nothing more. Called by the
// log and the data directory of a simulated node.
#include "sim/disk_files.h"

#include <algorithm>
#include <utility>

namespace capstan::sim {
namespace {

constexpr uint64_t shownTotalBytes = 1ull << 40;  // of a disk without a capacity

Error failure(const char* what, const std::string& path, Outcome outcome) {
  const bool isFull = outcome == Outcome::full;
  const char* text = isFull                        ? "No space left on device"
                     : outcome == Outcome::missing ? "No such file or directory"
                     : outcome == Outcome::exists  ? "File exists"
                                                   : "Input/output error";
  return Error{isFull ? schema::ErrorCode::DISK_FULL : schema::ErrorCode::INTERNAL,
               std::string(what) + " " + path + ": " + text, isFull ? "diskFull" : "", 0};
}

Result<void> checked(const char* what, const std::string& path, Outcome outcome) {
  if (outcome == Outcome::ok) return {};
  return failure(what, path, outcome);
}

class DiskFile final : public File {
 public:
  DiskFile(Disk& disk, std::string path, InodePtr inode) : disk(disk), path(std::move(path)), inode(std::move(inode)) {}

  Result<size_t> read(uint64_t offset, std::span<uint8_t> into) override {
    if (offset >= inode->now.size()) return size_t{0};
    const size_t count = std::min<size_t>(into.size(), inode->now.size() - offset);
    std::copy_n(inode->now.begin() + static_cast<long>(offset), count, into.begin());
    return count;
  }
  Result<void> write(uint64_t offset, ByteSpan bytes) override {
    return checked("writing", path, disk.write(path, *inode, offset, bytes));
  }
  Result<void> write(uint64_t offset, std::span<const ByteSpan> parts) override {
    std::vector<uint8_t> whole;
    for (const ByteSpan part : parts) whole.insert(whole.end(), part.begin(), part.end());
    return write(offset, ByteSpan(whole));
  }
  Result<void> sync() override { return checked("fdatasync of", path, disk.sync(path, *inode)); }
  Result<void> allocate(uint64_t bytes) override {
    if (bytes <= inode->now.size()) return {};
    return checked("allocating", path, disk.resize(path, *inode, bytes));
  }
  Result<void> truncate(uint64_t bytes) override {
    return checked("truncating", path, disk.resize(path, *inode, bytes));
  }
  Result<uint64_t> size() override { return uint64_t{inode->now.size()}; }

 private:
  Disk& disk;
  const std::string path;
  const InodePtr inode;
};

class DiskLock final : public File {
 public:
  DiskLock(Disk& disk, std::string path) : disk(disk), path(std::move(path)) {}
  ~DiskLock() override { disk.unlock(path); }
  DiskLock(const DiskLock&) = delete;
  DiskLock& operator=(const DiskLock&) = delete;

  Result<size_t> read(uint64_t, std::span<uint8_t>) override { return size_t{0}; }
  Result<void> write(uint64_t, ByteSpan) override { return failure("writing", path, Outcome::ioError); }
  Result<void> write(uint64_t, std::span<const ByteSpan>) override {
    return failure("writing", path, Outcome::ioError);
  }
  Result<void> sync() override { return {}; }
  Result<void> allocate(uint64_t) override { return failure("allocating", path, Outcome::ioError); }
  Result<void> truncate(uint64_t) override { return failure("truncating", path, Outcome::ioError); }
  Result<uint64_t> size() override { return uint64_t{0}; }

 private:
  Disk& disk;
  const std::string path;
};

}  // namespace

Result<std::unique_ptr<File>> DiskFiles::open(const std::string& path, OpenMode mode) {
  InodePtr inode;
  if (mode == OpenMode::create) {
    const Outcome made = disk.create(path, inode);
    if (made != Outcome::ok) return failure("opening", path, made);
  } else {
    inode = disk.find(path);
    if (!inode) return failure("opening", path, Outcome::missing);
  }
  return std::unique_ptr<File>(std::make_unique<DiskFile>(disk, path, std::move(inode)));
}

Result<std::unique_ptr<File>> DiskFiles::lock(const std::string& path) {
  if (!disk.find(path)) {
    InodePtr made;
    const Outcome created = disk.create(path, made);
    if (created != Outcome::ok) return failure("opening", path, created);
  }
  if (!disk.lock(path)) {
    return Error{schema::ErrorCode::BUSY, "another process holds the lock " + path, "", 0};
  }
  return std::unique_ptr<File>(std::make_unique<DiskLock>(disk, path));
}

Result<void> DiskFiles::makeDirectory(const std::string& path) {
  for (size_t at = 1; at <= path.size(); ++at) {
    if (at != path.size() && path[at] != '/') continue;
    const std::string prefix = path.substr(0, at);
    if (disk.isDirectory(prefix)) continue;
    if (const Outcome made = disk.makeDirectory(prefix); made != Outcome::ok) {
      return failure("making directory", prefix, made);
    }
  }
  return {};
}

Result<void> DiskFiles::syncDirectory(const std::string& path) {
  return checked("fsync of", path, disk.syncDirectory(path));
}

Result<void> DiskFiles::rename(const std::string& from, const std::string& to) {
  return checked("renaming", from + " to " + to, disk.rename(from, to));
}

Result<void> DiskFiles::remove(const std::string& path) { return checked("removing", path, disk.remove(path)); }

Result<void> DiskFiles::removeTree(const std::string& path) {
  if (disk.find(path)) return remove(path);
  if (!disk.isDirectory(path)) return {};
  for (const std::string& name : disk.list(path)) {
    if (Result<void> removed = removeTree(path + "/" + name); !removed) return removed;
  }
  return checked("removing", path, disk.removeDirectory(path));
}

Result<std::vector<std::string>> DiskFiles::list(const std::string& path) {
  if (!disk.isDirectory(path)) return failure("listing", path, Outcome::missing);
  return disk.list(path);
}

Result<bool> DiskFiles::exists(const std::string& path) { return disk.find(path) != nullptr || disk.isDirectory(path); }

Result<DiskSpace> DiskFiles::space(const std::string& path) {
  const uint64_t freeBytes = disk.freeBytes();
  if (freeBytes == UINT64_MAX) return DiskSpace{shownTotalBytes, shownTotalBytes};
  return DiskSpace{freeBytes, freeBytes + disk.usedBytes()};
}

}  // namespace capstan::sim
