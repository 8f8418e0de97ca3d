// What happens when RocksDB waits in the simulator's thread: its background jobs are run until it need not wait any
// more. Owns the C library's waiting functions in this program, which the linker prefers to the library's own. Other
// threads (RocksDB keeps one for its timers) wait as ever. A wait with no job left would never end: that is a bug.
#include <dlfcn.h>
#include <pthread.h>
#include <time.h>

#include <cerrno>
#include <utility>

#include "base/check.h"
#include "sim/disk_env.h"

namespace {

using Wait = int (*)(pthread_cond_t*, pthread_mutex_t*);
using TimedWait = int (*)(pthread_cond_t*, pthread_mutex_t*, const timespec*);

thread_local capstan::sim::DiskEnv* waitingJobs = nullptr;

// The default version and no older one, whose condition variables are others.
template <class Function>
Function real(const char* name) {
  void* found = nullptr;
  for (const char* version : {"GLIBC_2.3.2", "GLIBC_2.17"}) {
    if (found == nullptr) found = ::dlvsym(RTLD_NEXT, name, version);
  }
  if (found == nullptr) found = ::dlsym(RTLD_NEXT, name);
  return reinterpret_cast<Function>(found);
}

bool runJob(pthread_mutex_t* mutex) {
  ::pthread_mutex_unlock(mutex);
  const bool ran = waitingJobs->runOneJob();
  ::pthread_mutex_lock(mutex);
  return ran;
}

}  // namespace

namespace capstan::sim {

DiskEnv* setWaitingJobs(DiskEnv* env) { return std::exchange(waitingJobs, env); }

}  // namespace capstan::sim

extern "C" int pthread_cond_wait(pthread_cond_t* condition, pthread_mutex_t* mutex) {
  if (waitingJobs != nullptr) {
    const bool ran = runJob(mutex);
    CAPSTAN_ASSERT(ran, "a wait that nothing ends");
    return 0;
  }
  static const Wait wait = real<Wait>("pthread_cond_wait");
  return wait(condition, mutex);
}

extern "C" int pthread_cond_timedwait(pthread_cond_t* condition, pthread_mutex_t* mutex, const timespec* until) {
  if (waitingJobs != nullptr) return runJob(mutex) ? 0 : ETIMEDOUT;
  static const TimedWait wait = real<TimedWait>("pthread_cond_timedwait");
  return wait(condition, mutex, until);
}
