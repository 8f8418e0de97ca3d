// Opening, founding, replay and the threads of one shard; see shard.h. Owns what it opens. Leaves every decision about
// entries to the steps. Called by the engine.
#include "engine/shard.h"

#include <algorithm>
#include <chrono>
#include <utility>

#include "base/check.h"
#include "log/segmented_log.h"
#include "raft/driver.h"

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

// The words of engine.h for an Error of the layers below, which know nothing of them.
Error withWord(Error error) {
  if (!error.field.empty()) return error;
  const auto says = [&error](const char* text) { return error.message.find(text) != std::string::npos; };
  if (error.code == schema::ErrorCode::UNSUPPORTED) {
    error.field = "formatNewer";
  } else if (says("Permission denied") || says("Read-only file system")) {
    error.field = "permission";
  } else if (says("No space left")) {
    error.field = "diskFull";
  } else {
    error.field = "damaged";
  }
  return error;
}

Error damage(std::string what) { return Error{schema::ErrorCode::INTERNAL, std::move(what), "damaged", 0}; }

}  // namespace

Shard::Shard(Clock& clock, DataDirectory& directory, Completions& completions, ShardOptions options)
    : clock(clock),
      directory(directory),
      completions(completions),
      options(std::move(options)),
      parked(this->options.engine.parkedMax) {}

Shard::~Shard() {
  if (raftThread.joinable()) close();
}

Result<std::unique_ptr<Shard>> Shard::open(FileSystem& files, Clock& clock, DataDirectory& directory,
                                           Completions& completions, ShardOptions options) {
  std::unique_ptr<Shard> shard(new Shard(clock, directory, completions, std::move(options)));
  if (Result<void> opened = shard->openFiles(files); !opened) return withWord(opened.takeError());
  shard->startThreads();
  shard->waitFor(&Shard::hasLed);
  return shard;
}

// --- Opening ---------------------------------------------------------------------------------------------------------

Result<void> Shard::openFiles(FileSystem& files) {
  const EngineOptions& engine = options.engine;
  ShardManifest manifest;
  Result<bool> isFounded = directory.prepareShard(options.shard, manifest);
  if (!isFounded) return isFounded.takeError();

  fsm::Options state;
  state.directory = directory.stateDirectory(options.shard, manifest);
  state.shard = options.shard;
  state.blockCacheBytes = engine.blockCacheBytes;
  state.writeBufferBytes = engine.writeBufferBytes;
  state.backgroundJobs = engine.backgroundJobs;
  state.windowBytesMax = engine.windowBytesMax;
  state.windowJobsMax = engine.windowJobsMax;
  state.payloadCacheBytes = engine.payloadCacheBytes;
  Result<std::unique_ptr<fsm::StateMachine>> opened = fsm::StateMachine::open(state);
  if (!opened) return opened.takeError();
  machine = opened.take();

  log::Options logOptions;
  logOptions.directory = directory.logDirectory(options.shard);
  logOptions.shard = options.shard;
  logOptions.segmentBytes = engine.logSegmentBytes;
  logOptions.syncAlways = engine.syncAlways;
  Result<std::unique_ptr<log::SegmentedLog>> log = log::SegmentedLog::open(files, logOptions);
  if (!log) return log.takeError();

  Result<void> fits = isFounded.value() ? fitLog(manifest, *log.value()) : found(manifest, *log.value());
  if (!fits) return fits;
  if (Result<void> replayed = replay(*log.value()); !replayed) return replayed;
  return startConsensus(log.take());
}

// Rule 12: the first voter begins at index 1, term 1, commit 1. The manifest comes last: without it all of this is
// removed and begun anew.
Result<void> Shard::found(ShardManifest& manifest, log::SegmentedLog& log) {
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
  return directory.writeManifest(options.shard, manifest);
}

