// The one place where C++ failures become JavaScript errors. Owns the wrapper around every exported function and the
// exceptions that stay inside of native/napi. It never carries on after a failure: each becomes an Error that is thrown
// to the caller, whose `code` is a stable word. Called by the export table (addon.cc) and by what it exports.
//
//   thrown inside      JavaScript gets
//   ArgumentFault      TypeError, code "invalidArgument"; the message names the function's argument
//   Failure            Error, code: the word in Error.field, else the name of its ErrorCode
//   Napi::Error        the error itself, as it is
//   anything else      Error, code "internal": a bug of ours
//
// Threading: a JavaScript thread only.
#pragma once

#include <napi.h>

#include <exception>
#include <string>
#include <utility>

#include "base/result.h"

namespace capstan::napi {

// An expected failure on its way out to JavaScript.
struct Failure {
  Error error;
};

// The caller gave a wrong number or type of arguments.
struct ArgumentFault {
  std::string message;
};

// A failure that has a word of its own.
[[noreturn]] void fail(std::string word, std::string message);

// The value, or the failure thrown.
template <class T>
T valueOrThrow(Result<T> result) {
  if (!result.ok()) throw Failure{result.takeError()};
  return result.take();
}

// The stable word of a failure.
std::string wordOf(const Error& error);

Napi::Error toJsError(Napi::Env env, const Error& error);

// Throws the C++ exception that is being handled as a JavaScript error.
void throwToJs(Napi::Env env);

// A Node-API callback that runs `body` (Napi::Value or void of Napi::CallbackInfo) and lets no C++ exception out.
template <auto body>
napi_value guard(napi_env env, napi_callback_info raw) {
  try {
    const Napi::CallbackInfo info(env, raw);
    if constexpr (std::is_void_v<decltype(body(info))>) {
      body(info);
      return nullptr;
    } else {
      return body(info);
    }
  } catch (...) {
    throwToJs(env);
    return nullptr;
  }
}

// Adds `body`, guarded, to the exports.
template <auto body>
void exportFunction(Napi::Object exports, const char* name) {
  const Napi::Env env = exports.Env();
  napi_value function = nullptr;
  const napi_status status = napi_create_function(env, name, NAPI_AUTO_LENGTH, guard<body>, nullptr, &function);
  if (status != napi_ok) throw Napi::Error::New(env);
  exports.Set(name, function);
}

}  // namespace capstan::napi
