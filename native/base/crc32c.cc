// CRC-32C by the processor's instruction, eight bytes at a
// time, or by a table. Owns the table. Called by log/.
#include "base/crc32c.h"

#include <array>

#if defined(__x86_64__)
#include <nmmintrin.h>
#endif

namespace capstan {
namespace {

constexpr std::array<uint32_t, 256> makeTable() {
  std::array<uint32_t, 256> table{};
  for (uint32_t index = 0; index < 256; ++index) {
    uint32_t value = index;
    for (int bit = 0; bit < 8; ++bit) value = (value >> 1) ^ ((value & 1) != 0 ? 0x82f63b78u : 0u);
    table[index] = value;
  }
  return table;
}

constexpr std::array<uint32_t, 256> table = makeTable();

#if defined(__x86_64__)
__attribute__((target("sse4.2"))) uint32_t crc32cHardware(uint32_t crc, ByteSpan bytes) {
  uint64_t value = ~crc;
  size_t at = 0;
  for (; at + 8 <= bytes.size(); at += 8) value = _mm_crc32_u64(value, getLittle<uint64_t>(bytes.data() + at));
  for (; at < bytes.size(); ++at) value = _mm_crc32_u8(static_cast<uint32_t>(value), bytes[at]);
  return ~static_cast<uint32_t>(value);
}
#endif

}  // namespace

uint32_t crc32cPortable(uint32_t crc, ByteSpan bytes) {
  uint32_t value = ~crc;
  for (const uint8_t byte : bytes) value = (value >> 8) ^ table[(value ^ byte) & 0xff];
  return ~value;
}

uint32_t crc32c(uint32_t crc, ByteSpan bytes) {
#if defined(__x86_64__)
  static const bool hardware = __builtin_cpu_supports("sse4.2") != 0;
  if (hardware) return crc32cHardware(crc, bytes);
#endif
  return crc32cPortable(crc, bytes);
}

}  // namespace capstan
