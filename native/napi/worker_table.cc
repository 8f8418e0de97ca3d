// How workers come, are found, and go, in order or with their environment. Never touches a call or a reply; see
// worker_table.h for who calls it.
#include "napi/worker_table.h"

#include <algorithm>
#include <string>

#include "base/check.h"
#include "napi/engine_holder.h"
#include "napi/guard.h"

namespace capstan::napi {

OpenWorker::OpenWorker(Napi::Env env, const codec::Limits& limits, Napi::Function doorbell)
    : bell(Doorbell::callingJs(env, doorbell)) {
  EngineHolder& holder = EngineHolder::instance();
  engine::Engine* engine = valueOrThrow(holder.addWorker());
  try {
    worker = valueOrThrow(engine::Worker::open(*engine, limits, bell.ring()));
    packed = std::make_unique<engine::PackedConnections>(*worker);
  } catch (...) {
    holder.removeWorker();
    throw;
  }
}

OpenWorker::~OpenWorker() {
  // Before the worker goes, whose completions would ring it.
  bell.close();
  worker.reset();
  EngineHolder::instance().removeWorker();
}

void WorkerTable::attach(Napi::Env env) {
  // Node deletes instance data when the environment ends, after all hooks; by then the rows are gone.
  auto table = std::make_unique<WorkerTable>();
  const auto closeAll = [](void* table) { static_cast<WorkerTable*>(table)->rows.clear(); };
  if (napi_add_env_cleanup_hook(env, closeAll, table.get()) != napi_ok) throw Napi::Error::New(env);
  env.SetInstanceData(table.release());
}

WorkerTable& WorkerTable::of(Napi::Env env) {
  auto* table = env.GetInstanceData<WorkerTable>();
  CAPSTAN_ASSERT(table != nullptr);
  return *table;
}

uint32_t WorkerTable::open(Napi::Env env, const codec::Limits& limits, Napi::Function doorbell) {
  if (rows.size() == workersMax) {
    fail("workersMax", "this thread has " + std::to_string(workersMax) + " open workers already");
  }
  auto worker = std::make_unique<OpenWorker>(env, limits, doorbell);
  rows.push_back(Row{++lastNumber, std::move(worker)});
  return lastNumber;
}

void WorkerTable::close(uint32_t number) {
  (void)at(number);
  std::erase_if(rows, [number](const Row& row) { return row.number == number; });
}

OpenWorker& WorkerTable::at(uint32_t number) {
  const auto row = std::ranges::find(rows, number, &Row::number);
  if (row == rows.end()) fail("workerUnknown", "worker " + std::to_string(number) + " is not open in this thread");
  return *row->worker;
}

}  // namespace capstan::napi
