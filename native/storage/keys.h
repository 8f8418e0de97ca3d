// THE table of what is stored where: column families and the layout of every key, big-endian so that bytes sort like
// numbers. Owns no state. Used by fsm/ for every row it writes, and by storage/ to open the families.
//
//   family      key                                value, see fsm/rows.h          removed by
//   jobs        queue 4, priority 1, group 4, id 16   JobRecord                    SingleDelete
//   scheduled   clock 1, dueMs 8, id 16            JobRecord                       SingleDelete
//   places      id 16                              family 1, key                   Delete
//   lanes       queue 4, priority 1, group 4       count, cursor                   Delete
//   leases      lease 16                           worker, deadline, items         SingleDelete
//   lease_marks lease 16                           deadline, closed items          Delete
//   attempts    id 16                              attempts, last error            Delete
//   dead, done  queue 4, elapsedMs 8, id 16        wallMs, record                  SingleDelete
//   requests    tenant, 0, key                     digest, until, result           Delete
//   sessions    session 8, sequence 8              result; at 0 the session        Delete
//   timers      clock 1, dueMs 8, kind 1, reference  nothing                       Delete
//   queues      'q' number 4 | 'n' tenant 0 name   settings, counters | number     Delete
//   groups      queue 4, 'g' number 4              name, jobs that refer to it     Delete
//               queue 4, 't' priority 1            whose turn it is, credit
//   operations  number 8                           kind, queue, progress           Delete
//   default     name                               meta: see fsm/rows.h Meta       –
//   uniques, tenants, schedules, deps: opened, so that a later version finds them; nothing is stored there yet.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/bytes.h"
#include "base/ids.h"

namespace capstan::storage {

enum class Family : uint8_t {
  meta,
  jobs,
  scheduled,
  places,
  lanes,
  leases,
  leaseMarks,
  attempts,
  dead,
  done,
  uniques,
  requests,
  sessions,
  timers,
  queues,
  groups,
  tenants,
  schedules,
  deps,
  operations,
};
inline constexpr size_t familyCount = 20;
// In the order of Family; RocksDB demands one that is called "default".
inline constexpr std::array<const char*, familyCount> familyNames{
    "default", "jobs",     "scheduled", "places", "lanes",  "leases", "lease_marks", "attempts",  "dead", "done",
    "uniques", "requests", "sessions",  "timers", "queues", "groups", "tenants",     "schedules", "deps", "operations"};

enum class ClockKind : uint8_t { elapsed = 0, wall = 1 };
enum class TimerKind : uint8_t { session = 1, idempotency = 2, dead = 3 };

struct LaneKey {
  uint32_t queue = 0;
  uint8_t priority = 0;
  uint32_t group = 0;
  friend auto operator<=>(const LaneKey&, const LaneKey&) = default;
};

inline constexpr size_t laneKeyBytes = 9;
inline constexpr size_t jobKeyBytes = 25;

inline void append32(std::string& key, uint32_t value) {
  uint8_t bytes[4];
  putBig32(bytes, value);
  key.append(reinterpret_cast<const char*>(bytes), 4);
}
inline void append64(std::string& key, uint64_t value) {
  uint8_t bytes[8];
  putBig64(bytes, value);
  key.append(reinterpret_cast<const char*>(bytes), 8);
}
template <class Tag>
void appendId(std::string& key, const Id16<Tag>& id) {
  key.append(reinterpret_cast<const char*>(id.bytes.data()), 16);
}
template <class Id>
Id idAt(std::string_view bytes, size_t offset) {
  return Id::fromBytes(std::span<const uint8_t, 16>(reinterpret_cast<const uint8_t*>(bytes.data()) + offset, 16));
}
inline uint32_t number32(std::string_view bytes, size_t offset) {
  return getBig32(reinterpret_cast<const uint8_t*>(bytes.data()) + offset);
}
inline uint64_t number64(std::string_view bytes, size_t offset) {
  return getBig64(reinterpret_cast<const uint8_t*>(bytes.data()) + offset);
}

inline std::string laneKey(const LaneKey& lane) {
  std::string key;
  key.reserve(jobKeyBytes);
  append32(key, lane.queue);
  key.push_back(static_cast<char>(lane.priority));
  append32(key, lane.group);
  return key;
}
inline LaneKey laneOf(std::string_view key) {
  return {number32(key, 0), static_cast<uint8_t>(key[4]), number32(key, 5)};
}
inline std::string jobKey(const LaneKey& lane, const JobId& id) {
  std::string key = laneKey(lane);
  appendId(key, id);
  return key;
}
inline std::string scheduledKey(ClockKind clock, uint64_t dueMs, const JobId& id) {
  std::string key(1, static_cast<char>(clock));
  append64(key, dueMs);
  appendId(key, id);
  return key;
}
template <class Tag>
std::string idKey(const Id16<Tag>& id) {
  return std::string(reinterpret_cast<const char*>(id.bytes.data()), 16);
}
inline std::string deadKey(uint32_t queue, uint64_t elapsedMs, const JobId& id) {
  std::string key;
  append32(key, queue);
  append64(key, elapsedMs);
  appendId(key, id);
  return key;
}
inline std::string timerKey(ClockKind clock, uint64_t dueMs, TimerKind kind, std::string_view reference) {
  std::string key(1, static_cast<char>(clock));
  append64(key, dueMs);
  key.push_back(static_cast<char>(kind));
  key.append(reference);
  return key;
}
inline std::string sessionKey(uint64_t session, uint64_t sequence) {
  std::string key;
  append64(key, session);
  append64(key, sequence);
  return key;
}
inline std::string queueKey(uint32_t number) {
  std::string key = "q";
  append32(key, number);
  return key;
}
inline std::string groupKey(uint32_t queue, uint32_t group) {
  std::string key;
  append32(key, queue);
  key.push_back('g');
  append32(key, group);
  return key;
}
inline std::string turnKey(uint32_t queue, uint8_t priority) {
  std::string key;
  append32(key, queue);
  key.push_back('t');
  key.push_back(static_cast<char>(priority));
  return key;
}
inline std::string requestKey(std::string_view tenant, std::string_view key) {
  return std::string(tenant) + '\0' + std::string(key);
}
inline std::string operationKey(uint64_t number) {
  std::string key;
  append64(key, number);
  return key;
}

}  // namespace capstan::storage
