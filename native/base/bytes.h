// Fixed-width integers in byte strings, and hex. Owns no buffer. Big-endian for keys, which sort; little-endian for
// files and headers. Used everywhere.
#pragma once

#include <bit>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <string_view>

namespace capstan {

using ByteSpan = std::span<const uint8_t>;

static_assert(std::endian::native == std::endian::little, "the file formats are written on little-endian machines");

inline void putBig16(uint8_t* to, uint16_t value) {
  value = __builtin_bswap16(value);
  std::memcpy(to, &value, 2);
}
inline void putBig32(uint8_t* to, uint32_t value) {
  value = __builtin_bswap32(value);
  std::memcpy(to, &value, 4);
}
inline void putBig64(uint8_t* to, uint64_t value) {
  value = __builtin_bswap64(value);
  std::memcpy(to, &value, 8);
}
inline uint16_t getBig16(const uint8_t* from) {
  uint16_t value;
  std::memcpy(&value, from, 2);
  return __builtin_bswap16(value);
}
inline uint32_t getBig32(const uint8_t* from) {
  uint32_t value;
  std::memcpy(&value, from, 4);
  return __builtin_bswap32(value);
}
inline uint64_t getBig64(const uint8_t* from) {
  uint64_t value;
  std::memcpy(&value, from, 8);
  return __builtin_bswap64(value);
}

template <class Integer>
inline void putLittle(uint8_t* to, Integer value) {
  std::memcpy(to, &value, sizeof(value));
}
template <class Integer>
inline Integer getLittle(const uint8_t* from) {
  Integer value;
  std::memcpy(&value, from, sizeof(value));
  return value;
}

inline ByteSpan asBytes(std::string_view text) { return {reinterpret_cast<const uint8_t*>(text.data()), text.size()}; }
inline std::string_view asText(ByteSpan bytes) { return {reinterpret_cast<const char*>(bytes.data()), bytes.size()}; }

inline std::string toHex(ByteSpan bytes) {
  static constexpr char digits[] = "0123456789abcdef";
  std::string text;
  text.reserve(bytes.size() * 2);
  for (const uint8_t byte : bytes) {
    text.push_back(digits[byte >> 4]);
    text.push_back(digits[byte & 15]);
  }
  return text;
}

}  // namespace capstan
