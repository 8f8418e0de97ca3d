// A second state machine beside the node's: it gets each committed entry once, is never restarted, never flushed, and
// keeps other windows. Whatever it answers, and its digest, the node must give too, through every crash and replay.
// Owns a disk of its own without faults. Called by the checker.
#pragma once

#include <memory>

#include "fsm/state_machine.h"
#include "sim/disk.h"
#include "sim/disk_env.h"

namespace capstan::sim {

class Shadow {
 public:
  Shadow(uint32_t windowJobsMax, const fsm::Founding& founding);
  ~Shadow();
  Shadow(const Shadow&) = delete;
  Shadow& operator=(const Shadow&) = delete;

  // `entry` empty: one of consensus.
  void apply(uint64_t index, uint64_t term, ByteSpan entry, fsm::Applied& applied);
  fsm::MetaView meta() const { return machine->meta(); }

 private:
  Trace trace;  // of nobody's interest
  Disk disk{0, trace};
  uint64_t micros = 1'000'000;
  DiskEnv env{disk, micros};
  std::unique_ptr<fsm::StateMachine> machine;
};

}  // namespace capstan::sim
