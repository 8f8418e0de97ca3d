// A disk that can lose power and whose fsync can fail or lie, between one process and libc (LD_PRELOAD). Owns the
// store, a folder that holds what a power cut would leave of the data directory: contents come into it only when fsync
// or fdatasync of the file is called, names only when fsync of their directory is. The test kills the process and
// builds the directory anew from the store (test/support/power_cut.ts). Compiled by test/support/preload.ts.
//
//     FAULTY_DISK_DATA    the data directory, an absolute path without links
//     FAULTY_DISK_STORE   the store; without it every sync goes to the real disk
//     FAULTY_DISK_SYNC_US how long a sync into the store takes
//     FAULTY_DISK_FAIL    TEXT:N  the Nth sync of a path that holds TEXT fails with EIO, and so does each later one
//     FAULTY_DISK_LIE     TEXT    syncs of such paths report success and keep nothing; with $ at its end, of paths that
//                         end so
//
//     store/files/ID   what is durable of a file       ID: inode number, dot, how often the number was given out
//     store/dirs/ID    what is durable of a directory: a line `f ID NAME` or `d ID NAME` for each entry
//
// What is written through a FILE (RocksDB's own log for people) is never synced by anyone and so always lost.
#include <dirent.h>
#include <dlfcn.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstdarg>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

