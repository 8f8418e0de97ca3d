// The comparison of free space with the reserve, with a little hysteresis; see disk_reserve.h. Owns nothing more.
// Called by the engine's housekeeping thread.
#include "engine/disk_reserve.h"

#include <algorithm>

namespace capstan::engine {

bool DiskReserve::check() {
  Result<DiskSpace> space = files.space(path);
  if (!space) return false;
  const uint64_t freeBytes = space.value().freeBytes;
  free.store(freeBytes, std::memory_order_relaxed);
  const uint64_t needed = std::max(reserveBytes, space.value().totalBytes / 100 * reservePercent);
  const bool before = isReached();
  const bool after = before ? freeBytes < needed + needed / 16 : freeBytes < needed;
  reached.store(after, std::memory_order_relaxed);
  return before != after;
}

}  // namespace capstan::engine
