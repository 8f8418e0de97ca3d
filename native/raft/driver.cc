// The driver of one shard's consensus core over consensus.h: turns callbacks into Steps and owns the bytes that the
// core hands over. It keeps no rule of its own: those are in the core. Called as driver.h says.
#include "raft/driver.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "base/check.h"
#include "consensus/consensus.h"

namespace capstan::raft {
namespace {

// Bytes of the core, or a copy where they are not aligned for reading in place.
Entry takeEntry(const CapstanCoreEntry& from) {
  Entry entry{from.index, from.term, static_cast<EntryType>(from.type), {}, nullptr};
  std::shared_ptr<CapstanOwnedBytes> owner(from.owner, [](CapstanOwnedBytes* bytes) { capstanCoreFreeBytes(bytes); });
  if (from.bytes == 0) return entry;
  if (reinterpret_cast<uintptr_t>(from.data) % 8 == 0) {
    entry.data = {from.data, from.bytes};
    entry.owner = std::move(owner);
    return entry;
  }
  std::shared_ptr<uint64_t[]> copy(new uint64_t[(from.bytes + 7) / 8]);
  std::memcpy(copy.get(), from.data, from.bytes);
  entry.data = {reinterpret_cast<const uint8_t*>(copy.get()), from.bytes};
  entry.owner = std::move(copy);
  return entry;
}

Step& stepOf(void* context) { return *static_cast<Step*>(context); }

void onWrite(void* context, uint64_t number, int mustSync, const CapstanCoreHardState* hardState,
             const CapstanCoreEntry* entries, size_t count) {
  LogWrite write;
  write.number = number;
  write.mustSync = mustSync != 0;
  if (hardState != nullptr) write.hardState = HardState{hardState->term, hardState->vote, hardState->commit};
  write.entries.reserve(count);
  for (size_t at = 0; at < count; ++at) write.entries.push_back(takeEntry(entries[at]));
  stepOf(context).writes.push_back(std::move(write));
}

void onMessage(void* context, uint64_t to, const uint8_t* data, size_t bytes) {
  stepOf(context).messages.push_back({to, {data, data + bytes}});
}

void onCommitted(void* context, const CapstanCoreEntry* entry) {
  stepOf(context).committed.push_back(takeEntry(*entry));
}

void onReadState(void* context, uint64_t index, const uint8_t* data, size_t bytes) {
  stepOf(context).reads.push_back({index, {data, data + bytes}});
}

void onSnapshot(void* context, uint64_t index, uint64_t term, const uint8_t* confState, size_t confStateBytes,
                const uint8_t* data, size_t bytes) {
  stepOf(context).snapshot =
      SnapshotTarget{index, term, std::string(reinterpret_cast<const char*>(confState), confStateBytes),
                     std::vector<uint8_t>(data, data + bytes)};
}

CapstanCoreSink sinkInto(Step& step) { return {&step, onWrite, onMessage, onCommitted, onReadState, onSnapshot}; }

class CoreDriver final : public Driver {
 public:
  explicit CoreDriver(LogReader reader) : reader(std::move(reader)) {}
  ~CoreDriver() override {
    if (core != nullptr) capstanCoreClose(core);
  }
  CoreDriver(const CoreDriver&) = delete;
  CoreDriver& operator=(const CoreDriver&) = delete;

  bool open(const Options& options) {
    CapstanCoreOptions raw{};
    raw.nodeId = options.nodeId;
    raw.appliedIndex = options.appliedIndex;
    raw.confState = reinterpret_cast<const uint8_t*>(options.confState.data());
    raw.confStateBytes = options.confState.size();
    // Rule 11: what the state applied was committed, whatever the last hard state says.
    raw.hardState = {options.hardState.term, options.hardState.vote,
                     std::max(options.hardState.commit, options.appliedIndex)};
    raw.baseIndex = options.baseIndex;
    raw.baseTerm = options.baseTerm;
    raw.cacheBytesMax = options.cacheBytesMax;
    raw.uncommittedBytesMax = options.uncommittedBytesMax;
    raw.committedBytesMax = options.committedBytesMax;
    raw.electionTicks = options.electionTicks;
    raw.heartbeatTicks = options.heartbeatTicks;
    raw.electionSeed = options.electionSeed;
    raw.context = this;
    raw.readLog = readLog;
    core = capstanCoreOpen(&raw, options.lastIndex);
    return core != nullptr;
  }

  schema::ErrorCode propose(std::vector<uint8_t> entry) override {
    switch (capstanCorePropose(core, entry.data(), entry.size())) {
      case capstanCoreOk:
        return schema::ErrorCode::OK;
      case capstanCoreBusy:
        return schema::ErrorCode::BUSY;
      default:
        return schema::ErrorCode::NOT_LEADER;
    }
  }

