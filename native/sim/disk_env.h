// RocksDB's file system, environment and clock over the simulated machine. Owns the queue of RocksDB's background jobs:
// flushes and compactions never run on their own time, but when `runOneJob` is called by the scheduler, or when RocksDB
// waits for one (waits.cc). Nothing in here is random. One thread.
#pragma once

#include <rocksdb/env.h>

#include <cstdint>
#include <memory>

#include "sim/disk.h"

namespace capstan::sim {

class DiskEnv {
 public:
  // `micros` is RocksDB's clock; sleeping moves it on.
  DiskEnv(Disk& disk, uint64_t& micros);
  ~DiskEnv();
  DiskEnv(const DiskEnv&) = delete;
  DiskEnv& operator=(const DiskEnv&) = delete;

  rocksdb::Env* env();
  size_t jobs() const;
  bool runOneJob();  // false: there is none

 private:
  class Environment;
  std::unique_ptr<Environment> environment;
};

// The environment whose jobs are run when the simulator's thread waits within RocksDB; null: none.
DiskEnv* setWaitingJobs(DiskEnv* env);  // gives the one before

}  // namespace capstan::sim
