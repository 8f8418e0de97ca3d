// How a ring travels from another thread into JavaScript, and how that ends safely. The thread-safe function holds a
// reference to the bell, which its finalizer gives up; it never outlives what it points to. See doorbell.h.
#include "napi/doorbell.h"

#include <utility>

#include "base/check.h"

namespace capstan::napi {

Doorbell Doorbell::callingJs(Napi::Env env, Napi::Function callback) {
  return Doorbell(
      env, callback, [](napi_env env, napi_value callback) { callFromWake(env, callback, {}); }, false);
}

Doorbell Doorbell::callingNative(Napi::Env env, Napi::Function callback, Handler handler) {
  return Doorbell(env, callback, std::move(handler), true);
}

Doorbell::Doorbell(Napi::Env env, Napi::Function callback, Handler handler, bool keepsAlive)
    : bell(std::make_shared<Bell>()) {
  bell->handler = std::move(handler);
  const Napi::String name = Napi::String::New(env, "capstan doorbell");
  auto held = std::make_unique<std::shared_ptr<Bell>>(bell);
  const auto finalize = [](napi_env, void*, void* context) {
    const std::unique_ptr<std::shared_ptr<Bell>> held(static_cast<std::shared_ptr<Bell>*>(context));
    (*held)->end();
  };
  napi_threadsafe_function function = nullptr;
  napi_status status = napi_create_threadsafe_function(env, callback, nullptr, name, 0, 1, nullptr, finalize,
                                                       held.get(), wake, &function);
  if (status != napi_ok) throw Napi::Error::New(env);
  (void)held.release();  // the finalizer's from here on
  if (!keepsAlive) {
    status = napi_unref_threadsafe_function(env, function);
    CAPSTAN_ASSERT(status == napi_ok, status);
  }
  const std::lock_guard guard(bell->mutex);
  bell->function = function;
  bell->open = true;
}

std::function<void()> Doorbell::ring() const {
  return [bell = bell] { bell->ring(); };
}

void Doorbell::close() {
  if (bell == nullptr) return;
  const std::lock_guard guard(bell->mutex);
  if (!bell->open) return;
  bell->open = false;
  // Fails only where Node has begun to end the function by itself.
  (void)napi_release_threadsafe_function(bell->function, napi_tsfn_abort);
}

void Doorbell::Bell::ring() {
  const std::lock_guard guard(mutex);
  if (!open || rung) return;
  rung = napi_call_threadsafe_function(function, this, napi_tsfn_nonblocking) == napi_ok;
}

// Node frees the function as soon as this returns.
void Doorbell::Bell::end() {
  {
    const std::lock_guard guard(mutex);
    open = false;
  }
  // The handler may hold who holds the doorbell.
  handler = nullptr;
}

void Doorbell::wake(napi_env env, napi_value callback, void*, void* data) {
  // Without an environment Node only empties the queue: the bell may be gone.
  if (env == nullptr) return;
  auto* bell = static_cast<Bell*>(data);
  {
    const std::lock_guard guard(bell->mutex);
    // A ring from here on is a new one: what it tells of may come after this wake has looked.
    bell->rung = false;
    if (!bell->open) return;
  }
  try {
    bell->handler(env, callback);
  } catch (const Napi::Error& error) {
    // Node-API refused: our own bug, or an environment that is about to end, in which case this does nothing.
    (void)napi_fatal_exception(env, error.Value());
  }
}

void callFromWake(napi_env env, napi_value function, std::initializer_list<napi_value> arguments) {
  napi_value receiver = nullptr;
  if (napi_get_undefined(env, &receiver) != napi_ok) return;
  const napi_status status = napi_call_function(env, receiver, function, arguments.size(), arguments.begin(), nullptr);
  if (status != napi_pending_exception) return;
  // Node would merely warn of it. An environment that is about to end has no exception to show.
  bool isPending = false;
  napi_value error = nullptr;
  if (napi_is_exception_pending(env, &isPending) != napi_ok || !isPending) return;
  if (napi_get_and_clear_last_exception(env, &error) == napi_ok) (void)napi_fatal_exception(env, error);
}

}  // namespace capstan::napi
