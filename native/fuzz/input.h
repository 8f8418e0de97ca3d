// Takes an input apart from its front: small numbers that steer a target, and pieces of bytes. Owns nothing. What is
// asked for beyond the end is zero or shorter, so that every input means something. Used within fuzz/ only.
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

#include "base/bytes.h"

namespace capstan::fuzz {

class Input {
 public:
  explicit Input(ByteSpan bytes) : rest(bytes) {}

  bool empty() const { return rest.empty(); }
  uint8_t byte() { return number<uint8_t>(); }
  template <class Integer>
  Integer number() {
    Integer value = 0;
    const ByteSpan raw = take(sizeof(Integer));
    if (!raw.empty()) std::memcpy(&value, raw.data(), raw.size());
    return value;
  }
  ByteSpan take(size_t count) {
    const ByteSpan taken = rest.first(std::min(count, rest.size()));
    rest = rest.subspan(taken.size());
    return taken;
  }
  // A piece with its length, little-endian, in front.
  ByteSpan piece() { return take(number<uint16_t>()); }
  ByteSpan all() { return take(rest.size()); }

 private:
  ByteSpan rest;
};

// The other way round, for seeds.
class Output {
 public:
  template <class Integer>
  Output& number(Integer value) {
    const auto* raw = reinterpret_cast<const uint8_t*>(&value);
    bytes.insert(bytes.end(), raw, raw + sizeof(Integer));
    return *this;
  }
  Output& byte(uint8_t value) { return number(value); }
  Output& raw(ByteSpan more) {
    bytes.insert(bytes.end(), more.begin(), more.end());
    return *this;
  }
  Output& piece(ByteSpan more) { return number(static_cast<uint16_t>(more.size())).raw(more); }

  std::vector<uint8_t> bytes;
};

}  // namespace capstan::fuzz
