// The exported functions that concern the process's one engine: arguments in, the holder's answer out. They decide
// nothing. Opening and closing block on disk and so run on threads of their own. See exports.h.
#include <string>
#include <utility>

#include "napi/engine_holder.h"
#include "napi/exports.h"
#include "napi/guard.h"
#include "napi/operation.h"
#include "napi/options.h"
#include "napi/readers.h"
#include "napi/systemd.h"

namespace capstan::napi {

Napi::Value engineOpen(const Napi::CallbackInfo& info) {
  const Arguments arguments(info, "engineOpen(options, progress)");
  auto options = engineOptions(Fields(arguments.object(0), "engineOpen: options"));
  const Napi::Function progress = arguments.function(1);
  const Result<void> begun = EngineHolder::instance().beginOpen();
  if (!begun.ok()) return rejectedOperation(info.Env(), begun.error());
  return startOperation(info.Env(), "capstan open", progress, [options = std::move(options)](const Progress& progress) {
    return EngineHolder::instance().open(options, progress);
  });
}

Napi::Value engineClose(const Napi::CallbackInfo& info) {
  const Arguments arguments(info, "engineClose()");
  const Result<void> begun = EngineHolder::instance().beginClose();
  if (!begun.ok()) return rejectedOperation(info.Env(), begun.error());
  return startOperation(info.Env(), "capstan close", Napi::Function(), [](const Progress&) -> Result<void> {
    EngineHolder::instance().close();
    return {};
  });
}

Napi::Value engineWarnings(const Napi::CallbackInfo& info) {
  const Arguments arguments(info, "engineWarnings()");
  const std::vector<std::string> warnings = valueOrThrow(EngineHolder::instance().use())->warnings();
  Napi::Array list = Napi::Array::New(info.Env(), warnings.size());
  for (uint32_t at = 0; at < warnings.size(); ++at) list.Set(at, warnings[at]);
  return list;
}

Napi::Value connectionsRefused(const Napi::CallbackInfo& info) {
  const Arguments arguments(info, "connectionsRefused()");
  const uint64_t refused = valueOrThrow(EngineHolder::instance().use())->connectionsRefused();
  return Napi::Number::New(info.Env(), static_cast<double>(refused));
}

Napi::Value connectionsStarved(const Napi::CallbackInfo& info) {
  const Arguments arguments(info, "connectionsStarved()");
  const uint64_t starved = valueOrThrow(EngineHolder::instance().use())->connectionsStarved();
  return Napi::Number::New(info.Env(), static_cast<double>(starved));
}

Napi::Value listen(const Napi::CallbackInfo& info) {
  const Arguments arguments(info, "listen(listener, address, connectionsMax, backlog)");
  const uint32_t listener = arguments.u32(0);
  const std::string address = arguments.text(1);
  const uint32_t connectionsMax = arguments.u32(2);
  const uint32_t backlog = arguments.u32(3);
  engine::Engine* engine = valueOrThrow(EngineHolder::instance().use());
  return Napi::String::New(info.Env(), valueOrThrow(engine->listen(listener, address, connectionsMax, backlog)));
}

void stopListening(const Napi::CallbackInfo& info) {
  const Arguments arguments(info, "stopListening()");
  valueOrThrow(EngineHolder::instance().use())->stopListening();
}

void notifySystemd(const Napi::CallbackInfo& info) {
  const Arguments arguments(info, "notifySystemd(state)");
  notifySystemdSocket(arguments.text(0));
}

}  // namespace capstan::napi
