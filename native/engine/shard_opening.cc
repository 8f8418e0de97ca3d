// Opening, founding and replay of one shard; see shard_opening.h. Owns nothing of what it opens. Called by shard.cc and
// by the simulator.
#include "engine/shard_opening.h"

#include <algorithm>
#include <string>
#include <utility>

#include "base/check.h"

namespace capstan::engine {
namespace {

constexpr uint64_t replayChunkBytes = 1 << 20;
constexpr uint32_t retryAfterMs = 100;

const char* refusalText(schema::ErrorCode code) {
  switch (code) {
    case schema::ErrorCode::UNKNOWN:
      return "the node lost its leadership before the command was committed; it may be carried out or not";
    case schema::ErrorCode::NOT_LEADER:
      return "the node does not lead the shard";
    default:
      return "too much is under way";
  }
}

Error damage(std::string what) { return Error{schema::ErrorCode::INTERNAL, std::move(what), "damaged", 0}; }

class Opener {
 public:
  Opener(FileSystem& files, Clock& clock, DataDirectory& directory, const ShardOpening& opening)
      : files(files), clock(clock), directory(directory), opening(opening) {}

  Result<OpenShard> open();

 private:
  Result<void> found(ShardManifest& manifest, log::SegmentedLog& log);
  Result<void> fitLog(const ShardManifest& manifest, log::SegmentedLog& log);
  Result<void> replay(const log::SegmentedLog& log);

