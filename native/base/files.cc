// The file seam on POSIX. Owns descriptors. Restarts interrupted calls and continues short writes. Modes are set with
// fchmod after creation, so that no umask widens or narrows them. Called by log/ and engine/ through files.h.
#include "base/files.h"

#include <dirent.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/uio.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>

namespace capstan {
namespace {

// `field` holds a stable word for what whoever runs the server can change; see engine/engine.h.
const char* wordOf(int number) {
  switch (number) {
    case ENOSPC:
    case EDQUOT:
      return "diskFull";
    case EACCES:
    case EPERM:
    case EROFS:
      return "permission";
    case ENOTDIR:
      return "notDirectory";
    default:
      return "";
  }
}

Error failure(const char* what, const std::string& path, int number) {
  const bool full = number == ENOSPC || number == EDQUOT;
  return Error{full ? schema::ErrorCode::DISK_FULL : schema::ErrorCode::INTERNAL,
               std::string(what) + " " + path + ": " + std::strerror(number), wordOf(number), 0};
}

class PosixFile final : public File {
 public:
  PosixFile(int descriptor, std::string path) : descriptor(descriptor), path(std::move(path)) {}
  ~PosixFile() override { ::close(descriptor); }
  PosixFile(const PosixFile&) = delete;
  PosixFile& operator=(const PosixFile&) = delete;

  Result<size_t> read(uint64_t offset, std::span<uint8_t> into) override {
    size_t done = 0;
    while (done < into.size()) {
      const ssize_t got =
          ::pread(descriptor, into.data() + done, into.size() - done, static_cast<off_t>(offset + done));
      if (got < 0 && errno == EINTR) continue;
      if (got < 0) return failure("reading", path, errno);
      if (got == 0) break;
      done += static_cast<size_t>(got);
    }
    return done;
  }

  Result<void> write(uint64_t offset, ByteSpan bytes) override {
    size_t done = 0;
    while (done < bytes.size()) {
      const ssize_t put =
          ::pwrite(descriptor, bytes.data() + done, bytes.size() - done, static_cast<off_t>(offset + done));
      if (put < 0 && errno == EINTR) continue;
      if (put < 0) return failure("writing", path, errno);
      done += static_cast<size_t>(put);
    }
    return {};
  }

  Result<void> write(uint64_t offset, std::span<const ByteSpan> parts) override {
    size_t at = 0;
    while (at < parts.size()) {
      iovec vectors[64];
      size_t count = 0;
      uint64_t bytes = 0;
      for (; count < 64 && at + count < parts.size(); ++count) {
        vectors[count].iov_base = const_cast<uint8_t*>(parts[at + count].data());
        vectors[count].iov_len = parts[at + count].size();
        bytes += parts[at + count].size();
      }
      ssize_t put;
      do {
        put = ::pwritev(descriptor, vectors, static_cast<int>(count), static_cast<off_t>(offset));
      } while (put < 0 && errno == EINTR);
      if (put < 0) return failure("writing", path, errno);
      if (static_cast<uint64_t>(put) < bytes) {
        // A short write: finish this round part by part.
        uint64_t skip = static_cast<uint64_t>(put);
        uint64_t place = offset;
        for (size_t index = 0; index < count; ++index) {
          const ByteSpan part = parts[at + index];
          const uint64_t already = std::min<uint64_t>(skip, part.size());
          if (Result<void> rest = write(place + already, part.subspan(already)); !rest) return rest;
          skip -= already;
          place += part.size();
        }
      }
      offset += bytes;
      at += count;
    }
    return {};
  }

  Result<void> sync() override {
    // Never retried: after a failure the kernel may have dropped the pages.
    if (::fdatasync(descriptor) != 0) return failure("fdatasync of", path, errno);
    return {};
  }

  Result<void> allocate(uint64_t bytes) override {
    int number;
    do {
      number = ::posix_fallocate(descriptor, 0, static_cast<off_t>(bytes));
    } while (number == EINTR);
    if (number != 0) return failure("allocating", path, number);
    return {};
  }

  Result<void> truncate(uint64_t bytes) override {
    int status;
    do {
      status = ::ftruncate(descriptor, static_cast<off_t>(bytes));
    } while (status != 0 && errno == EINTR);
    if (status != 0) return failure("truncating", path, errno);
    return {};
  }

  Result<uint64_t> size() override {
    struct stat about;
    if (::fstat(descriptor, &about) != 0) return failure("stat of", path, errno);
    return static_cast<uint64_t>(about.st_size);
  }

 private:
  const int descriptor;
  const std::string path;
};

int openRestarting(const std::string& path, int flags, mode_t mode) {
  int descriptor;
  do {
    descriptor = ::open(path.c_str(), flags | O_CLOEXEC, mode);
  } while (descriptor < 0 && errno == EINTR);
  return descriptor;
}

class PosixFileSystem final : public FileSystem {
 public:
  Result<std::unique_ptr<File>> open(const std::string& path, OpenMode mode) override {
    const int flags = mode == OpenMode::read        ? O_RDONLY
                      : mode == OpenMode::readWrite ? O_RDWR
                                                    : O_RDWR | O_CREAT | O_EXCL;
    const int descriptor = openRestarting(path, flags, 0600);
    if (descriptor < 0) return failure("opening", path, errno);
    if (mode == OpenMode::create && ::fchmod(descriptor, 0600) != 0) {
      const int number = errno;
      ::close(descriptor);
      return failure("chmod of", path, number);
    }
    return std::unique_ptr<File>(std::make_unique<PosixFile>(descriptor, path));
  }

