// The thread, the report that it leaves under a mutex, and the wake that takes it into JavaScript. See operation.h; the
// work itself is the caller's.
#include "napi/operation.h"

#include <exception>
#include <memory>
#include <mutex>
#include <optional>
#include <utility>

#include "base/threads.h"
#include "napi/doorbell.h"
#include "napi/guard.h"

namespace capstan::napi {

namespace {

struct Report {
  bool hasProgress = false;
  uint64_t done = 0;
  uint64_t total = 0;
  std::optional<Result<void>> result;
};

class Operation : public std::enable_shared_from_this<Operation> {
 public:
  Napi::Promise start(Napi::Env env, const std::string& threadName, Napi::Function progress, Work work);

 private:
  void run(const Work& work);
  void deliver(napi_env env, napi_value progress);

  std::mutex mutex;
  Report report;                     // guarded by mutex
  std::function<void()> ring;        // set before the thread starts
  std::optional<Doorbell> bell;      // of the JavaScript thread
  napi_deferred deferred = nullptr;  // of the JavaScript thread
};

Napi::Promise Operation::start(Napi::Env env, const std::string& threadName, Napi::Function progress, Work work) {
  bell.emplace(Doorbell::callingNative(
      env, progress, [self = shared_from_this()](napi_env env, napi_value callback) { self->deliver(env, callback); }));
  ring = bell->ring();
  napi_value promise = nullptr;
  if (napi_create_promise(env, &deferred, &promise) != napi_ok) throw Napi::Error::New(env);
  try {
    // Nobody joins it: the process may end at any moment, and must not wait for a long replay.
    startThread(threadName, [self = shared_from_this(), work = std::move(work)] { self->run(work); }).detach();
  } catch (...) {
    bell->close();
    throw;
  }
  return {env, promise};
}

void Operation::run(const Work& work) {
  const auto progress = [this](uint64_t done, uint64_t total) {
    {
      const std::lock_guard guard(mutex);
      report.hasProgress = true;
      report.done = done;
      report.total = total;
    }
    ring();
  };
  Result<void> result;
  try {
    result = work(progress);
  } catch (const std::exception& exception) {
    result = Error{schema::ErrorCode::INTERNAL, exception.what(), ""};
  }
  {
    const std::lock_guard guard(mutex);
    report.result.emplace(std::move(result));
  }
  ring();
}

void Operation::deliver(napi_env env, napi_value progress) {
  Report taken;
  {
    const std::lock_guard guard(mutex);
    std::swap(taken, report);
  }
  if (taken.hasProgress && progress != nullptr) {
    callFromWake(env, progress,
                 {Napi::Number::New(env, static_cast<double>(taken.done)),
                  Napi::Number::New(env, static_cast<double>(taken.total))});
  }
  if (!taken.result) return;
  bell->close();
  if (taken.result->ok()) {
    (void)napi_resolve_deferred(env, deferred, Napi::Env(env).Undefined());
  } else {
    (void)napi_reject_deferred(env, deferred, toJsError(env, taken.result->error()).Value());
  }
}

}  // namespace

Napi::Promise startOperation(Napi::Env env, const std::string& threadName, Napi::Function progress, Work work) {
  return std::make_shared<Operation>()->start(env, threadName, progress, std::move(work));
}

Napi::Promise rejectedOperation(Napi::Env env, const Error& error) {
  const auto deferred = Napi::Promise::Deferred::New(env);
  deferred.Reject(toJsError(env, error).Value());
  return deferred.Promise();
}

}  // namespace capstan::napi
