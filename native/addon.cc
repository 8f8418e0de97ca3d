// The addon's table of exports: exactly the interface Native of src/native.ts, in its order. Owns nothing; what each
// function does is in native/napi. Loaded by src/native.ts, once for each JavaScript thread.
#include <napi.h>

#include "napi/exports.h"
#include "napi/guard.h"
#include "napi/worker_table.h"

namespace capstan::napi {

static Napi::Object exportTable(Napi::Env env, Napi::Object exports) {
  WorkerTable::attach(env);

  exportFunction<engineOpen>(exports, "engineOpen");
  exportFunction<engineClose>(exports, "engineClose");
  exportFunction<engineWarnings>(exports, "engineWarnings");
  exportFunction<connectionsRefused>(exports, "connectionsRefused");
  exportFunction<connectionsStarved>(exports, "connectionsStarved");
  exportFunction<listen>(exports, "listen");
  exportFunction<stopListening>(exports, "stopListening");
  exportFunction<notifySystemd>(exports, "notifySystemd");

  exportFunction<workerOpen>(exports, "workerOpen");
  exportFunction<workerClose>(exports, "workerClose");
  exportFunction<connectionOpen>(exports, "connectionOpen");
  exportFunction<connectionClose>(exports, "connectionClose");
  exportFunction<receive>(exports, "receive");
  exportFunction<packedPending>(exports, "packedPending");
  exportFunction<packReplies>(exports, "packReplies");
  exportFunction<buffered>(exports, "buffered");
  exportFunction<setWritable>(exports, "setWritable");
  exportFunction<propose>(exports, "propose");
  exportFunction<read>(exports, "read");
  exportFunction<wakeEarly>(exports, "wakeEarly");
  exportFunction<park>(exports, "park");
  exportFunction<expire>(exports, "expire");
  exportFunction<answer>(exports, "answer");
  exportFunction<answerInfo>(exports, "answerInfo");
  exportFunction<shutdownCalls>(exports, "shutdownCalls");
  exportFunction<collect>(exports, "collect");
  exportFunction<moreToCollect>(exports, "moreToCollect");
  return exports;
}

NODE_API_MODULE(capstan, exportTable)

}  // namespace capstan::napi
