// A disk in memory that forgets what was not synced. Owns every file and directory of one simulated machine, for the
// log (disk_files.h) and for RocksDB (disk_env.h) alike. It knows nothing of what the files mean. One thread.
//
// A file has its bytes as the process sees them, its bytes as a power cut would leave them, and in between the list of
// changes since its last sync. A directory has the same: names as seen, names as kept, and a journal of changes, of
// which a power cut keeps a first part (file systems keep the order of such changes). What a cut keeps of a file is
// drawn by seed: nothing, everything, a first part down to the byte, or some sectors of some writes.
//
//     write ──▶ now ┄┄ pending ┄┄▶ durable        sync: pending is applied to durable
//     create, rename, remove ──▶ files ┄┄ journal of the directory ┄┄▶ durableFiles
//
// A crash freezes: a copy of the disk is taken as the next start shall find it, and everything later goes to the old
// one, so that the code under test can run on to the end of its step without any effect. `restart` swaps them.
//
// Faults are counted down in operations: freezing at the Nth, failing the Nth. A failed sync leaves its changes unkept.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "sim/random.h"

namespace capstan::sim {

enum class Outcome : uint8_t { ok, missing, exists, ioError, full };

// Loss of power: unsynced changes are at the mercy of the seed. A killed process: the page cache stays.
enum class CrashKind : uint8_t { none, power, kill };

struct Inode {
  struct Change {  // `bytes` written at `offset`, or the size set
    bool setsSize = false;
    uint64_t offset = 0;
    std::string bytes;
  };
  uint64_t number = 0;
  std::string now;
  std::string durable;
  std::vector<Change> pending;
};
using InodePtr = std::shared_ptr<Inode>;

struct DiskCounters {
  uint64_t operations = 0;
  uint64_t syncs = 0;
  uint64_t failedWrites = 0;
  uint64_t failedSyncs = 0;
  uint64_t fullWrites = 0;  // refused for want of space
  uint64_t tornFiles = 0;   // by a cut: kept in part
  uint64_t lostFiles = 0;   // by a cut: had changes, all of them lost
  uint64_t lostNames = 0;   // by a cut: journal entries that were not kept
};

class Disk {
 public:
  Disk(uint64_t seed, Trace& trace);

  // --- what the code under test does ---
  Outcome makeDirectory(const std::string& path);
  bool isDirectory(const std::string& path) const { return image.directories.contains(path); }
  InodePtr find(const std::string& path) const;
  Outcome create(const std::string& path, InodePtr& made);  // replaces nothing: exists
  Outcome link(const std::string& from, const std::string& to);
  Outcome rename(const std::string& from, const std::string& to);  // a file or a directory
  Outcome remove(const std::string& path);
  Outcome removeDirectory(const std::string& path);
  std::vector<std::string> list(const std::string& directory) const;  // sorted
  Outcome syncDirectory(const std::string& path);
  Outcome write(const std::string& path, Inode& inode, uint64_t offset, ByteSpan bytes);
  Outcome resize(const std::string& path, Inode& inode, uint64_t bytes);
  Outcome sync(const std::string& path, Inode& inode);
  bool lock(const std::string& path) { return locks.insert(path).second; }
  void unlock(const std::string& path) { locks.erase(path); }
  uint64_t usedBytes() const;
  uint64_t freeBytes() const;

  // --- what the world does ---
  void crashAt(uint64_t operations, CrashKind kind);  // the Nth operation from now
  void crashNow(CrashKind kind);
  void failAt(uint64_t operations) { failIn = operations; }
  void clearFaults();
  bool isFrozen() const { return frozen != nullptr; }
  void restart();                                         // the frozen copy counts from now on
  void setCapacity(uint64_t bytes) { capacity = bytes; }  // what fits in all
  bool isUnsynced(std::string_view prefix) const;         // a file below it has changes that a cut could lose
  bool hasFailed() const { return !failedAt.empty(); }    // an operation was failed since the last restart
  const std::string& failedPath() const { return failedAt; }

  // A copy of a disk at rest, and the disk that begins with one: founding a node takes long.
  struct Image {
    std::map<std::string, InodePtr> files;
    std::map<std::string, InodePtr> durableFiles;
    std::set<std::string> directories;
    std::set<std::string> durableDirectories;
    struct Entry {  // of a directory's journal
      enum class Kind : uint8_t { add, remove, rename, addDirectory, removeDirectory, renameDirectory } kind;
      std::string path;
      std::string to;
      InodePtr inode;
    };
    std::map<std::string, std::vector<Entry>> journals;
  };
  static Image copyOf(const Image& from);
  Image save() const { return copyOf(image); }
  void load(const Image& from) { image = copyOf(from); }

  DiskCounters counters;

 private:
  bool begins(const char* what, const std::string& path);  // false: this operation fails
  void ends();
  void note(Image::Entry entry);
  static void apply(Image& to, const Image::Entry& entry);
  void cutPower(Image& of);
  void keepSome(Inode& inode);

  Random random;
  Trace& trace;
  Image image;
  std::unique_ptr<Image> frozen;
  std::set<std::string> locks;
  uint64_t nextInode = 1;
  uint64_t capacity = UINT64_MAX;
  uint64_t crashIn = 0;  // 0: not
  CrashKind crashKind = CrashKind::none;
  uint64_t failIn = 0;
  std::string failedAt;
};

std::string directoryOf(const std::string& path);

}  // namespace capstan::sim
