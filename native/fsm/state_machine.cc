// The facade of the state machine: opens the database and the memory over it, applies entries one by one under the
// lock, serves reads beside. Owns the lock. See state_machine.h.
#include "fsm/state_machine.h"

#include <mutex>
#include <shared_mutex>

#include "base/check.h"
#include "base/shared_mutex.h"
#include "codec/entry.h"
#include "fsm/change.h"
#include "fsm/commands.h"
#include "fsm/reads.h"
#include "storage/database.h"

namespace capstan::fsm {
namespace {

using storage::Family;

class Machine final : public StateMachine {
 public:
  Machine(const Options& options, std::unique_ptr<storage::Database> opened)
      : database(std::move(opened)), state(options), change(state, *database) {
    state.load(*database);
    publishMeta();
  }

  bool isFounded() const override { return state.founded; }

  void found(const Founding& founding) override {
    CAPSTAN_ASSERT(!state.founded);
    const std::unique_lock lock(mutex);
    Meta& meta = state.meta;
    meta.clusterId = founding.clusterId;
    meta.secret.assign(reinterpret_cast<const char*>(founding.clusterSecret.data()), founding.clusterSecret.size());
    meta.confState = founding.confState;
    state.founded = true;
    std::vector<QueueReady> none;
    change.finish(founding.index, founding.term, none);
    database->flush(true, true);
    publishMeta();
  }

  Result<void> apply(uint64_t index, uint64_t term, ByteSpan entry, Applied& applied) override {
    applied.clear();
    applied.index = index;
    if (index <= state.meta.index) return {};
    CAPSTAN_ASSERT(state.founded && index == state.meta.index + 1, index, state.meta.index);
    Result<codec::OpenEntry> opened = codec::openEntry(entry);
    if (!opened) return opened.takeError();
    if (Result<void> known = checkOperations(opened.value()); !known) return known;
    const std::unique_lock lock(mutex);
    change.stamp = opened.value().header.stamp;
    change.stamp.elapsedMs = std::max(change.stamp.elapsedMs, state.meta.elapsedMs);
    change.rows.expect(entry.size());
    applied.results = applyCommands(change, opened.value());
    change.finish(index, term, applied.queues);
    ++state.entries;
    publishMeta();
    return {};
  }

  void applyEmpty(uint64_t index, uint64_t term) override { applyMeta(index, term, nullptr); }

  void applyMembers(uint64_t index, uint64_t term, const std::string& confState) override {
    applyMeta(index, term, &confState);
  }

  MetaView meta() const override {
    const std::lock_guard guard(metaMutex);
    return view;
  }

  NextDue nextDue() const override {
    NextDue due;
    due.now = !state.operations.empty();
    due.elapsedMs = std::min(state.scheduledNext[0], state.timersNext);
    if (!state.deadlines.empty()) due.elapsedMs = std::min(due.elapsedMs, state.deadlines.begin()->first);
    if (state.scheduledNext[1] <= static_cast<uint64_t>(INT64_MAX)) {
      due.wallMs = static_cast<int64_t>(state.scheduledNext[1]);
    }
    return due;
  }

  void flush(bool force, bool wait) override { database->flush(force, wait); }

  uint64_t durableIndex() const override {
    const auto row = database->getPersisted(Family::meta, metaKey);
    return row ? Meta::decode(*row).index : 0;
  }

  Result<void> checkpoint(const std::string& directory) override { return database->checkpoint(directory); }

  void fillRecords(std::vector<GrantedJob>& jobs) override {
    std::vector<rocksdb::Slice> keys;
    std::vector<size_t> places;
    for (size_t at = 0; at < jobs.size(); ++at) {
      if (jobs[at].record) continue;
      keys.emplace_back(jobs[at].key);
      places.push_back(at);
    }
    if (keys.empty()) return;
    std::vector<rocksdb::PinnableSlice> values;
    std::vector<rocksdb::Status> found;
    database->multiGet(Family::jobs, keys, values, found);
    for (size_t at = 0; at < keys.size(); ++at) {
      if (found[at].ok()) jobs[places[at]].record = copyRecord(values[at].ToStringView());
    }
    std::erase_if(jobs, [](const GrantedJob& job) { return job.record == nullptr; });
  }

