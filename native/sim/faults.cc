// What goes wrong in a run: crashes now and at a later operation of the disk, failing writes and syncs, a disk that
// somebody else fills, a wall clock that jumps, a graceful stop, and a checkpoint, which is no fault but as rare. Owns
// their mix. Called by the scheduler.
#include "sim/world.h"

namespace capstan::sim {
namespace {

constexpr int64_t yearMs = 365ll * 24 * 3600 * 1000;

}  // namespace

void World::fault() {
  if (disk.isFrozen()) return;
  armed = random.oneIn(3) ? CrashKind::kill : CrashKind::power;
  switch (random.below(12)) {
    case 0:
    case 1:
      tell("crash now");
      return disk.crashNow(armed);
    case 2:
    case 3:
    case 4:
      tell("a crash at a later operation");
      return disk.crashAt(random.from(1, 60), armed);
    case 5:
    case 6:
      tell("a failure at a later operation");
      return disk.failAt(random.from(1, 50));
    case 7:
      return fillDisk();
    case 8: {
      // Mostly up to a year, sometimes a little.
      const int64_t most = random.oneIn(3) ? 5000 : yearMs;
      const int64_t ms = static_cast<int64_t>(random.below(static_cast<uint64_t>(2 * most))) - most;
      clocks.jump(ms);
      ++counters[Count::wallJumps];
      return tell("the wall clock jumps by " + std::to_string(ms));
    }
    case 9:
      tell("a graceful stop");
      return node->stop();
    default:
      tell("a checkpoint");
      return node->checkpoint();
  }
}

// Sometimes the reserve is reached, sometimes nothing is left at all.
void World::fillDisk() {
  tell("somebody fills the disk");
  const uint64_t left = random.oneIn(3) ? random.below(64 << 10) : random.below(4 << 20);
  disk.setCapacity(disk.usedBytes() + left);
  fullUntilStep = step + random.from(50, 400);
  nextReserveMs = clocks.nowMs();
}

}  // namespace capstan::sim
