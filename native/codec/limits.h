// Limits and defaults of requests, as the settings say them (src/config.ts). Owns the shapes only: TypeScript chooses
// and bounds the values, C++ asserts them. Carried by each listener worker; what limits the stored state travels on in
// the entries (entry.capnp StateLimits), so that no node's own setting can make two nodes differ.
#pragma once

#include <cstdint>

namespace capstan::codec {

inline constexpr uint32_t unlimitedAttempts = 0xffffffffu;
inline constexpr uint32_t waitsForever = 0xffffffffu;
inline constexpr uint32_t priorityMax = 15;

struct QueueDefaults {
  uint32_t maxAttempts = 10;
  uint64_t backoffBaseMs = 1000;
  uint32_t backoffFactorPercent = 200;
  uint64_t backoffMaxMs = 600'000;
  uint32_t backoffJitterPercent = 20;
  uint64_t deadKeepMs = 14ull * 24 * 3600 * 1000;
  uint32_t groupQuantum = 1;
};

struct StateLimits {
  uint32_t queuesMax = 100'000;
  uint32_t lanesMax = 2'000'000;
  uint32_t groupsMax = 1'000'000;
  uint32_t sessionsMax = 100'000;
  uint32_t leasedJobsMax = 1'000'000;
  uint32_t sessionResultsMax = 1024;
  uint32_t sessionResultBytesMax = 1 << 20;
  uint64_t idempotencyKeepMs = 24ull * 3600 * 1000;
};

struct Limits {
  uint32_t frameBytesMax = 32u << 20;
  uint32_t payloadBytesMax = 1u << 20;  // of one job
  uint32_t headersBytesMax = 8u << 10;  // names and values of one job
  uint32_t nameBytesMax = 200;          // queues, groups, content types, workers, keys
  uint32_t jobsPerCommandMax = 10'000;
  uint32_t commandBytesMax = 16u << 20;
  uint32_t queuesPerFetchMax = 64;
  uint32_t fetchJobsMax = 1024;
  uint32_t fetchBytesMax = 16u << 20;
  uint32_t fetchBytesDefault = 4u << 20;
  uint32_t waitMsMax = 600'000;
  uint64_t leaseMsMin = 100;
  uint64_t leaseMsMax = 24ull * 3600 * 1000;
  uint64_t leaseMsDefault = 30'000;
  uint64_t delayMsMax = 10ull * 365 * 24 * 3600 * 1000;
  uint32_t attemptsMax = 1000;
  uint64_t sessionKeepMsDefault = 600'000;
  uint64_t sessionKeepMsMin = 1000;
  uint64_t sessionKeepMsMax = 24ull * 3600 * 1000;
  uint32_t peekJobsMax = 1000;
  uint64_t deadKeepMsMin = 60'000;  // of a queue's setting
  QueueDefaults queueDefaults;
  StateLimits stateLimits;
};

}  // namespace capstan::codec
