// The layout of a job id: a UUID of version 7 whose free bits say where the job was put first. Owns no state. Used
// within fsm/ and by its tests.
//
//   48 ms | 4 version 7 | 12 counter (high) | 2 variant | 8 counter (low) | 6 shard | 20 queue | 4 priority | 24 group
//
// Ids grow strictly in commit order within a shard: the counter continues while the wall clock stands or goes back, and
// borrows the next millisecond when it overflows.
#pragma once

#include <cstdint>

#include "base/ids.h"
#include "storage/keys.h"

namespace capstan::fsm {

inline constexpr uint32_t idCounterMax = (1u << 20) - 1;
inline constexpr uint32_t queueNumberMax = (1u << 20) - 1;
inline constexpr uint32_t groupNumberMax = (1u << 24) - 1;

inline JobId makeJobId(uint64_t ms, uint32_t counter, uint32_t shard, const storage::LaneKey& lane) {
  JobId id;
  const uint64_t high = (ms << 16) | 0x7000u | (counter >> 8);
  const uint64_t low = (uint64_t{2} << 62) | (uint64_t{counter & 0xff} << 54) | (uint64_t{shard & 0x3f} << 48) |
                       (uint64_t{lane.queue & queueNumberMax} << 28) | (uint64_t{lane.priority & 15u} << 24) |
                       (lane.group & groupNumberMax);
  putBig64(id.bytes.data(), high);
  putBig64(id.bytes.data() + 8, low);
  return id;
}

// The lane that a job was put into first.
inline storage::LaneKey homeOf(const JobId& id) {
  const uint64_t low = id.low();
  return {static_cast<uint32_t>((low >> 28) & queueNumberMax), static_cast<uint8_t>((low >> 24) & 15),
          static_cast<uint32_t>(low & groupNumberMax)};
}
inline uint64_t idMsOf(const JobId& id) { return id.high() >> 16; }

// The smallest id behind `id`.
inline JobId after(const JobId& id) {
  JobId next = id;
  for (size_t at = 16; at-- > 0;) {
    if (++next.bytes[at] != 0) break;
  }
  return next;
}

}  // namespace capstan::fsm
