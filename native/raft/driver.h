// Drives the consensus core of one shard: turns, persistence, commits, members. Owns the core (consensus/), the seeding
// of its election timeout and the numbers of turns under way. It writes nothing, sends nothing and reads no clock:
// every call is a step whose effects come back in a Step for the caller to carry out. Called by the raft thread of
// engine/ and by the simulator; one thread at a time.
//
//   propose / tick / receive / persisted / applied ──▶ advance(Step&) ──▶ log records, messages, committed entries
//
// The caller's duties: log records are appended in order, each as one atomic record, and reported with `persisted`
// after their fsync, in order; committed entries go to the apply thread in order and are reported with `applied`;
// messages of a Step leave at once (those that must wait for an fsync come with a later Step, after `persisted`).
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"

namespace capstan::raft {

struct HardState {
  uint64_t term = 0;
  uint64_t vote = 0;
  uint64_t commit = 0;
  friend bool operator==(const HardState&, const HardState&) = default;
};

enum class EntryType : uint32_t { normal = 0, members = 1, membersV2 = 2 };

// Immutable bytes, 8-byte aligned, shared by core, log writer and apply thread without a copy where the core allows it.
struct Entry {
  uint64_t index = 0;
  uint64_t term = 0;
  EntryType type = EntryType::normal;
  ByteSpan data;
  std::shared_ptr<const void> owner;  // keeps `data` alive
};

struct LogWrite {
  uint64_t number = 0;    // ascending; given back to `persisted`
  bool mustSync = false;  // false: the fsync may wait, the write may not be left out
  std::optional<HardState> hardState;
  std::vector<Entry> entries;  // may be empty (also with no hard state: report it persisted all the same)
};

struct Message {
  uint64_t to = 0;
  std::vector<uint8_t> bytes;  // opaque, of the core
};

struct SnapshotTarget {  // install what a leader sent: see design; not for one voter
  uint64_t index = 0;
  uint64_t term = 0;
  std::string confState;
  std::vector<uint8_t> data;
};

struct ReadState {
  uint64_t index = 0;
  std::vector<uint8_t> context;
};

struct Step {
  std::vector<LogWrite> writes;
  std::vector<Message> messages;
  std::vector<Entry> committed;
  std::vector<ReadState> reads;
  std::optional<SnapshotTarget> snapshot;
  bool roleChanged = false;
  void clear();
};

struct Options {
  uint64_t nodeId = 1;
  uint64_t appliedIndex = 0;  // of the durable state
  std::string confState;      // of that state
  HardState hardState;        // of the log
  uint64_t baseIndex = 0;     // the entry before the log's first
  uint64_t baseTerm = 0;
  uint64_t lastIndex = 0;                      // of the log; equals baseIndex when it is empty
  uint64_t cacheBytesMax = 64ull << 20;        // entries kept in memory
  uint64_t uncommittedBytesMax = 64ull << 20;  // then proposals are refused with busy
  uint64_t committedBytesMax = 4ull << 20;     // a Ready's committed entries, which are copies while it lasts
  uint32_t electionTicks = 10;
  uint32_t heartbeatTicks = 2;
  uint64_t electionSeed = 0;  // of the seeded election timeouts
};

struct Status {
  bool leads = false;
  uint64_t leaderId = 0;
  uint64_t term = 0;
  uint64_t commit = 0;
  uint64_t lastIndex = 0;
};

// Reads entries [from, to) back from the log, at least one, about `bytesMax`. Called within a step, on its thread.
using LogReader = std::function<Result<std::vector<Entry>>(uint64_t from, uint64_t to, uint64_t bytesMax)>;

class Driver {
 public:
  // Founds nothing: `Options` describe what is on disk. A log that does not fit the state is an Error.
  static Result<std::unique_ptr<Driver>> open(const Options& options, LogReader reader);
  // The ConfState of a cluster whose only voters are these, as bytes for fsm::Founding and Options.
  static std::string makeConfState(const std::vector<uint64_t>& voters);

  virtual ~Driver() = default;
  // ok: taken, which is no commit. notLeader, or busy when too much is uncommitted: nothing was taken.
  [[nodiscard]] virtual schema::ErrorCode propose(std::vector<uint8_t> entry) = 0;
  virtual void receive(ByteSpan message) = 0;  // of a peer; malformed ones are dropped and counted
  virtual void tick() = 0;                     // every 50 ms
  virtual void campaign() = 0;                 // a sole voter leads at once, without waiting for its timeout
  virtual void persisted(uint64_t number) = 0;
  virtual void applied(uint64_t index) = 0;
  // A committed members entry that was reached by the apply thread: gives the new ConfState; then `applied`.
  virtual std::string applyMembers(const Entry& entry) = 0;
  virtual void logCut(uint64_t index, uint64_t term) = 0;  // the log begins after `index` now
  virtual void readIndex(std::vector<uint8_t> context) = 0;

  // Runs turns until the core has nothing more; appends to `step`. True when something was added.
  virtual bool advance(Step& step) = 0;
  virtual Status status() const = 0;
};

}  // namespace capstan::raft
