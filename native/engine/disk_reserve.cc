// The comparison of free space with the reserve, with a little hysteresis; see disk_reserve.h. Owns nothing more.
// Called by the engine and its housekeeping thread.
#include "engine/disk_reserve.h"

#include <algorithm>

namespace capstan::engine {

Result<void> checkRoomToStart(FileSystem& files, const std::string& path) {
  Result<DiskSpace> space = files.space(path);
  if (!space || space.value().freeBytes >= startFreeBytesMin) return {};
  return Error{schema::ErrorCode::DISK_FULL,
               path + " lies on a disk with " + std::to_string(space.value().freeBytes) +
                   " bytes free; starting needs " + std::to_string(startFreeBytesMin),
               "diskFull", 0};
}

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