namespace {

constexpr int descriptorsMax = 65'536;
constexpr off_t toEnd = INT64_MAX;

template <typename Function>
Function real(const char* name) {
  return reinterpret_cast<Function>(dlsym(RTLD_NEXT, name));
}

using OpenFunction = int (*)(const char*, int, ...);
using SyncFunction = int (*)(int);

int realOpen(const char* path, int flags, mode_t mode) {
  static const auto open = real<OpenFunction>("open");
  return open(path, flags, mode);
}

[[noreturn]] void fail(const char* what, const std::string& path) {
  fprintf(stderr, "faulty disk: %s %s: %s\n", what, path.c_str(), strerror(errno));
  abort();
}

// One inode of the data directory.
struct Node {
  std::string id;
  std::string path;  // as it was first opened; for messages and patterns
  std::mutex mutex;
  std::vector<std::pair<off_t, off_t>> dirty;  // [from, to), guarded by mutex
};

struct Disk {
  std::string data;
  std::string store;
  std::string failText;
  std::string lieText;
  long failAt = 0;
  useconds_t syncUs = 0;
  std::atomic<long> failCount{0};
  std::atomic<Node*> open[descriptorsMax] = {};
  std::mutex mutex;
  std::map<ino_t, Node*> nodes;   // guarded by mutex
  std::map<ino_t, int> givenOut;  // guarded by mutex
};

std::string setting(const char* name) {
  const char* value = getenv(name);
  return value == nullptr ? "" : value;
}

// Leaked: other threads still write while the process ends.
Disk& disk() {
  static Disk* const one = [] {
    auto* made = new Disk;
    made->data = setting("FAULTY_DISK_DATA");
    made->store = setting("FAULTY_DISK_STORE");
    made->lieText = setting("FAULTY_DISK_LIE");
    made->syncUs = static_cast<useconds_t>(atoi(setting("FAULTY_DISK_SYNC_US").c_str()));
    const std::string failing = setting("FAULTY_DISK_FAIL");
    const size_t colon = failing.rfind(':');
    if (colon != std::string::npos) {
      made->failText = failing.substr(0, colon);
      made->failAt = atol(failing.c_str() + colon + 1);
    }
    return made;
  }();
  return *one;
}

bool isInside(const char* path) {
  const std::string& data = disk().data;
  if (data.empty() || strncmp(path, data.c_str(), data.size()) != 0) return false;
  return path[data.size()] == '/' || path[data.size()] == 0;
}

std::string storedFile(const std::string& id) { return disk().store + "/files/" + id; }

// `isNew`: the number was given out again, so what is known of its last bearer does not count.
Node* nodeOf(const struct stat& about, const std::string& path, bool isNew) {
  Disk& all = disk();
  const std::lock_guard guard(all.mutex);
  Node*& node = all.nodes[about.st_ino];
  if (node != nullptr && !isNew) return node;
  if (isNew) ++all.givenOut[about.st_ino];
  node = new Node;
  node->id = std::to_string(about.st_ino) + "." + std::to_string(all.givenOut[about.st_ino]);
  node->path = path;
  if (isNew && !all.store.empty()) {
    // Empty, and so that the test knows which bearer of the number is the last.
    const std::string path = all.store + (S_ISDIR(about.st_mode) ? "/dirs/" : "/files/") + node->id;
    const int made = realOpen(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (made < 0) fail("making", node->id);
    close(made);
  }
  return node;
}

void track(int descriptor, const char* path, bool isNew, bool isEmptied) {
  if (descriptor < 0 || descriptor >= descriptorsMax) return;
  struct stat about;
  if (fstat(descriptor, &about) != 0) return;
  Node* const node = nodeOf(about, path, isNew);
  if (isEmptied) {
    const std::lock_guard guard(node->mutex);
    node->dirty.emplace_back(0, toEnd);
  }
  disk().open[descriptor].store(node, std::memory_order_release);
}

bool isLie(const std::string& path) {
  const std::string& text = disk().lieText;
  if (text.empty()) return false;
  if (text.back() != '$') return path.find(text) != std::string::npos;
  const size_t bytes = text.size() - 1;
  return path.size() >= bytes && path.compare(path.size() - bytes, bytes, text, 0, bytes) == 0;
}

Node* nodeAt(int descriptor) {
  if (descriptor < 0 || descriptor >= descriptorsMax) return nullptr;
  return disk().open[descriptor].load(std::memory_order_acquire);
}

void markDirty(Node& node, off_t from, off_t to) {
  const std::lock_guard guard(node.mutex);
  if (!node.dirty.empty() && node.dirty.back().second == from) {
    node.dirty.back().second = to;
  } else {
    node.dirty.emplace_back(from, to);
  }
}

// A descriptor of its own for reading, since files are often opened for writing alone.
int reopened(int descriptor, int flags) {
  const std::string path = "/proc/self/fd/" + std::to_string(descriptor);
  const int made = realOpen(path.c_str(), flags | O_CLOEXEC, 0);
  if (made < 0) fail("opening again", path);
  return made;
}

void keepContents(int descriptor, Node& node) {
  const std::lock_guard guard(node.mutex);
  const int from = reopened(descriptor, O_RDONLY);
  const int to = realOpen(storedFile(node.id).c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
  struct stat about;
  if (to < 0 || fstat(from, &about) != 0) fail("keeping", node.path);
  std::vector<char> buffer(1 << 18);
  for (const auto& [begin, end] : node.dirty) {
    off_t at = begin;
    while (at < end && at < about.st_size) {
      const auto wanted = static_cast<size_t>(std::min<off_t>(static_cast<off_t>(buffer.size()), end - at));
      const ssize_t got = pread(from, buffer.data(), wanted, at);
      if (got < 0) fail("reading", node.path);
      if (got == 0) break;
      static const auto put = real<ssize_t (*)(int, const void*, size_t, off_t)>("pwrite");
      if (put(to, buffer.data(), static_cast<size_t>(got), at) != got) fail("keeping", node.path);
      at += got;
    }
  }
  static const auto cut = real<int (*)(int, off_t)>("ftruncate");
  if (cut(to, about.st_size) != 0) fail("keeping", node.path);
  node.dirty.clear();
  close(from);
  close(to);
}

void keepNames(int descriptor, Node& node) {
  const std::lock_guard guard(node.mutex);
  DIR* const entries = fdopendir(reopened(descriptor, O_RDONLY | O_DIRECTORY));
  if (entries == nullptr) fail("listing", node.path);
  std::string lines;
  while (const dirent* one = readdir(entries)) {
    const std::string name = one->d_name;
    struct stat about;
    if (name == "." || name == ".." || fstatat(dirfd(entries), one->d_name, &about, AT_SYMLINK_NOFOLLOW) != 0) continue;
    const Node* const child = nodeOf(about, node.path + "/" + name, false);
    lines += std::string(S_ISDIR(about.st_mode) ? "d " : "f ") + child->id + " " + name + "\n";
  }
  closedir(entries);
  // All or nothing, as a journal does it.
  const std::string path = disk().store + "/dirs/" + node.id;
  const int to = realOpen((path + ".new").c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  static const auto put = real<ssize_t (*)(int, const void*, size_t)>("write");
  if (to < 0 || put(to, lines.data(), lines.size()) != static_cast<ssize_t>(lines.size())) fail("keeping", path);
  close(to);
  if (rename((path + ".new").c_str(), path.c_str()) != 0) fail("keeping", path);
}

int synced(int descriptor, const char* name) {
  Node* const node = nodeAt(descriptor);
  if (node == nullptr) return real<SyncFunction>(name)(descriptor);
  Disk& all = disk();
  if (all.failAt > 0 && node->path.find(all.failText) != std::string::npos && ++all.failCount >= all.failAt) {
    errno = EIO;
    return -1;
  }
  if (isLie(node->path)) return 0;
  if (all.store.empty()) return real<SyncFunction>(name)(descriptor);
  if (all.syncUs > 0) usleep(all.syncUs);
  struct stat about;
  if (fstat(descriptor, &about) != 0) fail("looking at", node->path);
  if (S_ISDIR(about.st_mode)) {
    keepNames(descriptor, *node);
  } else if (about.st_nlink > 0) {
    keepContents(descriptor, *node);
  }
  return 0;
}

uint64_t bytesOf(const iovec* parts, int count) {
  uint64_t bytes = 0;
  for (int at = 0; at < count; ++at) bytes += parts[at].iov_len;
  return bytes;
}

ssize_t written(int descriptor, ssize_t bytes) {
  Node* const node = nodeAt(descriptor);
  if (node != nullptr && bytes > 0) {
    const off_t end = lseek(descriptor, 0, SEEK_CUR);
    if (end >= bytes) markDirty(*node, end - bytes, end);
  }
  return bytes;
}

ssize_t written(int descriptor, ssize_t bytes, off_t offset) {
  Node* const node = nodeAt(descriptor);
  if (node != nullptr && bytes > 0) markDirty(*node, offset, offset + bytes);
  return bytes;
}

FILE* openedStream(const char* name, const char* path, const char* mode) {
  const bool isNew = isInside(path) && mode[0] != 'r' && access(path, F_OK) != 0;
  FILE* const stream = real<FILE* (*)(const char*, const char*)>(name)(path, mode);
  if (isNew && stream != nullptr) {
    struct stat about;
    if (fstat(fileno(stream), &about) == 0) nodeOf(about, path, true);
  }
  return stream;
}

}  // namespace

extern "C" {

int open(const char* path, int flags, ...) {
  va_list rest;
  va_start(rest, flags);
  const mode_t mode = (flags & (O_CREAT | O_TMPFILE)) != 0 ? static_cast<mode_t>(va_arg(rest, int)) : 0;
  va_end(rest);
  if (!isInside(path)) return realOpen(path, flags, mode);
  const bool isNew = (flags & O_CREAT) != 0 && access(path, F_OK) != 0;
  const int descriptor = realOpen(path, flags, mode);
  track(descriptor, path, isNew, !isNew && (flags & O_TRUNC) != 0);
  return descriptor;
}
int open64(const char* path, int flags, ...) __attribute__((alias("open")));

FILE* fopen(const char* path, const char* mode) { return openedStream("fopen", path, mode); }
FILE* fopen64(const char* path, const char* mode) { return openedStream("fopen64", path, mode); }

int mkdir(const char* path, mode_t mode) {
  const int status = real<int (*)(const char*, mode_t)>("mkdir")(path, mode);
  struct stat about;
  if (status == 0 && isInside(path) && stat(path, &about) == 0) nodeOf(about, path, true);
  return status;
}

int close(int descriptor) {
  static const auto function = real<SyncFunction>("close");
  if (nodeAt(descriptor) != nullptr) disk().open[descriptor].store(nullptr, std::memory_order_release);
  return function(descriptor);
}

ssize_t write(int descriptor, const void* bytes, size_t count) {
  static const auto function = real<ssize_t (*)(int, const void*, size_t)>("write");
  return written(descriptor, function(descriptor, bytes, count));
}

ssize_t writev(int descriptor, const iovec* parts, int count) {
  static const auto function = real<ssize_t (*)(int, const iovec*, int)>("writev");
  return written(descriptor, function(descriptor, parts, count));
}

ssize_t pwrite(int descriptor, const void* bytes, size_t count, off_t offset) {
  static const auto function = real<ssize_t (*)(int, const void*, size_t, off_t)>("pwrite");
  return written(descriptor, function(descriptor, bytes, count, offset), offset);
}
ssize_t pwrite64(int descriptor, const void* bytes, size_t count, off_t offset) __attribute__((alias("pwrite")));

ssize_t pwritev(int descriptor, const iovec* parts, int count, off_t offset) {
  static const auto function = real<ssize_t (*)(int, const iovec*, int, off_t)>("pwritev");
  const ssize_t put = written(descriptor, function(descriptor, parts, count, offset), offset);
  if (put > 0 && static_cast<uint64_t>(put) > bytesOf(parts, count)) abort();
  return put;
}
ssize_t pwritev64(int descriptor, const iovec* parts, int count, off_t offset) __attribute__((alias("pwritev")));

int ftruncate(int descriptor, off_t bytes) noexcept {
  static const auto function = real<int (*)(int, off_t)>("ftruncate");
  const int status = function(descriptor, bytes);
  Node* const node = nodeAt(descriptor);
  if (status == 0 && node != nullptr) {
    const std::lock_guard guard(node->mutex);
    node->dirty.emplace_back(bytes, toEnd);
  }
  return status;
}
int ftruncate64(int descriptor, off_t bytes) noexcept __attribute__((alias("ftruncate")));

int fsync(int descriptor) { return synced(descriptor, "fsync"); }
int fdatasync(int descriptor) { return synced(descriptor, "fdatasync"); }

}  // extern "C"
