// The clocks and the random generator of one simulated machine behind the seam of base/clock.h. Owns three times: the
// true one, which only grows and which nobody but the checker sees; the boot clock, which begins anew with the machine;
// the wall clock, which jumps. One thread.
#pragma once

#include "base/clock.h"
#include "sim/random.h"

namespace capstan::sim {

class Clocks final : public Clock {
 public:
  explicit Clocks(uint64_t seed) : random(seed) {}

  uint64_t bootMs() override { return trueMs - bootedMs; }
  int64_t wallMs() override { return static_cast<int64_t>(trueMs) + wallOffsetMs; }
  void randomBytes(std::span<uint8_t> bytes) override {
    for (uint8_t& byte : bytes) byte = static_cast<uint8_t>(random.next());
  }

  uint64_t nowMs() const { return trueMs; }
  void pass(uint64_t ms) { trueMs += ms; }
  void reboot(uint64_t ms) {  // the machine was off
    trueMs += ms;
    bootedMs = trueMs;
  }
  void jump(int64_t ms) { wallOffsetMs += ms; }

 private:
  Random random;
  uint64_t trueMs = 10'000;
  uint64_t bootedMs = 0;
  int64_t wallOffsetMs = 1'700'000'000'000;
};

}  // namespace capstan::sim
