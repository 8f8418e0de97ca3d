// The simulated node at work; see node.h. Owns the order of opening (that of the engine) and the catching of an end.
// Called by the world.
#include "sim/node.h"

#include <algorithm>
#include <utility>

#include "base/check.h"
#include "sim/checked_machine.h"

namespace capstan::sim {
namespace {

constexpr const char* dataDirectory = "/data/capstan";
constexpr const char* checkpointDirectory = "/data/capstan/shard-0/snapshots/taken";

template <class Mail>
void take(std::deque<Mail>& from, std::vector<Mail>& into, size_t count) {
  count = std::min(count, from.size());
  for (size_t at = 0; at < count; ++at) {
    into.push_back(std::move(from.front()));
    from.pop_front();
  }
}

}  // namespace

Node::Node(Disk& disk, Clocks& clocks, const engine::EngineOptions& options, NodeWatcher& watcher, NodeOutput& output)
    : disk(disk),
      clocks(clocks),
      options([&] {
        engine::EngineOptions made = options;
        made.dataDirectory = dataDirectory;
        return made;
      }()),
      watcher(watcher),
      output(output),
      files(disk),
      env(std::make_unique<DiskEnv>(disk, micros)) {}

Node::~Node() { close(); }

template <class Body>
void Node::guarded(Body body) {
  if (end) return;
  setWaitingJobs(env.get());
  setEndable(true);
  try {
    body();
  } catch (const ProcessEnded& ended) {
    end = ended;
  }
  setEndable(false);
  setWaitingJobs(nullptr);
}

// --- Opening and closing ---------------------------------------------------------------------------------------------

Result<void> Node::open() {
  end.reset();
  stopped = false;
  isLeading = false;
  Result<void> result;
  guarded([&] { result = openGuarded(); });
  return result;
}

// In the order of the engine.
Result<void> Node::openGuarded() {
  Result<std::unique_ptr<engine::DataDirectory>> opened = engine::DataDirectory::open(files, options.dataDirectory);
  if (!opened) return opened.takeError();
  directory = opened.take();
  if (Result<void> room = engine::checkRoomToStart(files, options.dataDirectory); !room) return room;
  if (!directory->hasIdentity()) {
    engine::NodeIdentity identity;
    clocks.randomBytes(identity.clusterId.bytes);
    if (Result<void> written = directory->writeIdentity(identity); !written) return written;
  }
  engine::ShardOpening opening;
  opening.engine = &options;
  opening.progress = [](uint64_t, uint64_t) {};
  opening.openState = [this](fsm::Options state) -> Result<std::unique_ptr<fsm::StateMachine>> {
    state.env = env->env();
    Result<std::unique_ptr<fsm::StateMachine>> machine = fsm::StateMachine::open(state);
    if (!machine) return machine.takeError();
    return std::unique_ptr<fsm::StateMachine>(std::make_unique<CheckedMachine>(machine.take(), watcher));
  };
  Result<engine::OpenShard> shard = engine::openShard(files, clocks, *directory, opening);
  if (!shard) return shard.takeError();
  machineNow = std::move(shard.value().machine);
  std::unique_ptr<log::SegmentedLog> log = std::move(shard.value().log);
  counters.tornTails += log->recovery().tornBytes > 0 ? 1 : 0;
  counters.replayed += log->recovery().records;
  if (!isSilent()) watcher.opened(machineNow->meta(), *log);

  const fsm::MetaView meta = machineNow->meta();
  const engine::NodeIdentity& node = directory->identity();
  writtenIndex = syncedIndex = log->lastIndex();
  writtenTerm = log->hardState().term;
  const raft::Options core = engine::coreOptions(clocks, options, node, meta, *log);
  logStep = std::make_unique<engine::LogStep>(std::move(log), static_cast<engine::LogSink&>(*this),
                                              options.logTrailingBytes, options.logSegmentBytes);
  Result<std::unique_ptr<raft::Driver>> core0 = raft::Driver::open(
      core, [this](uint64_t from, uint64_t to, uint64_t bytesMax) { return logStep->read(from, to, bytesMax); });
  if (!core0) return core0.takeError();
  driver = core0.take();
  raftStep = std::make_unique<engine::RaftStep>(*driver, clocks, static_cast<engine::RaftSink&>(*this),
                                                engine::raftStepOptions(options, node, meta));
  parkedFetches = std::make_unique<engine::ParkedFetches>(options.parkedMax);
  std::vector<engine::CallerSlot> nobody;
  parkedFetches->reset(meta.appliedIndex, nobody);
  if (!node.founded) {
    engine::NodeIdentity founded = node;
    founded.founded = true;
    if (Result<void> written = directory->writeIdentity(founded); !written) return written;
  }
  reserve = std::make_unique<engine::DiskReserve>(files, options.dataDirectory, options.diskReserveBytes,
                                                  options.diskReservePercent);
  reserve->check();
  applyStep = std::make_unique<engine::ApplyStep>(*machineNow, *parkedFetches, static_cast<engine::ApplySink&>(*this));
  return {};
}

void Node::close() {
  setWaitingJobs(env.get());
  reserve.reset();
  applyStep.reset();
  parkedFetches.reset();
  raftStep.reset();
  driver.reset();
  logStep.reset();
  if (machineNow) counters.refills += refillsOf(*machineNow);
  machineNow.reset();
  directory.reset();
  setWaitingJobs(nullptr);
  raftMail.clear();
  logMail.clear();
  applyMail.clear();
  fills.clear();
  takenRaft.clear();
  takenLog.clear();
  takenApply.clear();
}

void Node::stop() { raftMail.emplace_back(engine::FinalStamp{}); }

// --- Steps -----------------------------------------------------------------------------------------------------------

uint64_t Node::raftWaitMs() { return raftStep->waitMs(); }

void Node::runRaft(size_t count) {
  guarded([&] {
    take(raftMail, takenRaft, count);
    raftStep->run(takenRaft);
  });
}

void Node::runLog(size_t count) {
  guarded([&] {
    take(logMail, takenLog, count);
    uint64_t last = 0;
    for (const engine::LogMail& mail : takenLog) {
      const auto* write = std::get_if<raft::LogWrite>(&mail);
      if (write == nullptr) continue;
      if (!write->entries.empty()) last = write->entries.back().index;
      if (write->hardState) writtenTerm = write->hardState->term;
    }
    logStep->run(takenLog);
    if (last != 0) writtenIndex = last;
    // What the disk says counts, not what the log believes.
    if (isSilent() || disk.isUnsynced(directory->logDirectory(0) + "/")) return;
    syncedIndex = writtenIndex;
    watcher.persisted(syncedIndex, writtenTerm);
  });
}

void Node::runApply(size_t count) {
  guarded([&] {
    take(applyMail, takenApply, count);
    applyStep->run(takenApply);
  });
}

void Node::runFill() {
  guarded([&] {
    engine::Completion completion = std::move(fills.front());
    fills.pop_front();
    engine::fillResults(*machineNow, completion.results);
    ++counters.fills;
    reply(1, std::move(completion));
  });
}

void Node::runJob() {
  guarded([&] {
    env->runOneJob();
    ++counters.jobs;
  });
}

void Node::checkReserve() {
  guarded([&] {
    if (reserve->check() && reserve->isReached()) ++counters.reserveReached;
  });
}

void Node::checkpoint() {
  guarded([&] {
    const uint64_t index = machineNow->meta().appliedIndex;
    const auto digest = machineNow->meta().digest;
    const Result<void> taken = machineNow->checkpoint(checkpointDirectory);
    // A failure is for whoever asked for it: the node goes on.
    if (taken.ok()) {
      fsm::Options state;
      state.directory = checkpointDirectory;
      state.blockCacheBytes = options.blockCacheBytes;
      state.writeBufferBytes = options.writeBufferBytes;
      state.env = env->env();
      Result<std::unique_ptr<fsm::StateMachine>> copy = fsm::StateMachine::open(state);
      if (copy.ok()) {
        const fsm::MetaView meta = copy.value()->meta();
        CAPSTAN_ASSERT(meta.appliedIndex == index && meta.digest == digest, meta.appliedIndex, index);
      } else {
        CAPSTAN_ASSERT(disk.hasFailed() || disk.counters.fullWrites > 0 || isSilent(), copy.error().message);
      }
      ++counters.checkpoints;
    }
    const Result<void> removed = files.removeTree(checkpointDirectory);
    CAPSTAN_ASSERT(removed.ok() || disk.hasFailed(), removed.ok() ? "" : removed.error().message);
  });
}

// --- Between node and clients ----------------------------------------------------------------------------------------

schema::ErrorCode Node::propose(engine::Proposal& proposal) {
  if (proposal.enqueues && reserve->isReached()) return schema::ErrorCode::DISK_FULL;
  if (!isLeading) return schema::ErrorCode::NOT_LEADER;
  if (!raftStep->reserve()) return schema::ErrorCode::BUSY;
  raftMail.emplace_back(std::move(proposal));
  return schema::ErrorCode::OK;
}

void Node::endWake(engine::CallerSlot caller) {
  std::vector<engine::CallerSlot> wakes;
  parkedFetches->endWake(caller, wakes);
  for (const engine::CallerSlot one : wakes) wake(one);
}

void Node::write(raft::LogWrite write) {
  if (!isSilent()) {
    for (const raft::Entry& entry : write.entries) watcher.written(entry);
  }
  logMail.emplace_back(std::move(write));
}

void Node::refuse(const engine::ReplyAddress& to, schema::ErrorCode code) {
  if (to.worker == 0 || isSilent()) return;
  engine::Completion completion;
  completion.ticket = to.ticket;
  completion.replySlots = to.slots;
  for (size_t at = 0; at < to.slots.size(); ++at) completion.results.push_back(engine::refusalOf(code));
  output.completed(std::move(completion));
}

void Node::logBegins(engine::LogBegins report) {
  ++counters.logCuts;
  raftMail.emplace_back(report);
}

void Node::reply(uint32_t, engine::Completion completion) {
  if (isSilent()) return;
  watcher.replying(completion.appliedIndex, syncedIndex);
  output.completed(std::move(completion));
}

void Node::wake(engine::CallerSlot caller) {
  if (!isSilent()) output.woken(caller);
}

}  // namespace capstan::sim
