// The translation of failures into JavaScript errors: which class, which code, which text. See guard.h; it decides
// nothing else and keeps nothing.
#include "napi/guard.h"

#include "error_text.h"

namespace capstan::napi {

void fail(std::string word, std::string message) {
  throw Failure{Error{schema::ErrorCode::INVALID_ARGUMENT, std::move(message), std::move(word)}};
}

std::string wordOf(const Error& error) {
  return error.field.empty() ? std::string(schema::errorText(error.code).name) : error.field;
}

Napi::Error toJsError(Napi::Env env, const Error& error) {
  const std::string_view summary = schema::errorText(error.code).summary;
  Napi::Error thrown = Napi::Error::New(env, error.message.empty() ? std::string(summary) : error.message);
  thrown.Set("code", Napi::String::New(env, wordOf(error)));
  return thrown;
}

namespace {

void throwInternal(Napi::Env env, const std::string& what) {
  toJsError(env, Error{schema::ErrorCode::INTERNAL, what, ""}).ThrowAsJavaScriptException();
}

// Making an error can itself fail, when the environment is about to end: then there is nobody to tell.
template <class Step>
void unlessEnding(Step step) {
  try {
    step();
  } catch (const Napi::Error&) {
    return;
  }
}

}  // namespace

void throwToJs(Napi::Env env) {
  try {
    throw;
  } catch (const Failure& failure) {
    unlessEnding([&] { toJsError(env, failure.error).ThrowAsJavaScriptException(); });
  } catch (const ArgumentFault& fault) {
    unlessEnding([&] {
      Napi::TypeError thrown = Napi::TypeError::New(env, fault.message);
      thrown.Set("code", Napi::String::New(env, "invalidArgument"));
      thrown.ThrowAsJavaScriptException();
    });
  } catch (const Napi::Error& error) {
    unlessEnding([&] { error.ThrowAsJavaScriptException(); });
  } catch (const std::exception& exception) {
    unlessEnding([&] { throwInternal(env, exception.what()); });
  } catch (...) {
    unlessEnding([&] { throwInternal(env, "an exception of an unknown type"); });
  }
}

}  // namespace capstan::napi
