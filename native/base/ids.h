// The 16-byte identifiers of jobs, leases and clusters as value types. Owns no meaning of their bits (fsm/ids.h has the
// layout of a job id). Compared and hashed bytewise. Used everywhere.
#pragma once

#include <array>
#include <compare>
#include <cstdint>
#include <cstring>
#include <functional>
#include <span>
#include <string>

#include "base/bytes.h"

namespace capstan {

template <class Tag>
struct Id16 {
  std::array<uint8_t, 16> bytes{};

  static constexpr size_t size = 16;

  static Id16 fromBytes(std::span<const uint8_t, 16> from) {
    Id16 id;
    std::memcpy(id.bytes.data(), from.data(), 16);
    return id;
  }
  bool isZero() const { return *this == Id16{}; }
  std::string hex() const { return toHex(bytes); }
  std::span<const uint8_t, 16> span() const { return bytes; }
  uint64_t high() const { return getBig64(bytes.data()); }
  uint64_t low() const { return getBig64(bytes.data() + 8); }

  friend auto operator<=>(const Id16&, const Id16&) = default;
  friend bool operator==(const Id16&, const Id16&) = default;
};

using JobId = Id16<struct JobTag>;
using LeaseId = Id16<struct LeaseTag>;
using ClusterId = Id16<struct ClusterTag>;
using NodeId = uint64_t;

}  // namespace capstan

template <class Tag>
struct std::hash<capstan::Id16<Tag>> {
  size_t operator()(const capstan::Id16<Tag>& id) const noexcept {
    // Both halves carry randomness or a counter; one multiplication mixes them.
    const uint64_t mixed = (id.high() ^ (id.low() * 0x9e3779b97f4a7c15ull));
    return static_cast<size_t>((mixed ^ (mixed >> 32)) * 0xd6e8feb86659fd93ull);
  }
};
