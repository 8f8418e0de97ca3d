// A long piece of work on a thread of its own, as a promise. Owns the thread's report (progress, then the result) and
// the promise; never the work. libuv's four shared threads stay free for everybody else.
//
// The promise keeps the event loop alive. Progress is reported at most once for each turn of it, the latest only, and
// never after the promise is settled. When the environment ends first, the work goes on and nobody is told.
//
// Called by the exported functions, in a JavaScript thread.
#pragma once

#include <napi.h>

#include <cstdint>
#include <functional>
#include <string>

#include "base/result.h"

namespace capstan::napi {

using Progress = std::function<void(uint64_t done, uint64_t total)>;
using Work = std::function<Result<void>(const Progress& progress)>;

// `threadName` has at most 15 bytes. `progress` may be empty; else it is called with (done, total).
Napi::Promise startOperation(Napi::Env env, const std::string& threadName, Napi::Function progress, Work work);

// The promise of one that was refused before it began.
Napi::Promise rejectedOperation(Napi::Env env, const Error& error);

}  // namespace capstan::napi