  void receive(ByteSpan message) override {
    if (capstanCoreReceive(core, message.data(), message.size()) != capstanCoreOk) ++refusedMessages;
  }
  void tick() override { capstanCoreTick(core); }
  void campaign() override { capstanCoreCampaign(core); }

  void persisted(uint64_t number) override {
    const CapstanCoreSink sink = sinkInto(waiting);
    capstanCorePersisted(core, number, &sink);
  }

  void applied(uint64_t index) override { capstanCoreApplied(core, index); }

  std::string applyMembers(const Entry& entry) override {
    std::string confState;
    const int code = capstanCoreApplyMembers(
        core, static_cast<uint32_t>(entry.type), entry.data.data(), entry.data.size(), &confState,
        [](void* context, const uint8_t* bytes, size_t count) {
          static_cast<std::string*>(context)->assign(reinterpret_cast<const char*>(bytes), count);
        });
    CAPSTAN_ASSERT(code == capstanCoreOk, code, entry.index);
    return confState;
  }

  void logCut(uint64_t index, uint64_t term) override { capstanCoreLogCut(core, index, term); }

  void readIndex(std::vector<uint8_t> context) override { capstanCoreReadIndex(core, context.data(), context.size()); }

  bool advance(Step& step) override {
    bool moved = !waiting.messages.empty();
    for (Message& message : waiting.messages) step.messages.push_back(std::move(message));
    waiting.clear();
    const Status before = status();
    const CapstanCoreSink sink = sinkInto(step);
    while (capstanCoreTurn(core, &sink) != 0) moved = true;
    const Status after = status();
    step.roleChanged |= lastLeads != after.leads || lastLeader != after.leaderId || before.term != after.term;
    lastLeads = after.leads;
    lastLeader = after.leaderId;
    return moved;
  }

  Status status() const override {
    CapstanCoreStatus raw{};
    capstanCoreStatus(core, &raw);
    return {raw.leads != 0, raw.leaderId, raw.term, raw.commit, raw.lastIndex};
  }

 private:
  static void readLog(void* context, uint64_t from, uint64_t to, uint64_t bytesMax, void* into,
                      void (*take)(void* into, const CapstanCoreEntry* entry)) {
    auto* self = static_cast<CoreDriver*>(context);
    Result<std::vector<Entry>> entries = self->reader(from, to, bytesMax);
    // A log that cannot be read back ends the node: rule 18.
    CAPSTAN_OS_CHECK(entries.ok(), entries.ok() ? std::string() : entries.error().message);
    for (const Entry& entry : entries.value()) {
      const CapstanCoreEntry raw{entry.index,       entry.term,        static_cast<uint32_t>(entry.type),
                                 entry.data.data(), entry.data.size(), nullptr};
      take(into, &raw);
    }
  }

  const LogReader reader;
  CapstanCore* core = nullptr;
  Step waiting;  // messages that an fsync has set free
  bool lastLeads = false;
  uint64_t lastLeader = 0;
  uint64_t refusedMessages = 0;
};

Error misfit(const std::string& what) {
  return Error{schema::ErrorCode::INTERNAL, "the log does not fit the state: " + what, "", 0};
}

}  // namespace

void Step::clear() {
  writes.clear();
  messages.clear();
  committed.clear();
  reads.clear();
  snapshot.reset();
  roleChanged = false;
}

Result<std::unique_ptr<Driver>> Driver::open(const Options& options, LogReader reader) {
  if (options.appliedIndex < options.baseIndex) {
    return misfit("it begins after entry " + std::to_string(options.baseIndex) + ", the state ends at " +
                  std::to_string(options.appliedIndex));
  }
  if (options.appliedIndex > options.lastIndex || options.hardState.commit > options.lastIndex) {
    return misfit("it ends at entry " + std::to_string(options.lastIndex) + ", but entry " +
                  std::to_string(std::max(options.appliedIndex, options.hardState.commit)) + " was committed");
  }
  auto driver = std::make_unique<CoreDriver>(std::move(reader));
  if (!driver->open(options)) return misfit("the state's list of members cannot be read");
  return std::unique_ptr<Driver>(std::move(driver));
}

std::string Driver::makeConfState(const std::vector<uint64_t>& voters) {
  std::string bytes(16 + 11 * voters.size(), '\0');
  bytes.resize(
      capstanCoreConfState(voters.data(), voters.size(), reinterpret_cast<uint8_t*>(bytes.data()), bytes.size()));
  return bytes;
}

}  // namespace capstan::raft
