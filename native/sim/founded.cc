// Founds a node on a disk without faults and keeps what it left; see founded.h. Owns the one image of the process,
// which is the same in every process, since all of its randomness is seeded. It never serves a client. Called by the
// world. The founding itself is tried under faults by the runs that do not begin with it.
#include "sim/founded.h"

#include <utility>

#include "base/check.h"
#include "sim/node.h"

namespace capstan::sim {
namespace {

class FoundingWatcher final : public NodeWatcher {
 public:
  void founded(const fsm::Founding& made) override { founding = made; }
  void written(const raft::Entry&) override {}
  void applied(uint64_t, uint64_t, ByteSpan, const fsm::Applied&, const fsm::MetaView&) override {}
  void replying(uint64_t, uint64_t) override {}
  void opened(const fsm::MetaView&, const log::SegmentedLog&) override {}
  void persisted(uint64_t, uint64_t) override {}
  fsm::Founding founding;
};

class NoOutput final : public NodeOutput {
 public:
  void completed(engine::Completion) override {}
  void woken(engine::CallerSlot) override {}
};

Founded make() {
  Trace trace;
  Disk disk(1, trace);
  Clocks clocks(1);
  FoundingWatcher watcher;
  NoOutput output;
  engine::EngineOptions options;
  options.logSegmentBytes = 16 << 10;
  options.blockCacheBytes = 1 << 20;
  options.writeBufferBytes = 64 << 10;
  Node node(disk, clocks, options, watcher, output);
  const Result<void> opened = node.open();
  CAPSTAN_ASSERT(opened.ok() && !node.ended(), opened.ok() ? node.ended()->why : opened.error().message);
  disk.crashNow(CrashKind::kill);
  node.close();
  disk.restart();
  return {disk.save(), watcher.founding};
}

}  // namespace

const Founded& founded() {
  static const Founded made = make();
  return made;
}

}  // namespace capstan::sim
