// Opens what is on disk of one shard: founds it when its directory is new, fits its log to its state, and replays what
// was committed behind the durable state, so that memory does not grow with the log. Owns the order of these steps.
// It starts no thread and no consensus. Called by shard.cc, and by the simulator, on the thread that opens.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>

#include "base/clock.h"
#include "base/files.h"
#include "engine/data_directory.h"
#include "engine/engine.h"
#include "engine/raft_step.h"
#include "fsm/state_machine.h"
#include "log/segmented_log.h"
#include "raft/driver.h"

namespace capstan::engine {

struct ShardOpening {
  uint32_t shard = 0;
  const EngineOptions* engine = nullptr;
  std::function<void(uint64_t, uint64_t)> progress;
  std::function<Result<std::unique_ptr<fsm::StateMachine>>(const fsm::Options&)> openState = fsm::StateMachine::open;
};

struct OpenShard {
  std::unique_ptr<fsm::StateMachine> machine;
  std::unique_ptr<log::SegmentedLog> log;
};

Result<OpenShard> openShard(FileSystem& files, Clock& clock, DataDirectory& directory, const ShardOpening& opening);

// What consensus begins with. Draws the seed of its elections.
raft::Options coreOptions(Clock& clock, const EngineOptions& engine, const NodeIdentity& node,
                          const fsm::MetaView& meta, const log::SegmentedLog& log);
RaftStepOptions raftStepOptions(const EngineOptions& engine, const NodeIdentity& node, const fsm::MetaView& meta);

// What a caller is told of a proposal that came to nothing.
CommandResult refusalOf(schema::ErrorCode code);

}  // namespace capstan::engine
