// The listener workers of one environment (a thread's instance of the addon), by the number that `workerOpen` gave.
// Owns each worker's part of the engine, its doorbell, and which of its connections are open; never a call. Called by
// the exported functions.
//
// A thread that ends without `workerClose` (its script failed, or it was terminated) closes its workers by the
// environment's cleanup hook: doorbell first, then the worker, which lets its connections and parked fetches go.
//
// Threading: the environment's JavaScript thread only.
#pragma once

#include <napi.h>

#include <cstdint>
#include <memory>
#include <vector>

#include "engine/packed.h"
#include "engine/worker.h"
#include "napi/doorbell.h"

namespace capstan::napi {

class OpenWorker {
 public:
  // Throws Failure: the engine is not open, or refuses.
  OpenWorker(Napi::Env env, const codec::Limits& limits, Napi::Function doorbell);
  ~OpenWorker();
  OpenWorker(const OpenWorker&) = delete;
  OpenWorker& operator=(const OpenWorker&) = delete;

  engine::Worker* operator->() { return worker.get(); }
  engine::PackedConnections& packedConnections() { return *packed; }

 private:
  Doorbell bell;
  std::unique_ptr<engine::Worker> worker;
  std::unique_ptr<engine::PackedConnections> packed;
};

class WorkerTable {
 public:
  // Makes the table of this environment; once, as the addon is loaded.
  static void attach(Napi::Env env);
  static WorkerTable& of(Napi::Env env);

  uint32_t open(Napi::Env env, const codec::Limits& limits, Napi::Function doorbell);
  void close(uint32_t number);
  // Throws Failure `workerUnknown`: the number is of another thread, or closed.
  OpenWorker& at(uint32_t number);

 private:
  struct Row {
    uint32_t number;
    std::unique_ptr<OpenWorker> worker;
  };
  static constexpr size_t workersMax = 64;

  uint32_t lastNumber = 0;
  std::vector<Row> rows;  // one, as a rule
};

}  // namespace capstan::napi
