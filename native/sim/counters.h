// What a run, or many, has met: named numbers that are added up, printed, and must not be zero over many runs. Owns the
// list of names. Used by the world and by sim_main.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

namespace capstan::sim {

enum class Count : uint8_t {
  steps,
  crashes,
  powerCuts,
  kills,
  crashesInOpening,
  gracefulStops,
  failedWrites,
  failedSyncs,
  fullWrites,
  refusedFull,
  reserveReached,
  wallJumps,
  tornFiles,
  tornTails,
  lostNames,
  entries,
  replays,
  logCuts,
  checkpoints,
  flushJobs,
  refills,
  fills,
  expiries,
  requests,
  answers,
  unknown,
  repeated,
  parked,
  woken,
  diskFullAnswers,
  enqueued,
  granted,
  acked,
  leaseLost,
  exchanges,
  unsent,
  foundings,
  count
};

inline constexpr size_t countNames = static_cast<size_t>(Count::count);
inline constexpr std::array<const char*, countNames> countName{
    "steps",          "crashes",      "powerCuts",   "kills",       "crashesInOpening",
    "gracefulStops",  "failedWrites", "failedSyncs", "fullWrites",  "refusedFull",
    "reserveReached", "wallJumps",    "tornFiles",   "tornTails",   "lostNames",
    "entries",        "replays",      "logCuts",     "checkpoints", "flushJobs",
    "refills",        "fills",        "expiries",    "requests",    "answers",
    "unknown",        "repeated",     "parked",      "woken",       "diskFullAnswers",
    "enqueued",       "granted",      "acked",       "leaseLost",   "exchanges",
    "unsent",         "foundings"};

struct Counters {
  std::array<uint64_t, countNames> values{};
  uint64_t& operator[](Count name) { return values[static_cast<size_t>(name)]; }
  void add(const Counters& other) {
    for (size_t at = 0; at < countNames; ++at) values[at] += other.values[at];
  }
};

}  // namespace capstan::sim