// Rule 11. The one misfit that is no damage: a kill between an install's manifest and its new log.
Result<void> Shard::fitLog(const ShardManifest& manifest, log::SegmentedLog& log) {
  if (!machine->isFounded()) return damage(directory.stateDirectory(options.shard, manifest) + " holds no state");
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
    return damage("the log in " + directory.logDirectory(options.shard) + " ends at entry " +
                  std::to_string(log.lastIndex()) + ", but it began after entry " +
                  std::to_string(manifest.logBaseIndex) + " and the state has applied entry " +
                  std::to_string(meta.appliedIndex));
  }
  return log.reset(manifest.logBaseIndex, manifest.logBaseTerm, {manifest.term, manifest.vote, manifest.commit});
}

Result<void> Shard::replay(const log::SegmentedLog& log) {
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
    options.progress(next - applied - 1, total);
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
  options.progress(total, total);
  return {};
}

Result<void> Shard::startConsensus(std::unique_ptr<log::SegmentedLog> log) {
  const fsm::MetaView meta = machine->meta();
  raft::Options core;
  core.nodeId = directory.identity().nodeId;
  core.appliedIndex = meta.appliedIndex;
  core.confState = meta.confState;
  core.hardState = {log->hardState().term, log->hardState().vote, log->hardState().commit};
  core.baseIndex = log->baseIndex();
  core.baseTerm = log->baseTerm();
  core.lastIndex = log->lastIndex();
  clock.randomBytes({reinterpret_cast<uint8_t*>(&core.electionSeed), sizeof(core.electionSeed)});
  logStep = std::make_unique<LogStep>(std::move(log), static_cast<LogSink&>(*this), options.engine.logTrailingBytes,
                                      options.engine.logSegmentBytes);
  Result<std::unique_ptr<raft::Driver>> opened = raft::Driver::open(
      core, [this](uint64_t from, uint64_t to, uint64_t bytesMax) { return logStep->read(from, to, bytesMax); });
  if (!opened) return opened.takeError();
  driver = opened.take();

  RaftStepOptions steps;
  steps.nodeId = core.nodeId;
  steps.proposalsMax = options.engine.proposalsMax;
  steps.tickRowsMax = options.engine.tickRowsMax;
  steps.elapsedMs = meta.elapsedMs;
  steps.isSoleVoter = meta.confState == raft::Driver::makeConfState({core.nodeId});
  raftStep = std::make_unique<RaftStep>(*driver, clock, static_cast<RaftSink&>(*this), steps);
  applyStep = std::make_unique<ApplyStep>(*machine, parked, static_cast<ApplySink&>(*this));
  std::vector<CallerSlot> nobody;
  parked.reset(meta.appliedIndex, nobody);
  readers = std::make_unique<Readers>(
      *machine, completions,
      [this](ServerStateValue& server) {
        server.nodeId = directory.identity().nodeId;
        server.leaderId = leaderNode.load(std::memory_order_relaxed);
        server.term = currentTerm.load(std::memory_order_relaxed);
        server.durableIndex = machine->durableIndex();
      },
      options.engine.readerThreads);
  return {};
}

void Shard::startThreads() {
  const std::string number = std::to_string(options.shard);
  logThread = startThread("log-" + number, [this] {
    std::vector<LogMail> mail;
    while (logMail.drain(mail)) logStep->run(mail);
  });
  applyThread = startThread("apply-" + number, [this] {
    std::vector<ApplyMail> mail;
    while (applyMail.drain(mail)) applyStep->run(mail);
  });
  raftThread = startThread("raft-" + number, [this] {
    std::vector<RaftMail> mail;
    while (raftMail.drain(mail, std::chrono::milliseconds(raftStep->waitMs()))) raftStep->run(mail);
  });
}

// --- At work ---------------------------------------------------------------------------------------------------------

