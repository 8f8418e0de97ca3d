// The system's clocks and random generator behind the seam of
// clock.h. Owns one stateless instance. Called by engine/.
#include "base/clock.h"

#include <sys/random.h>
#include <time.h>

#include <cerrno>

#include "base/check.h"

namespace capstan {
namespace {

class SystemClock final : public Clock {
 public:
  uint64_t bootMs() override { return static_cast<uint64_t>(read(CLOCK_BOOTTIME)); }
  int64_t wallMs() override { return read(CLOCK_REALTIME); }

  void randomBytes(std::span<uint8_t> bytes) override {
    size_t filled = 0;
    while (filled < bytes.size()) {
      const ssize_t got = ::getrandom(bytes.data() + filled, bytes.size() - filled, 0);
      if (got < 0 && errno == EINTR) continue;
      CAPSTAN_OS_CHECK(got > 0, errno);
      filled += static_cast<size_t>(got);
    }
  }

 private:
  static int64_t read(clockid_t clock) {
    timespec now;
    CAPSTAN_OS_CHECK(::clock_gettime(clock, &now) == 0, clock, errno);
    return now.tv_sec * 1000 + now.tv_nsec / 1'000'000;
  }
};

}  // namespace

Clock& systemClock() {
  static SystemClock clock;
  return clock;
}

}  // namespace capstan
