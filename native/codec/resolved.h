// What a request's zeros mean and where the Queueber face clamps: the values that validation checks, entries carry and
// callers wait for are computed once, here. Owns nothing; every function is total. Used within codec/ only.
#pragma once

#include <algorithm>
#include <cstdint>

#include "capstan.capnp.h"
#include "codec/limits.h"
#include "codec/read_request.h"
#include "compat.capnp.h"

namespace capstan::codec {

inline constexpr uint32_t reasonBytesKept = 8u << 10;
inline constexpr uint32_t peekPayloadBytesDefault = 64u << 10;

struct ResolvedFetch {
  uint32_t jobsMax;
  uint32_t bytesMax;
  uint64_t leaseMs;
  uint32_t waitMs;
};

// seconds × 1000 without overflow.
inline uint64_t secondsToMs(uint64_t seconds, uint64_t msMax) {
  return seconds > msMax / 1000 ? msMax : seconds * 1000;
}

inline ResolvedFetch resolve(schema::FetchRequest::Reader body, const Limits& limits) {
  return {body.getJobsMax() == 0 ? 1 : body.getJobsMax(),
          body.getBytesMax() == 0 ? limits.fetchBytesDefault : body.getBytesMax(),
          body.getLeaseMs() == 0 ? limits.leaseMsDefault : body.getLeaseMs(),
          static_cast<uint32_t>(std::min<uint64_t>(body.getWaitMs(), limits.waitMsMax))};
}

inline uint64_t resolveLeaseSeconds(uint64_t seconds, const Limits& limits) {
  return std::clamp(secondsToMs(seconds, limits.leaseMsMax), limits.leaseMsMin, limits.leaseMsMax);
}

inline ResolvedFetch resolve(schema::compat::PollRequest::Reader body, const Limits& limits) {
  const uint64_t waitMs = secondsToMs(body.getTimeoutSecs(), waitsForever);
  return {std::clamp(body.getNumItems(), 1u, limits.fetchJobsMax), limits.fetchBytesDefault,
          resolveLeaseSeconds(body.getLeaseValiditySecs(), limits),
          waitMs == 0 ? waitsForever : static_cast<uint32_t>(waitMs)};
}

inline uint64_t resolveExtension(schema::ExtendRequest::Reader body, const Limits& limits) {
  return body.getLeaseMs() == 0 ? limits.leaseMsDefault : body.getLeaseMs();
}

inline uint64_t resolveKeepMs(schema::OpenSessionRequest::Reader body, const Limits& limits) {
  return body.getKeepMs() == 0 ? limits.sessionKeepMsDefault : body.getKeepMs();
}

inline uint32_t orDefault(uint32_t value, uint32_t fallback) { return value == 0 ? fallback : value; }

}  // namespace capstan::codec
