// The engine: puts data directory, shard, acceptor and workers' queues together, in the order in which they may begin
// and end. Owns them all. It holds no rule of its own beyond that order. Called by the workers' contexts and by napi/.
#include "engine/engine.h"

#include <malloc.h>
#include <sys/stat.h>

#include <utility>

#include "base/check.h"
#include "base/clock.h"
#include "base/files.h"
#include "boundary.capnp.h"
#include "engine/acceptor.h"
#include "engine/completions.h"
#include "engine/data_directory.h"
#include "engine/disk_reserve.h"
#include "engine/housekeeper.h"
#include "engine/shard.h"

namespace capstan::engine {
namespace {

constexpr uint32_t bitOf(schema::EngineState state) { return 1u << static_cast<uint32_t>(state); }

// Large messages and entries come and go on many threads, and glibc keeps what was freed in an arena of each thread,
// which is in no budget: so there are few. What is larger than any block of a memtable and than an ordinary entry is
// mapped, so that it is given back when it is freed: glibc's own threshold would follow the largest block ever freed.
// With a threshold of 1 MiB memtables were mapped block by block, which `capstan bench e1` showed to be slower.
void keepFreedMemoryLow() {
#ifdef __GLIBC__
  ::mallopt(M_ARENA_MAX, 4);
  ::mallopt(M_MMAP_THRESHOLD, 4 << 20);
  ::mallopt(M_TRIM_THRESHOLD, 16 << 20);
#endif
}

class NodeEngine final : public Engine {
 public:
  NodeEngine(FileSystem& files, Clock& clock, const EngineOptions& options)
      : files(files), clock(clock), options(options), acceptor(completions) {}

  Result<void> start(std::function<void(uint64_t, uint64_t)> progress) {
    keepFreedMemoryLow();
    // RocksDB makes its files with the umask of the process, and jobs are nobody else's business.
    ::umask(077);
    Result<std::unique_ptr<DataDirectory>> opened = DataDirectory::open(files, options.dataDirectory);
    if (!opened) return opened.takeError();
    directory = opened.take();
    // One that somebody made for us may be open to others. Where it is not ours to change, it stays as it was meant.
    [[maybe_unused]] const int status = ::chmod(options.dataDirectory.c_str(), 0700);
    if (Result<void> room = checkRoomToStart(files, options.dataDirectory); !room) return room;
    if (Result<void> identified = identify(); !identified) return identified;

    ShardOptions shardOptions;
    shardOptions.engine = options;
    shardOptions.progress = std::move(progress);
    shardOptions.roleChanged = [this](bool leads) {
      const uint32_t bit = bitOf(schema::EngineState::LEADING);
      completions.changeState(leads ? bit : 0, leads ? 0 : bit);
    };
    Result<std::unique_ptr<Shard>> started =
        Shard::open(files, clock, *directory, completions, std::move(shardOptions));
    if (!started) return started.takeError();
    shard = started.take();
    if (!directory->identity().founded) {
      NodeIdentity founded = directory->identity();
      founded.founded = true;
      if (Result<void> written = directory->writeIdentity(founded); !written) return written;
    }
    reserve = std::make_unique<DiskReserve>(files, options.dataDirectory, options.diskReserveBytes,
                                            options.diskReservePercent);
    housekeeper = std::make_unique<Housekeeper>(*reserve, [this](bool reached) {
      const uint32_t bit = bitOf(schema::EngineState::DISK_FULL);
      completions.changeState(reached ? bit : 0, reached ? 0 : bit);
    });
    completions.changeState(bitOf(schema::EngineState::SERVING), 0);
    return {};
  }

  std::vector<std::string> warnings() const override { return directory->warnings(); }

  Result<uint32_t> openWorker(std::function<void()> ring, CompletionQueue** queue) override {
    return completions.open(std::move(ring), queue);
  }

  void closeWorker(uint32_t worker) override {
    std::vector<CallerSlot> wakes;
    shard->parkedFetches().closeWorker(worker, wakes);
    const uint32_t sockets = completions.close(worker);
    if (sockets != 0) acceptor.connectionClosed(sockets);
    deliver(wakes);
  }

