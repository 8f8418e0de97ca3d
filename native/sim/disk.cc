// The simulated disk: names, bytes, what a cut keeps of them, and the faults; its story is in disk.h. Owns the images.
// Called by the two seams over it and by the world.
#include "sim/disk.h"

#include <algorithm>
#include <unordered_map>
#include <utility>

#include "base/check.h"

namespace capstan::sim {
namespace {

constexpr uint64_t sectorBytes = 512;

bool isBelow(std::string_view path, std::string_view directory) {
  return path.size() > directory.size() && path.starts_with(directory) && path[directory.size()] == '/';
}

void applyChange(std::string& bytes, const Inode::Change& change) {
  if (change.setsSize) {
    bytes.resize(change.offset, '\0');
    return;
  }
  if (bytes.size() < change.offset + change.bytes.size()) bytes.resize(change.offset + change.bytes.size(), '\0');
  std::copy(change.bytes.begin(), change.bytes.end(), bytes.begin() + static_cast<long>(change.offset));
}

// Moves every name below `from`; the names are sorted, so they lie together.
template <class Names>
void renameBelow(Names& names, const std::string& from, const std::string& to) {
  const std::string prefix = from + "/";
  Names moved;
  for (auto at = names.lower_bound(prefix); at != names.end();) {
    if constexpr (requires { at->second; }) {
      if (!at->first.starts_with(prefix)) break;
      moved.emplace(to + at->first.substr(from.size()), at->second);
    } else {
      if (!at->starts_with(prefix)) break;
      moved.insert(to + at->substr(from.size()));
    }
    at = names.erase(at);
  }
  names.merge(moved);
}

}  // namespace

std::string directoryOf(const std::string& path) {
  const size_t slash = path.rfind('/');
  return slash == 0 || slash == std::string::npos ? "/" : path.substr(0, slash);
}

Disk::Disk(uint64_t seed, Trace& trace) : random(seed), trace(trace) {
  image.directories.insert("/");
  image.durableDirectories.insert("/");
}

// --- Operations ------------------------------------------------------------------------------------------------------

bool Disk::begins(const char* what, const std::string& path) {
  if (isFrozen()) return true;
  ++counters.operations;
  trace.add(what);
  trace.add(path);
  if (failIn != 0 && --failIn == 0) {
    failedAt = path;
    return false;
  }
  return true;
}

// After a change was noted and before a sync: the cut decides what of it is kept.
void Disk::ends() {
  if (isFrozen() || crashIn == 0 || --crashIn != 0) return;
  crashNow(crashKind);
}

void Disk::note(Image::Entry entry) {
  std::vector<Image::Entry>& journal = image.journals[directoryOf(entry.path)];
  journal.push_back(std::move(entry));
}

Outcome Disk::makeDirectory(const std::string& path) {
  if (image.directories.contains(path)) return Outcome::exists;
  if (image.files.contains(path)) return Outcome::exists;
  if (!image.directories.contains(directoryOf(path))) return Outcome::missing;
  if (!begins("mkdir", path)) {
    ++counters.failedWrites;
    return Outcome::ioError;
  }
  image.directories.insert(path);
  note({Image::Entry::Kind::addDirectory, path, {}, nullptr});
  ends();
  return Outcome::ok;
}

InodePtr Disk::find(const std::string& path) const {
  const auto found = image.files.find(path);
  return found == image.files.end() ? nullptr : found->second;
}

Outcome Disk::create(const std::string& path, InodePtr& made) {
  if (image.files.contains(path) || image.directories.contains(path)) return Outcome::exists;
  if (!image.directories.contains(directoryOf(path))) return Outcome::missing;
  if (!begins("create", path)) {
    ++counters.failedWrites;
    return Outcome::ioError;
  }
  made = std::make_shared<Inode>();
  made->number = nextInode++;
  image.files[path] = made;
  note({Image::Entry::Kind::add, path, {}, made});
  ends();
  return Outcome::ok;
}

Outcome Disk::link(const std::string& from, const std::string& to) {
  const InodePtr inode = find(from);
  if (!inode) return Outcome::missing;
  if (image.files.contains(to)) return Outcome::exists;
  if (!begins("link", to)) {
    ++counters.failedWrites;
    return Outcome::ioError;
  }
  image.files[to] = inode;
  note({Image::Entry::Kind::add, to, {}, inode});
  ends();
  return Outcome::ok;
}

Outcome Disk::rename(const std::string& from, const std::string& to) {
  const bool isFile = image.files.contains(from);
  if (!isFile && !image.directories.contains(from)) return Outcome::missing;
  if (!begins("rename", to)) {
    ++counters.failedWrites;
    return Outcome::ioError;
  }
  CAPSTAN_ASSERT(directoryOf(from) == directoryOf(to), from, to);
  Image::Entry entry{isFile ? Image::Entry::Kind::rename : Image::Entry::Kind::renameDirectory, from, to, nullptr};
  if (isFile) {
    entry.inode = image.files[from];
    image.files[to] = entry.inode;
    image.files.erase(from);
  } else {
    image.directories.erase(from);
    image.directories.insert(to);
    renameBelow(image.files, from, to);
    renameBelow(image.directories, from, to);
    renameBelow(image.journals, from, to);
    // What is not yet kept of the names inside is said of the directory's new name from now on.
    if (auto inside = image.journals.extract(from)) {
      inside.key() = to;
      image.journals.insert(std::move(inside));
    }
    for (auto& [directory, journal] : image.journals) {
      if (directory != to && !isBelow(directory, to)) continue;
      for (Image::Entry& one : journal) {
        if (isBelow(one.path, from)) one.path = to + one.path.substr(from.size());
        if (isBelow(one.to, from)) one.to = to + one.to.substr(from.size());
      }
    }
  }
  note(std::move(entry));
  ends();
  return Outcome::ok;
}

Outcome Disk::remove(const std::string& path) {
  if (!image.files.contains(path)) return Outcome::missing;
  if (!begins("remove", path)) {
    ++counters.failedWrites;
    return Outcome::ioError;
  }
  image.files.erase(path);
  note({Image::Entry::Kind::remove, path, {}, nullptr});
  ends();
  return Outcome::ok;
}

Outcome Disk::removeDirectory(const std::string& path) {
  if (!image.directories.contains(path)) return Outcome::missing;
  if (!list(path).empty()) return Outcome::exists;
  if (!begins("rmdir", path)) {
    ++counters.failedWrites;
    return Outcome::ioError;
  }
  image.directories.erase(path);
  note({Image::Entry::Kind::removeDirectory, path, {}, nullptr});
  ends();
  return Outcome::ok;
}

std::vector<std::string> Disk::list(const std::string& directory) const {
  const std::string prefix = directory == "/" ? "/" : directory + "/";
  std::vector<std::string> names;
  const auto take = [&](const std::string& path) {
    if (path.size() <= prefix.size() || path.find('/', prefix.size()) != std::string::npos) return;
    names.push_back(path.substr(prefix.size()));
  };
  for (auto at = image.files.lower_bound(prefix); at != image.files.end() && at->first.starts_with(prefix); ++at) {
    take(at->first);
  }
  for (auto at = image.directories.lower_bound(prefix); at != image.directories.end() && at->starts_with(prefix);
       ++at) {
    take(*at);
  }
  std::sort(names.begin(), names.end());
  return names;
}

Outcome Disk::syncDirectory(const std::string& path) {
  if (!image.directories.contains(path)) return Outcome::missing;
  if (!begins("syncdir", path)) {
    ++counters.failedSyncs;
    return Outcome::ioError;
  }
  ends();
  ++counters.syncs;
  const auto journal = image.journals.find(path);
  if (journal == image.journals.end()) return Outcome::ok;
  for (const Image::Entry& entry : journal->second) apply(image, entry);
  image.journals.erase(journal);
  return Outcome::ok;
}

Outcome Disk::write(const std::string& path, Inode& inode, uint64_t offset, ByteSpan bytes) {
  const uint64_t end = offset + bytes.size();
  if (end > inode.now.size() && end - inode.now.size() > freeBytes() && !isFrozen()) {
    ++counters.fullWrites;
    return Outcome::full;
  }
  Inode::Change change{false, offset, std::string(asText(bytes))};
  const bool isGood = begins("write", path);
  if (!isGood) {
    // A part of it may have got into the cache, and from there anywhere.
    ++counters.failedWrites;
    change.bytes.resize(random.below(bytes.size() + 1));
  }
  applyChange(inode.now, change);
  inode.pending.push_back(std::move(change));
  ends();
  return isGood ? Outcome::ok : Outcome::ioError;
}

Outcome Disk::resize(const std::string& path, Inode& inode, uint64_t bytes) {
  if (bytes > inode.now.size() && bytes - inode.now.size() > freeBytes() && !isFrozen()) {
    ++counters.fullWrites;
    return Outcome::full;
  }
  if (!begins("resize", path)) {
    ++counters.failedWrites;
    return Outcome::ioError;
  }
  Inode::Change change{true, bytes, {}};
  applyChange(inode.now, change);
  inode.pending.push_back(std::move(change));
  ends();
  return Outcome::ok;
}

Outcome Disk::sync(const std::string& path, Inode& inode) {
  if (!begins("sync", path)) {
    ++counters.failedSyncs;
    // The kernel marks the pages clean: the process still sees them, and no later sync writes them.
    if (!inode.pending.empty() && random.oneIn(2)) keepSome(inode);
    inode.pending.clear();
    return Outcome::ioError;
  }
  ends();
  ++counters.syncs;
  for (const Inode::Change& change : inode.pending) applyChange(inode.durable, change);
  inode.pending.clear();
  return Outcome::ok;
}

uint64_t Disk::usedBytes() const {
  uint64_t used = 0;
  for (const auto& [path, inode] : image.files) used += inode->now.size();
  return used;
}

uint64_t Disk::freeBytes() const {
  if (capacity == UINT64_MAX) return UINT64_MAX;
  const uint64_t used = usedBytes();
  return capacity > used ? capacity - used : 0;
}

// --- Crashes ---------------------------------------------------------------------------------------------------------

void Disk::crashAt(uint64_t operations, CrashKind kind) {
  crashIn = operations;
  crashKind = kind;
}

void Disk::crashNow(CrashKind kind) {
  CAPSTAN_ASSERT(!isFrozen() && kind != CrashKind::none);
  crashIn = 0;
  failIn = 0;
  frozen = std::make_unique<Image>(copyOf(image));
  if (kind == CrashKind::power) cutPower(*frozen);
}

void Disk::clearFaults() {
  crashIn = 0;
  failIn = 0;
}

void Disk::restart() {
  CAPSTAN_ASSERT(isFrozen());
  image = std::move(*frozen);
  frozen.reset();
  locks.clear();
  clearFaults();
  failedAt.clear();
}

bool Disk::isUnsynced(std::string_view prefix) const {
  for (auto at = image.files.lower_bound(std::string(prefix)); at != image.files.end(); ++at) {
    if (!at->first.starts_with(prefix)) return false;
    if (!at->second->pending.empty()) return true;
  }
  return false;
}

Disk::Image Disk::copyOf(const Image& from) {
  Image made;
  std::unordered_map<const Inode*, InodePtr> copies;
  const auto copied = [&](const InodePtr& inode) {
    if (!inode) return InodePtr();
    InodePtr& copy = copies[inode.get()];
    if (!copy) copy = std::make_shared<Inode>(*inode);
    return copy;
  };
  for (const auto& [path, inode] : from.files) made.files.emplace_hint(made.files.end(), path, copied(inode));
  for (const auto& [path, inode] : from.durableFiles) {
    made.durableFiles.emplace_hint(made.durableFiles.end(), path, copied(inode));
  }
  made.directories = from.directories;
  made.durableDirectories = from.durableDirectories;
  made.journals = from.journals;
  for (auto& [directory, journal] : made.journals) {
    for (Image::Entry& entry : journal) entry.inode = copied(entry.inode);
  }
  return made;
}

void Disk::apply(Image& to, const Image::Entry& entry) {
  using Kind = Image::Entry::Kind;
  switch (entry.kind) {
    case Kind::add:
      to.durableFiles[entry.path] = entry.inode;
      return;
    case Kind::remove:
      to.durableFiles.erase(entry.path);
      return;
    case Kind::rename:
      to.durableFiles[entry.to] = entry.inode;
      to.durableFiles.erase(entry.path);
      return;
    case Kind::addDirectory:
      to.durableDirectories.insert(entry.path);
      return;
    case Kind::removeDirectory:
      to.durableDirectories.erase(entry.path);
      return;
    case Kind::renameDirectory:
      to.durableDirectories.erase(entry.path);
      to.durableDirectories.insert(entry.to);
      renameBelow(to.durableFiles, entry.path, entry.to);
      renameBelow(to.durableDirectories, entry.path, entry.to);
      return;
  }
}

void Disk::cutPower(Image& of) {
  for (const auto& [directory, journal] : of.journals) {
    // All or nothing as often as something in between.
    const uint64_t draw = random.below(4);
    const size_t kept = draw == 0 ? 0 : draw == 1 ? journal.size() : random.below(journal.size() + 1);
    counters.lostNames += journal.size() - kept;
    for (size_t at = 0; at < kept; ++at) apply(of, journal[at]);
  }
  of.journals.clear();
  // What lies in a directory that was lost is lost.
  std::set<std::string> directories;
  for (const std::string& path : of.durableDirectories) {
    if (path == "/" || directories.contains(directoryOf(path))) directories.insert(path);
  }
  of.durableDirectories = directories;
  std::erase_if(of.durableFiles, [&](const auto& file) { return !directories.contains(directoryOf(file.first)); });
  of.directories = of.durableDirectories;
  of.files = of.durableFiles;
  std::set<Inode*> seen;
  for (const auto& [path, inode] : of.files) {
    if (!seen.insert(inode.get()).second) continue;
    if (!inode->pending.empty()) keepSome(*inode);
    inode->now = inode->durable;
  }
}

// What makes a file longer is kept from its front: file systems note the new size when the bytes are written. Within
// the size that was kept before, each sector is on its own.
void Disk::keepSome(Inode& inode) {
  // One draw of the common sequence, whatever the file's bytes: those of RocksDB may differ between two runs.
  Random own(random.next());
  const uint64_t mode = own.below(4);
  const uint64_t sizeBefore = inode.durable.size();
  if (mode == 0) {
    ++counters.lostFiles;
  } else if (mode == 1) {
    for (const Inode::Change& change : inode.pending) applyChange(inode.durable, change);
  } else {
    ++counters.tornFiles;
    const size_t cut = own.below(inode.pending.size());
    for (size_t at = 0; at < inode.pending.size(); ++at) {
      const Inode::Change& change = inode.pending[at];
      if (change.setsSize) {
        if (at <= cut) applyChange(inode.durable, change);
      } else if (mode == 2 || change.offset + change.bytes.size() > sizeBefore) {
        if (at > cut) continue;
        Inode::Change part{false, change.offset, change.bytes};
        if (at == cut) part.bytes.resize(own.below(change.bytes.size() + 1));
        applyChange(inode.durable, part);
      } else {
        for (uint64_t from = 0; from < change.bytes.size();) {
          const uint64_t place = change.offset + from;
          const uint64_t until = std::min<uint64_t>(change.bytes.size(), from + sectorBytes - place % sectorBytes);
          if (own.oneIn(2)) applyChange(inode.durable, {false, place, change.bytes.substr(from, until - from)});
          from = until;
        }
      }
    }
  }
  inode.pending.clear();
}

}  // namespace capstan::sim
