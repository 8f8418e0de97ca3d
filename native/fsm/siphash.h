// SipHash-2-4 with 128 bits of output (Aumasson and Bernstein, "SipHash: a fast short-input PRF", 2012): the keyed hash
// that makes lease ids and session numbers which nobody can guess from a neighbour's. Owns no state. Used within fsm/.
#pragma once

#include <array>
#include <cstdint>

#include "base/bytes.h"

namespace capstan::fsm {

std::array<uint8_t, 16> sipHash128(std::span<const uint8_t, 16> key, ByteSpan message);

}  // namespace capstan::fsm
