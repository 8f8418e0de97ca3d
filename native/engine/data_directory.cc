// Lock, format, identity and manifests; the layout and its crash windows are in data_directory.h. Never touches the
// contents of state and log. Called when the engine opens.
#include "engine/data_directory.h"

#include <algorithm>

#include "engine/text_file.h"

namespace capstan::engine {
namespace {

Error withWord(Error error, const char* word) {
  error.field = word;
  return error;
}

std::string stateName(uint64_t number) { return "state-" + std::to_string(number); }

int hexDigit(char digit) {
  if (digit >= '0' && digit <= '9') return digit - '0';
  if (digit >= 'a' && digit <= 'f') return digit - 'a' + 10;
  return -1;
}

bool fromHex(const std::string& text, std::string& bytes) {
  if (text.size() % 2 != 0) return false;
  bytes.clear();
  for (size_t at = 0; at < text.size(); at += 2) {
    const int high = hexDigit(text[at]);
    const int low = hexDigit(text[at + 1]);
    if (high < 0 || low < 0) return false;
    bytes.push_back(static_cast<char>(high << 4 | low));
  }
  return true;
}

// Its own name, and those of the directories that were made for it, lie in directories above.
Result<void> syncAbove(FileSystem& files, const std::string& path) {
  for (size_t slash = path.rfind('/', path.size() - 1);; slash = path.rfind('/', slash - 1)) {
    const std::string above = slash == std::string::npos ? "." : slash == 0 ? "/" : path.substr(0, slash);
    const Result<void> synced = files.syncDirectory(above);
    // One that may not be listed was there before: nobody makes what he cannot see again.
    if (!synced && synced.error().field != "permission") return synced;
    if (slash == std::string::npos || slash == 0) return {};
  }
}

}  // namespace

Result<std::unique_ptr<DataDirectory>> DataDirectory::open(FileSystem& files, const std::string& path) {
  std::unique_ptr<DataDirectory> directory(new DataDirectory(files, path));
  if (Result<void> made = files.makeDirectory(path); !made) {
    // Whatever it is (no such parent in a file system of the kernel's own, a name too long), another path may do.
    Error error = made.takeError();
    return error.field.empty() ? withWord(std::move(error), "notDirectory") : std::move(error);
  }
  // Looked at before the lock file is made: nothing may be left in a directory of somebody else.
  Result<std::vector<std::string>> names = files.list(path);
  if (!names) return names.takeError();
  const auto has = [&names](const char* name) {
    return std::find(names.value().begin(), names.value().end(), name) != names.value().end();
  };
  if (!has("format")) {
    for (const std::string& name : names.value()) {
      if (name == "lock" || name == "format.new" || name == "lost+found") continue;
      return Error{schema::ErrorCode::INVALID_ARGUMENT,
                   path + " is not empty and not a data directory of Capstan: it holds " + name, "notDirectory", 0};
    }
  }
  Result<std::unique_ptr<File>> lock = files.lock(path + "/lock");
  if (!lock) {
    Error error = lock.takeError();
    return error.code == schema::ErrorCode::BUSY ? withWord(std::move(error), "directoryLocked") : std::move(error);
  }
  directory->lock = lock.take();
  if (Result<void> checked = directory->checkFormat(); !checked) return checked.takeError();
  if (Result<void> read = directory->readIdentity(); !read) return read.takeError();
  if (!directory->node.founded) {
    if (Result<void> synced = syncAbove(files, path); !synced) return synced.takeError();
  }
  return directory;
}

Result<void> DataDirectory::checkFormat() {
  const std::string path = root + "/format";
  Result<bool> exists = files.exists(path);
  if (!exists) return exists.takeError();
  if (!exists.value()) {
    TextFile file("format");
    file.set("version", dataFormat);
    return file.write(files, root, "format");
  }
  Result<TextFile> file = TextFile::read(files, "format", path);
  if (!file) return file.takeError();
  const std::optional<uint64_t> version = file.value().number("version");
  if (!version) return damagedFile(path, "it names no version");
  if (*version == dataFormat) return {};
  const bool isNewer = *version > dataFormat;
  return Error{schema::ErrorCode::UNSUPPORTED,
               root + " has data format " + std::to_string(*version) + ", which is " + (isNewer ? "newer" : "older") +
                   " than the format " + std::to_string(dataFormat) + " of this version",
               isNewer ? "formatNewer" : "formatOlder", 0};
}

Result<void> DataDirectory::readIdentity() {
  const std::string path = root + "/node";
  Result<bool> exists = files.exists(path);
  if (!exists) return exists.takeError();
  if (!exists.value()) {
    Result<bool> shard = files.exists(shardDirectory(0));
    if (!shard) return shard.takeError();
    if (shard.value()) return damagedFile(path, "it is missing, and there are shards");
    return {};
  }
  Result<TextFile> file = TextFile::read(files, "node", path);
  if (!file) return file.takeError();
  const std::optional<uint64_t> nodeId = file.value().number("nodeId");
  const std::optional<uint64_t> shards = file.value().number("shards");
  std::string cluster;
  const bool hasCluster = fromHex(file.value().text("clusterId").value_or(""), cluster);
  if (!nodeId || !shards || !hasCluster || cluster.size() != ClusterId::size) {
    return damagedFile(path, "a field is missing");
  }
  node.nodeId = *nodeId;
  node.shards = static_cast<uint32_t>(*shards);
  node.founded = file.value().number("founded") == uint64_t{1};
  std::copy(cluster.begin(), cluster.end(), node.clusterId.bytes.begin());
  known = true;
  return {};
}

Result<void> DataDirectory::writeIdentity(const NodeIdentity& identity) {
  TextFile file("node");
  file.set("nodeId", identity.nodeId);
  file.set("clusterId", identity.clusterId.hex());
  file.set("shards", identity.shards);
  file.set("founded", identity.founded ? 1 : 0);
  if (Result<void> written = file.write(files, root, "node"); !written) return written;
  node = identity;
  known = true;
  return {};
}

std::string DataDirectory::shardDirectory(uint32_t shard) const { return root + "/shard-" + std::to_string(shard); }

std::string DataDirectory::stateDirectory(uint32_t shard, const ShardManifest& manifest) const {
  return shardDirectory(shard) + "/" + stateName(manifest.state);
}

Result<bool> DataDirectory::prepareShard(uint32_t shard, ShardManifest& manifest) {
  const std::string directory = shardDirectory(shard);
  if (Result<void> made = files.makeDirectory(directory); !made) return made.takeError();
  const std::string path = directory + "/manifest";
  Result<bool> exists = files.exists(path);
  if (!exists) return exists.takeError();
  if (exists.value()) {
    Result<TextFile> file = TextFile::read(files, "manifest", path);
    if (!file) return file.takeError();
    const auto number = [&file](const char* name) { return file.value().number(name); };
    const auto state = number("state"), index = number("logBaseIndex"), baseTerm = number("logBaseTerm");
    const auto term = number("term"), vote = number("vote"), commit = number("commit");
    std::string confState;
    const bool hasConfState = fromHex(file.value().text("confState").value_or("x"), confState);
    if (!state || !index || !baseTerm || !term || !vote || !commit || !hasConfState) {
      return damagedFile(path, "a field is missing");
    }
    manifest = {*state, *index, *baseTerm, *term, *vote, *commit, confState};
    Result<bool> hasState = files.exists(stateDirectory(shard, manifest));
    if (!hasState) return hasState.takeError();
    if (!hasState.value()) return damagedFile(stateDirectory(shard, manifest), "the state is missing");
  }
  if (!exists.value() && node.founded) return damagedFile(path, "it is missing");
  const std::string kept = exists.value() ? stateName(manifest.state) : "";
  if (Result<void> removed = removeLeftovers(shard, kept, exists.value()); !removed) return removed.takeError();
  if (Result<void> made = files.makeDirectory(snapshotDirectory(shard)); !made) return made.takeError();
  if (Result<void> synced = files.syncDirectory(directory); !synced) return synced.takeError();
  if (Result<void> synced = files.syncDirectory(root); !synced) return synced.takeError();
  return exists.value();
}

Result<void> DataDirectory::removeLeftovers(uint32_t shard, const std::string& stateName, bool isFounded) {
  const std::string directory = shardDirectory(shard);
  Result<std::vector<std::string>> names = files.list(directory);
  if (!names) return names.takeError();
  for (const std::string& name : names.value()) {
    const bool isOtherState = name.starts_with("state-") && name != stateName;
    const bool isUnfounded = name == "log" && !isFounded;
    if (!isOtherState && !isUnfounded && name != "snapshots" && name != "manifest.new") continue;
    if (Result<void> removed = files.removeTree(directory + "/" + name); !removed) return removed;
  }
  return {};
}

Result<void> DataDirectory::writeManifest(uint32_t shard, const ShardManifest& manifest) {
  TextFile file("manifest");
  file.set("state", manifest.state);
  file.set("logBaseIndex", manifest.logBaseIndex);
  file.set("logBaseTerm", manifest.logBaseTerm);
  file.set("term", manifest.term);
  file.set("vote", manifest.vote);
  file.set("commit", manifest.commit);
  file.set("confState", toHex(asBytes(manifest.confState)));
  // The entries of what it names must be there when it counts.
  if (Result<void> synced = files.syncDirectory(shardDirectory(shard)); !synced) return synced;
  return file.write(files, shardDirectory(shard), "manifest");
}

std::vector<std::string> DataDirectory::warnings() const {
  const std::string kind = files.kind(root);
  if (kind == "tmpfs") return {root + " lies in memory (tmpfs): a restart of the machine loses every job"};
  if (kind == "overlay") {
    return {root + " lies on an overlay file system: removing the container removes every job; mount a volume there"};
  }
  if (kind == "nfs" || kind == "smb" || kind == "fuse") {
    return {root + " lies on a network or user-space file system (" + kind +
            "): its locks and fsync may promise more than they keep; use a local disk"};
  }
  return {};
}

}  // namespace capstan::engine
