// The engine: one per process, shared by every listener worker's instance of the addon. Owns the data directory, the
// raft, log, apply and reader threads of each shard, the acceptor and the registry of parked fetches. It never touches
// Node-API and never calls back into JavaScript: results go into the completion queue of the worker that asked.
//
// Threading: every method may be called from any thread unless it says otherwise. None blocks on disk but `open` and
// `close`. Ownership: the instance is leaked on purpose; `close` joins its threads.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/ids.h"
#include "base/result.h"
#include "codec/results.h"

namespace capstan {
struct ReadCommand;  // codec/read_request.h
struct ReadResult;   // codec/read_results.h
}  // namespace capstan

namespace capstan::engine {

struct EngineOptions {
  std::string dataDirectory;
  uint32_t shards = 1;
  bool syncAlways = true;
  uint64_t logSegmentBytes = 64ull << 20;
  uint64_t logTrailingBytes = 64ull << 20;
  uint64_t diskReserveBytes = 512ull << 20;
  uint32_t diskReservePercent = 2;
  uint64_t blockCacheBytes = 128ull << 20;
  uint64_t writeBufferBytes = 128ull << 20;
  uint32_t backgroundJobs = 2;
  uint64_t windowBytesMax = 64ull << 20;  // ready windows of all lanes
  uint32_t windowJobsMax = 4096;          // of one lane
  uint64_t payloadCacheBytes = 64ull << 20;
  uint64_t logCacheBytes = 64ull << 20;  // entries under way, and the newest ones after that
  uint32_t proposalsMax = 1024;          // waiting for the raft thread
  uint32_t tickRowsMax = 10000;
  uint32_t parkedMax = 100000;  // a worker
  uint32_t readerThreads = 1;
  std::string rocksdbOptions{};  // for benchmarks: what they set otherwise
};

// One log entry on its way: made by a worker context (codec/entry_builder), consumed by the raft thread, which stamps
// the header. `replySlots` are the worker's own numbers, one per command, given back with the results.
struct Proposal {
  uint32_t worker = 0;
  uint32_t shard = 0;
  uint32_t ticket = 0;
  bool enqueues = false;  // refused with diskFull while the reserve is reached
  std::vector<uint8_t> entry;
  std::vector<uint32_t> replySlots;
};

enum class CompletionKind : uint8_t { entry, read, wake, accepted, state };

struct Completion {
  CompletionKind kind = CompletionKind::entry;
  uint32_t ticket = 0;                 // entry
  uint32_t slot = 0;                   // read, wake: the worker's reply slot
  int fileDescriptor = -1;             // accepted
  uint32_t listener = 0;               // accepted
  uint32_t stateBits = 0;              // state: schema::EngineState
  uint64_t appliedIndex = 0;           // entry, read
  std::vector<uint32_t> replySlots;    // entry
  std::vector<CommandResult> results;  // entry: one per slot, jobs already with their records
  std::shared_ptr<ReadResult> read;
};

// Multi-producer, one consumer: the worker. Bounded by the slots that the worker reserved before it proposed.
class CompletionQueue {
 public:
  virtual ~CompletionQueue() = default;
  // Takes everything that is there, in order; re-arms the ring.
  virtual void drain(std::vector<Completion>& into) = 0;
};

struct CallerSlot {
  uint32_t worker = 0;
  uint32_t slot = 0;
  friend bool operator==(const CallerSlot&, const CallerSlot&) = default;
};

// A parked fetch: what to compare before it sleeps and where to wake it.
struct ParkRequest {
  uint32_t worker = 0;
  uint32_t slot = 0;
  uint64_t arrival = 0;          // 0: first time; else the value that park returned before: keeps its place
  uint64_t emptyAtIndex = 0;     // index of the entry that found nothing
  std::vector<uint64_t> queues;  // queueHash(tenant, queue)
};

// Jobs of one queue that a proposal brings, ready as soon as it is applied.
struct QueueArrivals {
  uint64_t queueHash = 0;
  uint32_t jobs = 0;
};

struct ReadRequest {  // bytes of a validated request struct, see codec/read_request.h
  uint32_t worker = 0;
  uint32_t slot = 0;
  uint32_t shard = 0;
  std::shared_ptr<const ReadCommand> command;
};

class Engine {
 public:
  // Locks and opens the data directory, founds a cluster of one on an empty one, replays, starts the threads; returns
  // once the node leads and has applied its own term's first entry. `progress` is called with (entries done, entries in
  // all) now and then from the calling thread.
  //
  // An Error of `open` and `listen` holds a stable word in `field`, for scripts and for advice: directoryLocked,
  // formatNewer, formatOlder, damaged, permission, notDirectory, diskFull; addressInUse, addressInvalid,
  // addressForbidden. An empty field: a fault without a word of its own.
  static Result<Engine*> open(const EngineOptions& options, std::function<void(uint64_t, uint64_t)> progress);
  virtual ~Engine() = default;  // after `close`; only tests do it

  // Sentences about the data directory that whoever runs the server should read. Never changes.
  virtual std::vector<std::string> warnings() const { return {}; }

  // `ring` is called at most once between two drains, from an engine thread; it must not block, and must not call the
  // engine. The queue lives until closeWorker; the first thing in it is the engine's state.
  virtual Result<uint32_t> openWorker(std::function<void()> ring, CompletionQueue** queue) = 0;
  virtual void closeWorker(uint32_t worker) = 0;  // its slots are forgotten; late completions are dropped

  // ok, or busy / diskFull / notLeader / shuttingDown: then nothing was proposed and the caller keeps its slots.
  [[nodiscard]] virtual schema::ErrorCode propose(Proposal proposal) = 0;
  [[nodiscard]] virtual schema::ErrorCode read(ReadRequest request) = 0;

  // Returns the arrival number (> 0) when parked, 0 when the queue may have become ready since: try again at once.
  // A wake arrives as a completion, at most one per park.
  virtual Result<uint64_t> park(const ParkRequest& request) = 0;
  virtual bool unpark(uint32_t worker, uint32_t slot) = 0;  // true: it was parked and has no wake under way
  // Before a proposal with `arrivals`: parked callers of this worker that they will serve, longest asleep first, for
  // their fetches to go with it. Appends their slots, which are awake from now on.
  virtual void wakeEarly(uint32_t worker, std::span<const QueueArrivals> arrivals, std::vector<CallerSlot>& woken) = 0;
  virtual void passWake(uint32_t worker, uint32_t slot) = 0;    // a woken caller that cannot use it: wake another
  virtual void settleWake(uint32_t worker, uint32_t slot) = 0;  // a woken caller's fetch has been applied

  // Listening. `address` is HOST:PORT, [HOST]:PORT or unix:PATH; returns the bound address. Accepted sockets come to
  // the workers as completions, in turn. `backlog` in connections, cut by the system to net.core.somaxconn.
  virtual Result<std::string> listen(uint32_t listener, const std::string& address, uint32_t connectionsMax,
                                     uint32_t backlog) = 0;
  virtual void stopListening() = 0;
  virtual void connectionClosed() = 0;  // one accepted socket is gone

  // Since the start, closed at once: those above connectionsMax, and those for which no descriptor was left; cheap.
  virtual uint64_t connectionsRefused() const = 0;
  virtual uint64_t connectionsStarved() const = 0;
  virtual std::string statusJson() const = 0;  // counters and gauges of every shard
  // Proposes a stamp, flushes, ends the threads. The state is durable when it returns.
  virtual void close() = 0;
};

}  // namespace capstan::engine