  Result<std::unique_ptr<File>> lock(const std::string& path) override {
    const int descriptor = openRestarting(path, O_RDWR | O_CREAT, 0600);
    if (descriptor < 0) return failure("opening", path, errno);
    auto file = std::make_unique<PosixFile>(descriptor, path);
    if (::flock(descriptor, LOCK_EX | LOCK_NB) != 0) {
      if (errno == EWOULDBLOCK) {
        return Error{schema::ErrorCode::BUSY, "another process holds the lock " + path, "", 0};
      }
      return failure("locking", path, errno);
    }
    if (::fchmod(descriptor, 0600) != 0) return failure("chmod of", path, errno);
    return std::unique_ptr<File>(std::move(file));
  }

  Result<void> makeDirectory(const std::string& path) override {
    for (size_t at = 1; at <= path.size(); ++at) {
      if (at != path.size() && path[at] != '/') continue;
      const std::string prefix = path.substr(0, at);
      if (::mkdir(prefix.c_str(), 0700) == 0) {
        if (::chmod(prefix.c_str(), 0700) != 0) return failure("chmod of", prefix, errno);
      } else if (errno != EEXIST) {
        return failure("making directory", prefix, errno);
      }
    }
    struct stat about;
    if (::stat(path.c_str(), &about) != 0) return failure("stat of", path, errno);
    if (!S_ISDIR(about.st_mode)) return failure("making directory", path, ENOTDIR);
    return {};
  }

  Result<void> syncDirectory(const std::string& path) override {
    const int descriptor = openRestarting(path, O_RDONLY | O_DIRECTORY, 0);
    if (descriptor < 0) return failure("opening", path, errno);
    const int status = ::fsync(descriptor);
    const int number = errno;
    ::close(descriptor);
    if (status != 0) return failure("fsync of", path, number);
    return {};
  }

  Result<void> rename(const std::string& from, const std::string& to) override {
    if (::rename(from.c_str(), to.c_str()) != 0) return failure("renaming", from + " to " + to, errno);
    return {};
  }

  Result<void> remove(const std::string& path) override {
    if (::unlink(path.c_str()) != 0) return failure("removing", path, errno);
    return {};
  }

  Result<void> removeTree(const std::string& path) override {
    std::error_code code;
    std::filesystem::remove_all(path, code);
    if (code) return failure("removing", path, code.value());
    return {};
  }

  Result<std::vector<std::string>> list(const std::string& path) override {
    DIR* directory = ::opendir(path.c_str());
    if (directory == nullptr) return failure("listing", path, errno);
    std::vector<std::string> names;
    errno = 0;
    while (const dirent* item = ::readdir(directory)) {
      const std::string name = item->d_name;
      if (name != "." && name != "..") names.push_back(name);
      errno = 0;
    }
    const int number = errno;
    ::closedir(directory);
    if (number != 0) return failure("listing", path, number);
    std::sort(names.begin(), names.end());
    return names;
  }

  Result<bool> exists(const std::string& path) override {
    struct stat about;
    if (::stat(path.c_str(), &about) == 0) return true;
    if (errno == ENOENT || errno == ENOTDIR) return false;
    return failure("stat of", path, errno);
  }

  Result<DiskSpace> space(const std::string& path) override {
    struct statvfs about;
    if (::statvfs(path.c_str(), &about) != 0) return failure("statvfs of", path, errno);
    return DiskSpace{static_cast<uint64_t>(about.f_bavail) * about.f_frsize,
                     static_cast<uint64_t>(about.f_blocks) * about.f_frsize};
  }

  std::string kind(const std::string& path) override {
    struct statfs about;
    if (::statfs(path.c_str(), &about) != 0) return "";
    switch (static_cast<unsigned long>(about.f_type)) {
      case EXT4_SUPER_MAGIC:
        return "ext4";
      case XFS_SUPER_MAGIC:
        return "xfs";
      case BTRFS_SUPER_MAGIC:
        return "btrfs";
      case TMPFS_MAGIC:
        return "tmpfs";
      case OVERLAYFS_SUPER_MAGIC:
        return "overlay";
      case NFS_SUPER_MAGIC:
        return "nfs";
      case SMB_SUPER_MAGIC:
      case 0xff534d42ul:  // CIFS
      case 0xfe534d42ul:  // SMB2
        return "smb";
      case FUSE_SUPER_MAGIC:
        return "fuse";
      default:
        return "";
    }
  }
};

}  // namespace

FileSystem& systemFiles() {
  static PosixFileSystem files;
  return files;
}

}  // namespace capstan