schema::ErrorCode Shard::propose(Proposal& proposal) {
  const std::shared_lock guard(gate);
  if (isClosing) return schema::ErrorCode::SHUTTING_DOWN;
  if (!leads.load(std::memory_order_relaxed)) return schema::ErrorCode::NOT_LEADER;
  if (!raftStep->reserve()) {
    refusedBusy.fetch_add(1, std::memory_order_relaxed);
    return schema::ErrorCode::BUSY;
  }
  proposed.fetch_add(1, std::memory_order_relaxed);
  raftMail.put(std::move(proposal));
  return schema::ErrorCode::OK;
}

schema::ErrorCode Shard::read(ReadRequest& request) {
  const std::shared_lock guard(gate);
  if (isClosing) return schema::ErrorCode::SHUTTING_DOWN;
  if (!leads.load(std::memory_order_relaxed)) return schema::ErrorCode::NOT_LEADER;
  if (readers->read(request)) return schema::ErrorCode::OK;
  refusedBusy.fetch_add(1, std::memory_order_relaxed);
  return schema::ErrorCode::BUSY;
}

void Shard::wake(CallerSlot caller) {
  Completion completion;
  completion.kind = CompletionKind::wake;
  completion.slot = caller.slot;
  completions.post(caller.worker, std::move(completion));
}

void Shard::refuse(const ReplyAddress& to, schema::ErrorCode code) {
  if (to.worker == 0) return;
  Completion completion;
  completion.kind = CompletionKind::entry;
  completion.ticket = to.ticket;
  completion.replySlots = to.slots;
  completion.results.resize(to.slots.size());
  for (CommandResult& result : completion.results) {
    result.code = code;
    result.error = std::make_unique<Error>(Error{code, refusalText(code), "", retryAfterMs});
  }
  completions.post(to.worker, std::move(completion));
}

void Shard::roleChanged(bool nowLeads, uint64_t leaderId, uint64_t term) {
  leaderNode.store(leaderId, std::memory_order_relaxed);
  currentTerm.store(term, std::memory_order_relaxed);
  leads.store(nowLeads, std::memory_order_relaxed);
  options.roleChanged(nowLeads);
  if (nowLeads) signal(&Shard::hasLed);
}

void Shard::signal(bool Shard::*event) {
  {
    const std::lock_guard guard(mutex);
    this->*event = true;
  }
  condition.notify_all();
}

void Shard::waitFor(bool Shard::*event) {
  std::unique_lock guard(mutex);
  condition.wait(guard, [this, event] { return this->*event; });
}

void Shard::close() {
  {
    const std::lock_guard guard(gate);
    if (isClosing) return;
    isClosing = true;
  }
  raftMail.put(FinalStamp{});
  waitFor(&Shard::hasFinished);
  applyMail.put(FinalFlush{});
  waitFor(&Shard::hasFlushed);
  readers->close();
  raftMail.close();
  raftThread.join();
  applyMail.close();
  applyThread.join();
  logMail.close();
  logThread.join();
  driver.reset();
  logStep.reset();
  readers.reset();
  machine.reset();
}

std::string Shard::statusJson() const {
  const auto field = [](const char* name, uint64_t value) {
    return std::string("\"") + name + "\":" + std::to_string(value) + ",";
  };
  const std::shared_lock guard(gate);
  if (isClosing) return "null";
  const fsm::MetaView meta = machine->meta();
  return "{" + field("shard", options.shard) + "\"leads\":" + (leads ? "true" : "false") + "," +
         field("leaderId", leaderNode) + field("term", currentTerm) + field("appliedIndex", meta.appliedIndex) +
         field("durableIndex", machine->durableIndex()) + field("logBytes", logStep->bytes()) +
         field("logSyncs", logStep->syncs()) + field("proposals", proposed) + field("refusedBusy", refusedBusy) +
         field("reads", readers->readsTotal()) + field("recordFills", readers->fillsTotal()) +
         field("parked", parked.parkedCount()) + "\"state\":" + machine->statusJson() + "}";
}

}  // namespace capstan::engine
