// The functions behind the export table, one to one the interface Native of src/native.ts, where their contracts are.
// Owns nothing: each reads its arguments and hands over to the engine or to a worker. Called through guard() only.
#pragma once

#include <napi.h>

namespace capstan::napi {

// engine_exports.cc: the process's engine.
Napi::Value engineOpen(const Napi::CallbackInfo& info);
Napi::Value engineClose(const Napi::CallbackInfo& info);
Napi::Value engineWarnings(const Napi::CallbackInfo& info);
Napi::Value connectionsRefused(const Napi::CallbackInfo& info);
Napi::Value connectionsStarved(const Napi::CallbackInfo& info);
Napi::Value listen(const Napi::CallbackInfo& info);
void stopListening(const Napi::CallbackInfo& info);
void notifySystemd(const Napi::CallbackInfo& info);

// worker_exports.cc: the workers of this thread.
Napi::Value workerOpen(const Napi::CallbackInfo& info);
void workerClose(const Napi::CallbackInfo& info);
Napi::Value connectionOpen(const Napi::CallbackInfo& info);
void connectionClose(const Napi::CallbackInfo& info);
Napi::Value receive(const Napi::CallbackInfo& info);
Napi::Value packedPending(const Napi::CallbackInfo& info);
Napi::Value packReplies(const Napi::CallbackInfo& info);
Napi::Value buffered(const Napi::CallbackInfo& info);
void setWritable(const Napi::CallbackInfo& info);
Napi::Value propose(const Napi::CallbackInfo& info);
Napi::Value read(const Napi::CallbackInfo& info);
Napi::Value wakeEarly(const Napi::CallbackInfo& info);
Napi::Value park(const Napi::CallbackInfo& info);
Napi::Value expire(const Napi::CallbackInfo& info);
void answer(const Napi::CallbackInfo& info);
void answerInfo(const Napi::CallbackInfo& info);
void shutdownCalls(const Napi::CallbackInfo& info);
Napi::Value collect(const Napi::CallbackInfo& info);
Napi::Value moreToCollect(const Napi::CallbackInfo& info);

}  // namespace capstan::napi