  ReadResult read(const ReadCommand& command) override {
    const std::shared_lock lock(mutex);
    return readState(state, *database, command);
  }

  std::string statusJson() const override {
    const std::shared_lock lock(mutex);
    std::string text = "{";
    const auto number = [&](const char* name, uint64_t value) {
      if (text.size() > 1) text += ',';
      text += '"' + std::string(name) + "\":" + std::to_string(value);
    };
    uint64_t ready = 0, leased = 0, scheduled = 0, dead = 0, enqueued = 0, acked = 0, evicted = 0;
    for (const auto& [key, queue] : state.queues) {
      ready += queue->ready;
      leased += queue->leased;
      scheduled += queue->row.counters.scheduled;
      dead += queue->row.counters.dead;
      enqueued += queue->row.counters.enqueued;
      acked += queue->row.counters.acked;
      evicted += queue->row.counters.evicted;
    }
    number("appliedIndex", state.meta.index);
    number("entriesApplied", state.entries);
    number("queues", state.queues.size());
    number("lanes", state.laneCount);
    number("groups", state.groupCount);
    number("sessions", state.sessions.size());
    number("leases", state.leases.size());
    number("operationsRunning", state.operations.size());
    number("ready", ready);
    number("leased", leased);
    number("scheduled", scheduled);
    number("dead", dead);
    number("deadEvicted", evicted);
    number("enqueuedTotal", enqueued);
    number("ackedTotal", acked);
    number("windowBytes", state.windowBytes);
    number("windowRecordBytes", state.recordBytes);
    number("windowRefills", state.refills);
    text += ",\"digest\":\"" + toHex(state.meta.digest) + "\"}";
    return text;
  }

 private:
  void applyMeta(uint64_t index, uint64_t term, const std::string* confState) {
    if (index <= state.meta.index) return;
    CAPSTAN_ASSERT(state.founded && index == state.meta.index + 1, index, state.meta.index);
    const std::unique_lock lock(mutex);
    if (confState != nullptr) state.meta.confState = *confState;
    change.stamp = {state.meta.elapsedMs, state.meta.wallMs, {}};
    std::vector<QueueReady> none;
    change.finish(index, term, none);
    publishMeta();
  }

  void publishMeta() {
    const std::lock_guard guard(metaMutex);
    const Meta& meta = state.meta;
    view.appliedIndex = meta.index;
    view.appliedTerm = meta.term;
    if (view.confState != meta.confState) view.confState = meta.confState;
    view.clusterId = meta.clusterId;
    view.clusterVersion = meta.clusterVersion;
    view.elapsedMs = meta.elapsedMs;
    view.wallMs = meta.wallMs;
    view.digest = meta.digest;
  }

  const std::unique_ptr<storage::Database> database;
  mutable WriterFirstMutex mutex;  // apply: exclusively, before reads that come later; reads: shared
  State state;                     // guarded by mutex; the apply thread reads it without
  Change change;
  mutable std::mutex metaMutex;
  MetaView view;  // guarded by metaMutex
};

}  // namespace

Result<std::unique_ptr<StateMachine>> StateMachine::open(const Options& options) {
  CAPSTAN_ASSERT(options.windowJobsMax > 0 && options.shard < 64, options.windowJobsMax, options.shard);
  Result<std::unique_ptr<storage::Database>> database =
      storage::Database::open({options.directory, options.blockCacheBytes, options.writeBufferBytes,
                               options.backgroundJobs, options.env, options.rocksdbOptions});
  if (!database) return database.takeError();
  const auto meta = database.value()->get(Family::meta, metaKey);
  if (meta && (meta->empty() || static_cast<uint8_t>(meta->front()) != rowVersion)) {
    return Error{schema::ErrorCode::UNSUPPORTED,
                 "the state in " + options.directory + " has rows of version " +
                     std::to_string(meta->empty() ? 0 : static_cast<uint8_t>(meta->front())) +
                     "; this build knows version " + std::to_string(rowVersion),
                 "", 0};
  }
  return std::unique_ptr<StateMachine>(std::make_unique<Machine>(options, database.take()));
}

}  // namespace capstan::fsm
