// A wall clock that a test sets while the process runs (LD_PRELOAD): the real one plus an offset, which is read at
// every call from a file of eight bytes (SHIFTED_CLOCK_FILE: signed nanoseconds, little-endian). The boot-time and the
// monotonic clock are left alone, as a wall clock that is set leaves them; with SHIFTED_CLOCK_BOOT the boot-time clock
// moves too, for a test that must see the difference. Compiled by test/support/preload.ts.
//
// The kernel knows nothing of the offset, so a wait until an instant of the wall clock is done in short turns by
// comparing with the clock that the process sees: as after a real jump, forward it ends at once, and back it goes on.
#include <dlfcn.h>
#include <fcntl.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <cstdlib>

namespace {

constexpr int64_t second = 1'000'000'000;
constexpr int64_t turn = 20'000'000;
// No machine runs for so long, and no wall clock that a test sets shows less.
constexpr int64_t bootMax = 500'000'000 * second;

const std::atomic<int64_t>* mapped() {
  const char* const path = getenv("SHIFTED_CLOCK_FILE");
  if (path == nullptr) return nullptr;
  const int descriptor = open(path, O_RDONLY | O_CLOEXEC);
  void* const place = descriptor < 0 ? MAP_FAILED : mmap(nullptr, 8, PROT_READ, MAP_SHARED, descriptor, 0);
  if (place == MAP_FAILED) {
    fprintf(stderr, "shifted clock: cannot map %s\n", path);
    abort();
  }
  close(descriptor);
  return static_cast<const std::atomic<int64_t>*>(place);
}

int64_t offset() {
  static const std::atomic<int64_t>* const place = mapped();
  return place == nullptr ? 0 : place->load(std::memory_order_relaxed);
}

int realTime(clockid_t clock, timespec* into) {
  static const auto function = reinterpret_cast<int (*)(clockid_t, timespec*)>(dlsym(RTLD_NEXT, "clock_gettime"));
  return function(clock, into);
}

int64_t nanoseconds(const timespec& time) { return time.tv_sec * second + time.tv_nsec; }
timespec timeOf(int64_t value) { return {value / second, value % second}; }

int64_t wall() {
  timespec now;
  realTime(CLOCK_REALTIME, &now);
  return nanoseconds(now) + offset();
}

}  // namespace

extern "C" {

int clock_gettime(clockid_t clock, timespec* into) noexcept {
  const int status = realTime(clock, into);
  static const bool movesBoot = getenv("SHIFTED_CLOCK_BOOT") != nullptr;
  const bool isWall = clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE;
  if (status == 0 && (isWall || (movesBoot && clock == CLOCK_BOOTTIME))) {
    *into = timeOf(nanoseconds(*into) + offset());
  }
  return status;
}

int gettimeofday(timeval* into, void*) noexcept {
  const int64_t now = wall();
  *into = {now / second, now % second / 1000};
  return 0;
}

time_t time(time_t* into) noexcept {
  const time_t now = wall() / second;
  if (into != nullptr) *into = now;
  return now;
}

int pthread_cond_timedwait(pthread_cond_t* condition, pthread_mutex_t* mutex, const timespec* until) {
  using Function = int (*)(pthread_cond_t*, pthread_mutex_t*, const timespec*);
  static const auto function = reinterpret_cast<Function>(dlsym(RTLD_NEXT, "pthread_cond_timedwait"));
  const int64_t instant = nanoseconds(*until);
  if (instant < bootMax) return function(condition, mutex, until);
  const int64_t left = instant - wall();
  if (left <= 0) return ETIMEDOUT;
  timespec now;
  realTime(CLOCK_REALTIME, &now);
  const timespec end = timeOf(nanoseconds(now) + std::min(left, turn));
  const int status = function(condition, mutex, &end);
  // Awake for nothing is allowed; too early for its caller is not.
  return status == ETIMEDOUT && wall() < instant ? 0 : status;
}

}  // extern "C"
