// The data directory of a node: its lock, its format, who the node is, and for each shard the one file that says which
// state and which log belong together. Owns these files and the lock; what stands in state and log is others'.
// Called when the engine opens, and by whoever swaps a shard's state.
//
//     lock             held by the running server
//     format           the version of all of this; another one is refused
//     node             node id, cluster id, how many shards, and whether all of them are founded
//     shard-0/
//       manifest       which state directory counts, where its log begins, hard state and ConfState
//       state-1/       the RocksDB that the manifest names
//       log/           segments
//       snapshots/     checkpoints being sent or taken; nothing in it survives a start
//
// `format`, `node` and `manifest` are lines of text, the last of which is a checksum over those before. Each is
// replaced by writing NAME.new, syncing it, renaming it over NAME and syncing the directory, so that a kill at any step
// leaves the old or the new one. What no manifest names (a state half installed, a log half founded) is removed at
// start: the manifest is the last step of founding and of an install.
//
// Threading: one thread. Errors carry the stable words of engine.h.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/files.h"
#include "base/ids.h"
#include "base/result.h"

namespace capstan::engine {

inline constexpr uint32_t dataFormat = 1;

struct NodeIdentity {
  uint64_t nodeId = 1;
  ClusterId clusterId;
  uint32_t shards = 1;
  bool founded = false;  // every shard has a manifest since; one without it is damage, not something to found
};

struct ShardManifest {
  uint64_t state = 1;  // names the directory state-<N>
  uint64_t logBaseIndex = 0;
  uint64_t logBaseTerm = 0;
  uint64_t term = 0;  // hard state of when it was written; the log has the newer ones
  uint64_t vote = 0;
  uint64_t commit = 0;
  std::string confState;  // opaque bytes of the consensus core
};

class DataDirectory {
 public:
  // Makes it when missing, locks it, checks its format. One that holds anything that is not ours is refused.
  static Result<std::unique_ptr<DataDirectory>> open(FileSystem& files, const std::string& path);

  // A new directory has no identity yet.
  bool hasIdentity() const { return known; }
  const NodeIdentity& identity() const { return node; }
  Result<void> writeIdentity(const NodeIdentity& identity);

  // Removes what the manifest does not name. False: there is no manifest, the shard is to be founded.
  Result<bool> prepareShard(uint32_t shard, ShardManifest& manifest);
  // The last step of founding and of an install: from now on this counts.
  Result<void> writeManifest(uint32_t shard, const ShardManifest& manifest);

  std::string shardDirectory(uint32_t shard) const;
  std::string stateDirectory(uint32_t shard, const ShardManifest& manifest) const;
  std::string logDirectory(uint32_t shard) const { return shardDirectory(shard) + "/log"; }
  std::string snapshotDirectory(uint32_t shard) const { return shardDirectory(shard) + "/snapshots"; }
  const std::string& path() const { return root; }

  void unlock() { lock.reset(); }  // the last thing

  // About the file system below it; empty when there is nothing to say.
  std::vector<std::string> warnings() const;

 private:
  DataDirectory(FileSystem& files, std::string path) : files(files), root(std::move(path)) {}
  Result<void> checkFormat();
  Result<void> readIdentity();
  Result<void> removeLeftovers(uint32_t shard, const std::string& stateName, bool isFounded);

  FileSystem& files;
  const std::string root;
  std::unique_ptr<File> lock;
  NodeIdentity node;
  bool known = false;
};

}  // namespace capstan::engine
