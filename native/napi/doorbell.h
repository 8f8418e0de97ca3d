// The way another thread wakes an event loop. Owns one thread-safe function of Node-API and its end. It carries
// nothing: what there is to say waits elsewhere (a worker's completion queue, an operation's result).
//
//   any thread ─── ring ───▶ ╭ Bell: mutex, open, rung ╮ ──▶ thread-safe function ──▶ handler, in the JavaScript thread
//   close, end of Node's ──▶ ╰ open = false            ╯
//   environment
//
// The Bell is shared: whoever holds a ring may keep it for ever. Node frees the thread-safe function when the
// environment ends, whoever still uses it: so every use is under the mutex, and none comes after `open` is false.
// `rung` lets at most one wake be under way, so that the function's queue never grows.
//
// Threading: `ring` from any thread, it never waits for JavaScript; everything else in the JavaScript thread.
#pragma once

#include <napi.h>

#include <functional>
#include <memory>
#include <mutex>

namespace capstan::napi {

class Doorbell {
 public:
  // `callback` is the JavaScript function that the doorbell was made with; null if it has none.
  using Handler = std::function<void(napi_env env, napi_value callback)>;

  // A ring calls `callback`, without arguments. Keeps no event loop alive.
  static Doorbell callingJs(Napi::Env env, Napi::Function callback);
  // A ring calls `handler`. Keeps the event loop alive until it is closed.
  static Doorbell callingNative(Napi::Env env, Napi::Function callback, Handler handler);

  ~Doorbell() { close(); }
  Doorbell(Doorbell&& other) = default;
  Doorbell& operator=(Doorbell&&) = delete;

  std::function<void()> ring() const;
  // From here on a ring does nothing, and a wake that is under way is dropped. Again is harmless.
  void close();

 private:
  struct Bell {
    void ring();
    void end();

    std::mutex mutex;
    napi_threadsafe_function function = nullptr;  // guarded by mutex
    bool open = false;                            // guarded by mutex
    bool rung = false;                            // guarded by mutex
    Handler handler;                              // of the JavaScript thread
  };

  Doorbell(Napi::Env env, Napi::Function callback, Handler handler, bool keepsAlive);
  static void wake(napi_env env, napi_value callback, void* context, void* data);

  std::shared_ptr<Bell> bell;
};

// Calls a JavaScript function from a wake. What it throws is an uncaught exception of the thread.
void callFromWake(napi_env env, napi_value function, std::initializer_list<napi_value> arguments);

}  // namespace capstan::napi
