// SipHash-2-4-128 as its authors' reference defines it. Owns no state; a test holds it to the published vectors. Called
// for each grant and each new session.
#include "fsm/siphash.h"

#include <bit>

namespace capstan::fsm {
namespace {

struct Rounds {
  uint64_t v0, v1, v2, v3;
  void round() {
    v0 += v1;
    v1 = std::rotl(v1, 13) ^ v0;
    v0 = std::rotl(v0, 32);
    v2 += v3;
    v3 = std::rotl(v3, 16) ^ v2;
    v0 += v3;
    v3 = std::rotl(v3, 21) ^ v0;
    v2 += v1;
    v1 = std::rotl(v1, 17) ^ v2;
    v2 = std::rotl(v2, 32);
  }
  void absorb(uint64_t word) {
    v3 ^= word;
    round();
    round();
    v0 ^= word;
  }
  uint64_t finish() {
    for (int turn = 0; turn < 4; ++turn) round();
    return v0 ^ v1 ^ v2 ^ v3;
  }
};

}  // namespace

std::array<uint8_t, 16> sipHash128(std::span<const uint8_t, 16> key, ByteSpan message) {
  const auto k0 = getLittle<uint64_t>(key.data());
  const auto k1 = getLittle<uint64_t>(key.data() + 8);
  Rounds rounds{0x736f6d6570736575ull ^ k0, 0x646f72616e646f6dull ^ k1 ^ 0xee, 0x6c7967656e657261ull ^ k0,
                0x7465646279746573ull ^ k1};
  size_t at = 0;
  for (; at + 8 <= message.size(); at += 8) rounds.absorb(getLittle<uint64_t>(message.data() + at));
  uint64_t last = uint64_t{message.size() & 0xff} << 56;
  for (size_t left = 0; at + left < message.size(); ++left) last |= uint64_t{message[at + left]} << (8 * left);
  rounds.absorb(last);
  std::array<uint8_t, 16> hash;
  rounds.v2 ^= 0xee;
  putLittle<uint64_t>(hash.data(), rounds.finish());
  rounds.v1 ^= 0xdd;
  putLittle<uint64_t>(hash.data() + 8, rounds.finish());
  return hash;
}

}  // namespace capstan::fsm
