// Starts threads with names and with every signal blocked, so that signals reach Node's main thread. Owns nothing.
// Called by engine/.
#include "base/threads.h"

#include <pthread.h>
#include <signal.h>

#include <utility>

namespace capstan {

std::thread startThread(const std::string& name, std::function<void()> body) {
  CAPSTAN_ASSERT(name.size() <= 15, name);
  sigset_t all;
  sigset_t before;
  sigfillset(&all);
  CAPSTAN_OS_CHECK(::pthread_sigmask(SIG_SETMASK, &all, &before) == 0, name);
  std::thread thread([name, body = std::move(body)] {
    ::pthread_setname_np(::pthread_self(), name.c_str());
    body();
  });
  CAPSTAN_OS_CHECK(::pthread_sigmask(SIG_SETMASK, &before, nullptr) == 0, name);
  return thread;
}

}  // namespace capstan
