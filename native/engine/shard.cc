// Consensus, threads and closing of one shard; see shard.h. Owns what it opens. Leaves every decision about
// entries to the steps. Called by the engine.
#include "engine/shard.h"

#include <algorithm>
#include <chrono>
#include <utility>

#include "base/check.h"

namespace capstan::engine {
namespace {

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
  ShardOpening opening;
  opening.shard = options.shard;
  opening.engine = &options.engine;
  opening.progress = options.progress;
  Result<OpenShard> opened = openShard(files, clock, directory, opening);
  if (!opened) return opened.takeError();
  machine = std::move(opened.value().machine);
  return startConsensus(std::move(opened.value().log));
}

Result<void> Shard::startConsensus(std::unique_ptr<log::SegmentedLog> log) {
  const fsm::MetaView meta = machine->meta();
  const NodeIdentity& node = directory.identity();
  const raft::Options core = coreOptions(clock, options.engine, node, meta, *log);
  logStep = std::make_unique<LogStep>(std::move(log), static_cast<LogSink&>(*this), options.engine.logTrailingBytes,
                                      options.engine.logSegmentBytes);
  Result<std::unique_ptr<raft::Driver>> opened = raft::Driver::open(
      core, [this](uint64_t from, uint64_t to, uint64_t bytesMax) { return logStep->read(from, to, bytesMax); });
  if (!opened) return opened.takeError();
  driver = opened.take();

  raftStep = std::make_unique<RaftStep>(*driver, clock, static_cast<RaftSink&>(*this),
                                        raftStepOptions(options.engine, node, meta));
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
  for (CommandResult& result : completion.results) result = refusalOf(code);
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
