// The seam for time and randomness: production uses the system's, the simulator its own. Owns nothing. Only the raft
// thread's driver of the engine reads it for what enters entries; the state machine never does.
#pragma once

#include <cstdint>
#include <span>

namespace capstan {

class Clock {
 public:
  virtual ~Clock() = default;
  // Milliseconds since boot, time asleep included (CLOCK_BOOTTIME). Never goes back.
  virtual uint64_t bootMs() = 0;
  // Milliseconds since the Unix epoch; may jump.
  virtual int64_t wallMs() = 0;
  // Fills `bytes` from the kernel's generator; ends the process when that fails.
  virtual void randomBytes(std::span<uint8_t> bytes) = 0;
};

// Lives for the process.
Clock& systemClock();

}  // namespace capstan
