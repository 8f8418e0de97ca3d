// The shadow state machine; see shadow.h. Owns the one image of an empty state that every shadow of the process begins
// with, since making the families takes as long as a hundred steps.
#include "sim/shadow.h"

#include "base/check.h"

namespace capstan::sim {
namespace {

fsm::Options optionsOf(DiskEnv& env) {
  fsm::Options options;
  options.directory = "/shadow";
  options.blockCacheBytes = 1 << 20;
  options.writeBufferBytes = 1 << 20;
  options.env = env.env();
  return options;
}

const Disk::Image& emptyState() {
  static const Disk::Image image = [] {
    Trace trace;
    Disk disk(0, trace);
    uint64_t micros = 1'000'000;
    DiskEnv env(disk, micros);
    DiskEnv* const before = setWaitingJobs(&env);
    fsm::StateMachine::open(optionsOf(env)).take().reset();
    setWaitingJobs(before);
    return disk.save();
  }();
  return image;
}

}  // namespace

Shadow::Shadow(uint32_t windowJobsMax, const fsm::Founding& founding) {
  disk.load(emptyState());
  DiskEnv* const before = setWaitingJobs(&env);
  fsm::Options options = optionsOf(env);
  options.windowJobsMax = windowJobsMax;
  machine = fsm::StateMachine::open(options).take();
  machine->found(founding);
  setWaitingJobs(before);
}

Shadow::~Shadow() {
  DiskEnv* const before = setWaitingJobs(&env);
  machine.reset();
  setWaitingJobs(before);
}

void Shadow::apply(uint64_t index, uint64_t term, ByteSpan entry, fsm::Applied& applied) {
  DiskEnv* const before = setWaitingJobs(&env);
  if (entry.empty()) {
    machine->applyEmpty(index, term);
  } else {
    const Result<void> done = machine->apply(index, term, entry, applied);
    CAPSTAN_ASSERT(done.ok(), index);
  }
  setWaitingJobs(before);
}

}  // namespace capstan::sim
