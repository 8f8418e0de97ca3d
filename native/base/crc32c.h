// CRC-32C (Castagnoli), the checksum of the log's records and headers. Owns no state. Hardware instructions where the
// processor has SSE 4.2, a table elsewhere; both give the same value, which a test holds.
#pragma once

#include <cstdint>

#include "base/bytes.h"

namespace capstan {

// Continues from `crc` (0 to begin): crc32c(crc32c(0, a), b) == crc32c(0, ab).
uint32_t crc32c(uint32_t crc, ByteSpan bytes);

// The portable version, for the test.
uint32_t crc32cPortable(uint32_t crc, ByteSpan bytes);

}  // namespace capstan
