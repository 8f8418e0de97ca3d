// The replicated state of one shard: what engine/ sees of it. Applying an entry is a pure function of the stored state
// and the entry's bytes: no clock, randomness, environment, locale, unordered iteration, cache content or node setting
// may influence the state or a result. Owns the RocksDB of the shard (storage/) and every in-memory cache over it.
//
// Threading: `apply*`, `found`, `flush` and `checkpoint` by one thread, the apply thread (or a simulator's step).
// `read`, `fillRecords` and the counters by any thread at any time. Errors: a failed read or write of RocksDB ends the
// process. What a client did wrong is a value in its CommandResult.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/ids.h"
#include "base/result.h"
#include "codec/read_request.h"
#include "codec/read_results.h"
#include "codec/results.h"

namespace rocksdb {
class Env;
}

namespace capstan::fsm {

struct Options {
  std::string directory;  // of the RocksDB, made when missing
  uint32_t shard = 0;
  uint64_t blockCacheBytes = 128ull << 20;
  uint64_t writeBufferBytes = 128ull << 20;  // all families together; a flush of all is begun when it is reached
  uint32_t backgroundJobs = 2;
  uint64_t windowBytesMax = 64ull << 20;     // keys in all ready windows
  uint32_t windowJobsMax = 4096;             // keys in one lane's window; 1 gives the same results, slower
  uint64_t payloadCacheBytes = 64ull << 20;  // records in all ready windows
  rocksdb::Env* env = nullptr;               // null: the system's; the simulator passes its own
  std::string rocksdbOptions{};              // for benchmarks: what they set otherwise
};

// What the founding of a cluster writes, once, into an empty state.
struct Founding {
  ClusterId clusterId;
  std::array<uint8_t, 32> clusterSecret{};  // keys the lease ids; replicated, never shown
  std::string confState;                    // of the consensus core, opaque
  uint64_t index = 1;
  uint64_t term = 1;
};

// A queue that an entry touched: how many jobs a fetch could get of it now (ready, not leased, not paused), and whether
// the entry may have let a fetch succeed that found nothing before.
struct QueueReady {
  uint64_t queueHash = 0;
  uint64_t grantable = 0;
  bool bumped = false;
};

struct Applied {
  uint64_t index = 0;
  std::vector<CommandResult> results;  // one per command, in order
  std::vector<QueueReady> queues;
  void clear() {
    results.clear();
    queues.clear();
  }
};

// When a tick would find something to do. `now`: at once (a bounded step left something). Instants on their own clocks;
// UINT64_MAX / INT64_MAX: nothing.
struct NextDue {
  bool now = false;
  uint64_t elapsedMs = UINT64_MAX;
  int64_t wallMs = INT64_MAX;
};

struct MetaView {
  uint64_t appliedIndex = 0;
  uint64_t appliedTerm = 0;
  std::string confState;
  ClusterId clusterId;
  uint32_t clusterVersion = 0;
  uint64_t elapsedMs = 0;  // last stamps
  int64_t wallMs = 0;
  std::array<uint8_t, 16> digest{};
};

class StateMachine {
 public:
  // unsupported: a stored format that this build does not know, both named. Loads leases and windows' roots.
  static Result<std::unique_ptr<StateMachine>> open(const Options& options);
  virtual ~StateMachine() = default;

  virtual bool isFounded() const = 0;
  virtual void found(const Founding& founding) = 0;  // durable when it returns

  // Entries come in order without a gap; one at or below the applied index is skipped (`results` stays empty).
  // unsupported: an entry of a version or operation that this build does not know; nothing was applied.
  [[nodiscard]] virtual Result<void> apply(uint64_t index, uint64_t term, ByteSpan entry, Applied& applied) = 0;
  // An empty entry of consensus, and one that changed the members.
  virtual void applyEmpty(uint64_t index, uint64_t term) = 0;
  virtual void applyMembers(uint64_t index, uint64_t term, const std::string& confState) = 0;

  virtual MetaView meta() const = 0;    // any thread; consistent
  virtual NextDue nextDue() const = 0;  // the apply thread

  // Begins a flush of all families when enough was written since the last one, or when `force`; between entries only.
  // Does not wait unless `wait`.
  virtual void flush(bool force, bool wait) = 0;
  // Applied index that a crash now would keep; any thread.
  virtual uint64_t durableIndex() const = 0;
  // Hard links of the whole state at the applied index, in a directory that must not exist. Flushes and waits.
  [[nodiscard]] virtual Result<void> checkpoint(const std::string& directory) = 0;

  // Any thread. Puts the records into granted jobs that came without one; a job that is gone by now is removed.
  virtual void fillRecords(std::vector<GrantedJob>& jobs) = 0;
  // Any thread. serverInfo's term, leader and durable index are the engine's to fill in.
  virtual ReadResult read(const ReadCommand& command) = 0;

  // Counters and gauges, as JSON text for status and metrics; any thread.
  virtual std::string statusJson() const = 0;
};

}  // namespace capstan::fsm
