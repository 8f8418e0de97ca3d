// A mutex for many readers and one writer that lets the writer in before readers that come later. std::shared_mutex
// lets readers pass a waiting writer for as long as their reads overlap. Owns nothing else. Meets what std::unique_lock
// and std::shared_lock need; whoever holds it shared must not lock it again.
#pragma once

#include <pthread.h>

#include "base/check.h"

namespace capstan {

class WriterFirstMutex {
 public:
  WriterFirstMutex() {
    pthread_rwlockattr_t attributes;
    check(pthread_rwlockattr_init(&attributes));
    check(pthread_rwlockattr_setkind_np(&attributes, PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP));
    check(pthread_rwlock_init(&mutex, &attributes));
    check(pthread_rwlockattr_destroy(&attributes));
  }
  ~WriterFirstMutex() { check(pthread_rwlock_destroy(&mutex)); }
  WriterFirstMutex(const WriterFirstMutex&) = delete;
  WriterFirstMutex& operator=(const WriterFirstMutex&) = delete;

  void lock() { check(pthread_rwlock_wrlock(&mutex)); }
  void unlock() { check(pthread_rwlock_unlock(&mutex)); }
  void lock_shared() { check(pthread_rwlock_rdlock(&mutex)); }
  void unlock_shared() { check(pthread_rwlock_unlock(&mutex)); }

 private:
  static void check(int status) { CAPSTAN_ASSERT(status == 0, status); }
  pthread_rwlock_t mutex;
};

}  // namespace capstan