  FileSystem& files;
  Clock& clock;
  DataDirectory& directory;
  const ShardOpening& opening;
  std::unique_ptr<fsm::StateMachine> machine;
};

Result<OpenShard> Opener::open() {
  const EngineOptions& engine = *opening.engine;
  ShardManifest manifest;
  Result<bool> isFounded = directory.prepareShard(opening.shard, manifest);
  if (!isFounded) return isFounded.takeError();

  fsm::Options state;
  state.directory = directory.stateDirectory(opening.shard, manifest);
  state.shard = opening.shard;
  state.blockCacheBytes = engine.blockCacheBytes;
  state.writeBufferBytes = engine.writeBufferBytes;
  state.backgroundJobs = engine.backgroundJobs;
  state.rocksdbOptions = engine.rocksdbOptions;
  state.windowBytesMax = engine.windowBytesMax;
  state.windowJobsMax = engine.windowJobsMax;
  state.payloadCacheBytes = engine.payloadCacheBytes;
  Result<std::unique_ptr<fsm::StateMachine>> opened = opening.openState(state);
  if (!opened) return opened.takeError();
  machine = opened.take();

  log::Options logOptions;
  logOptions.directory = directory.logDirectory(opening.shard);
  logOptions.shard = opening.shard;
  logOptions.segmentBytes = engine.logSegmentBytes;
  logOptions.syncAlways = engine.syncAlways;
  Result<std::unique_ptr<log::SegmentedLog>> log = log::SegmentedLog::open(files, logOptions);
  if (!log) return log.takeError();

  Result<void> fits = isFounded.value() ? fitLog(manifest, *log.value()) : found(manifest, *log.value());
  if (!fits) return fits.takeError();
  if (Result<void> replayed = replay(*log.value()); !replayed) return replayed.takeError();
  return OpenShard{std::move(machine), log.take()};
}

// Rule 12: the first voter begins at index 1, term 1, commit 1. The manifest comes last: without it all of this is
// removed and begun anew.
Result<void> Opener::found(ShardManifest& manifest, log::SegmentedLog& log) {
  CAPSTAN_ASSERT(!machine->isFounded());
  const NodeIdentity& node = directory.identity();
  fsm::Founding founding;
  founding.clusterId = node.clusterId;
  clock.randomBytes(founding.clusterSecret);
  founding.confState = raft::Driver::makeConfState({node.nodeId});
  machine->found(founding);
  const log::HardState hardState{founding.term, 0, founding.index};
  if (Result<void> reset = log.reset(founding.index, founding.term, hardState); !reset) return reset;
  manifest.logBaseIndex = founding.index;
  manifest.logBaseTerm = founding.term;
  manifest.term = hardState.term;
  manifest.commit = hardState.commit;
  manifest.confState = founding.confState;
  return directory.writeManifest(opening.shard, manifest);
}

// Rule 11. The one misfit that is no damage: a kill between an install's manifest and its new log.
Result<void> Opener::fitLog(const ShardManifest& manifest, log::SegmentedLog& log) {
  if (!machine->isFounded()) return damage(directory.stateDirectory(opening.shard, manifest) + " holds no state");
  const fsm::MetaView meta = machine->meta();
  if (meta.clusterId != directory.identity().clusterId) {
    return damage(directory.path() + ": the state belongs to cluster " + meta.clusterId.hex() + ", the node to " +
                  directory.identity().clusterId.hex());
  }
  bool isInstalled = log.lastIndex() < manifest.logBaseIndex;
  if (!isInstalled && log.baseIndex() <= manifest.logBaseIndex) {
    Result<uint64_t> term = log.term(manifest.logBaseIndex);
    if (!term) return term.takeError();
    isInstalled = term.value() != manifest.logBaseTerm;
  }
  if (!isInstalled) return {};
  if (meta.appliedIndex != manifest.logBaseIndex || meta.appliedIndex <= 1) {
    return damage("the log in " + directory.logDirectory(opening.shard) + " ends at entry " +
                  std::to_string(log.lastIndex()) + ", but it began after entry " +
                  std::to_string(manifest.logBaseIndex) + " and the state has applied entry " +
                  std::to_string(meta.appliedIndex));
  }
  return log.reset(manifest.logBaseIndex, manifest.logBaseTerm, {manifest.term, manifest.vote, manifest.commit});
}

Result<void> Opener::replay(const log::SegmentedLog& log) {
  const uint64_t applied = machine->meta().appliedIndex;
  const uint64_t commit = log.hardState().commit;
  if (commit > log.lastIndex() || applied > log.lastIndex() || applied < log.baseIndex()) {
    return damage("the log holds entries " + std::to_string(log.baseIndex() + 1) + " to " +
                  std::to_string(log.lastIndex()) + "; entry " + std::to_string(std::max(commit, applied)) +
                  " was committed and the state has applied entry " + std::to_string(applied));
  }
  fsm::Applied results;
  const uint64_t total = commit > applied ? commit - applied : 0;
  for (uint64_t next = applied + 1; next <= commit;) {
    opening.progress(next - applied - 1, total);
    Result<std::vector<log::OwnedEntry>> entries = log.read(next, commit + 1, replayChunkBytes);
    if (!entries) return entries.takeError();
    for (const log::OwnedEntry& entry : entries.value()) {
      // A change of members needs the core: it and what follows come through consensus.
      if (entry.type != static_cast<uint32_t>(raft::EntryType::normal)) return {};
      results.clear();
      if (entry.data.empty()) {
        machine->applyEmpty(entry.index, entry.term);
      } else if (Result<void> done = machine->apply(entry.index, entry.term, entry.data, results); !done) {
        return done;
      }
      machine->flush(false, false);
      next = entry.index + 1;
    }
  }
  opening.progress(total, total);
  return {};
}

}  // namespace

Result<OpenShard> openShard(FileSystem& files, Clock& clock, DataDirectory& directory, const ShardOpening& opening) {
  return Opener(files, clock, directory, opening).open();
}

raft::Options coreOptions(Clock& clock, const EngineOptions& engine, const NodeIdentity& node,
                          const fsm::MetaView& meta, const log::SegmentedLog& log) {
  raft::Options core;
  core.nodeId = node.nodeId;
  core.appliedIndex = meta.appliedIndex;
  core.confState = meta.confState;
  core.hardState = {log.hardState().term, log.hardState().vote, log.hardState().commit};
  core.baseIndex = log.baseIndex();
  core.baseTerm = log.baseTerm();
  core.lastIndex = log.lastIndex();
  core.cacheBytesMax = engine.logCacheBytes;
  clock.randomBytes({reinterpret_cast<uint8_t*>(&core.electionSeed), sizeof(core.electionSeed)});
  return core;
}

RaftStepOptions raftStepOptions(const EngineOptions& engine, const NodeIdentity& node, const fsm::MetaView& meta) {
  RaftStepOptions steps;
  steps.nodeId = node.nodeId;
  steps.proposalsMax = engine.proposalsMax;
  steps.tickRowsMax = engine.tickRowsMax;
  // What is under way stays in the core's cache until it is applied, so it is never read back.
  steps.outstandingBytesMax = engine.logCacheBytes / 2;
  steps.applyingBytesMax = engine.logCacheBytes;
  steps.elapsedMs = meta.elapsedMs;
  steps.isSoleVoter = meta.confState == raft::Driver::makeConfState({node.nodeId});
  return steps;
}

CommandResult refusalOf(schema::ErrorCode code) {
  CommandResult result;
  result.code = code;
  result.error = std::make_unique<Error>(Error{code, refusalText(code), "", retryAfterMs});
  return result;
}

}  // namespace capstan::engine