  schema::ErrorCode propose(Proposal proposal) override {
    CAPSTAN_ASSERT(proposal.shard == 0, proposal.shard);
    CAPSTAN_ASSERT(proposal.worker != 0);
    if (proposal.enqueues && reserve->isReached()) return schema::ErrorCode::DISK_FULL;
    housekeeper->proposed(proposal.entry.size());
    return shard->propose(proposal);
  }

  schema::ErrorCode read(ReadRequest request) override {
    CAPSTAN_ASSERT(request.shard == 0, request.shard);
    return shard->read(request);
  }

  Result<uint64_t> park(const ParkRequest& request) override { return shard->parkedFetches().park(request); }

  bool unpark(uint32_t worker, uint32_t slot) override { return shard->parkedFetches().unpark({worker, slot}); }

  void wakeEarly(uint32_t worker, std::span<const QueueArrivals> arrivals, std::vector<CallerSlot>& woken) override {
    shard->parkedFetches().wakeEarly(worker, arrivals, woken);
  }

  void passWake(uint32_t worker, uint32_t slot) override { endWake({worker, slot}); }

  void settleWake(uint32_t worker, uint32_t slot) override { endWake({worker, slot}); }

  Result<std::string> listen(uint32_t listener, const std::string& address, uint32_t connectionsMax,
                             uint32_t backlog) override {
    return acceptor.listen(listener, address, connectionsMax, backlog);
  }

  void stopListening() override { acceptor.stop(); }

  void connectionClosed() override { acceptor.connectionClosed(); }

  uint64_t connectionsRefused() const override { return acceptor.refusedTotal(); }

  uint64_t connectionsStarved() const override { return acceptor.starvedTotal(); }

  std::string statusJson() const override {
    const auto field = [](const char* name, uint64_t value) {
      return std::string("\"") + name + "\":" + std::to_string(value) + ",";
    };
    const NodeIdentity& node = directory->identity();
    return "{" + field("nodeId", node.nodeId) + "\"clusterId\":\"" + node.clusterId.hex() + "\"," +
           field("stateBits", completions.state()) + field("diskFreeBytes", reserve->freeBytes()) +
           field("connections", acceptor.connectionCount()) + field("acceptedTotal", acceptor.acceptedTotal()) +
           field("refusedTotal", acceptor.refusedTotal()) + field("starvedTotal", acceptor.starvedTotal()) +
           "\"shards\":[" + shard->statusJson() + "]}";
  }

  void close() override {
    completions.changeState(bitOf(schema::EngineState::STOPPING), bitOf(schema::EngineState::SERVING));
    acceptor.stop();
    housekeeper->close();
    shard->close();
    directory->unlock();
  }

 private:
  // The cluster's name is decided before anything is founded in it.
  Result<void> identify() {
    if (!directory->hasIdentity()) {
      NodeIdentity node;
      node.shards = options.shards;
      clock.randomBytes(node.clusterId.bytes);
      if (Result<void> written = directory->writeIdentity(node); !written) return written;
    }
    if (directory->identity().shards != options.shards || options.shards != 1) {
      return Error{schema::ErrorCode::UNSUPPORTED,
                   options.dataDirectory + " has " + std::to_string(directory->identity().shards) +
                       " shards and the settings ask for " + std::to_string(options.shards) +
                       "; this version serves one",
                   "", 0};
    }
    return {};
  }

  void endWake(CallerSlot caller) {
    std::vector<CallerSlot> wakes;
    shard->parkedFetches().endWake(caller, wakes);
    deliver(wakes);
  }

  void deliver(const std::vector<CallerSlot>& wakes) {
    for (const CallerSlot caller : wakes) shard->wake(caller);
  }

  FileSystem& files;
  Clock& clock;
  const EngineOptions options;
  Completions completions;
  Acceptor acceptor;
  std::unique_ptr<DataDirectory> directory;
  std::unique_ptr<Shard> shard;
  std::unique_ptr<DiskReserve> reserve;
  std::unique_ptr<Housekeeper> housekeeper;
};

}  // namespace

Result<Engine*> Engine::open(const EngineOptions& options, std::function<void(uint64_t, uint64_t)> progress) {
  auto engine = std::make_unique<NodeEngine>(systemFiles(), systemClock(), options);
  if (Result<void> started = engine->start(std::move(progress)); !started) return started.takeError();
  return static_cast<Engine*>(engine.release());
}

}  // namespace capstan::engine
