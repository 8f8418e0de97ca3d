// The checks behind the typed readers. Each says what is wrong in the words of native.ts; text for messages is made on
// failure only, since `receive` and `collect` come through here for every chunk and batch. See readers.h.
#include "napi/readers.h"

#include <cmath>
#include <optional>

#include "napi/guard.h"

namespace capstan::napi {

namespace {

constexpr uint64_t u32Max = std::numeric_limits<uint32_t>::max();
constexpr uint64_t u16Max = std::numeric_limits<uint16_t>::max();

std::optional<uint64_t> integerOf(napi_env env, napi_value value, uint64_t max) {
  double number = 0;
  if (napi_get_value_double(env, value, &number) != napi_ok) return std::nullopt;
  if (!(number >= 0) || number > static_cast<double>(max) || std::trunc(number) != number) return std::nullopt;
  return static_cast<uint64_t>(number);
}

std::optional<bool> booleanOf(napi_env env, napi_value value) {
  bool truth = false;
  if (napi_get_value_bool(env, value, &truth) != napi_ok) return std::nullopt;
  return truth;
}

// Nothing for what is no string, too long, or has a NUL, at which the system would cut it.
std::optional<std::string> textOf(napi_env env, napi_value value) {
  size_t bytes = 0;
  if (napi_get_value_string_utf8(env, value, nullptr, 0, &bytes) != napi_ok || bytes > textBytesMax) {
    return std::nullopt;
  }
  std::string text(bytes, '\0');
  // The call writes a NUL behind the text, where std::string has one as well.
  if (napi_get_value_string_utf8(env, value, text.data(), bytes + 1, &bytes) != napi_ok) return std::nullopt;
  if (text.find('\0') != std::string::npos) return std::nullopt;
  return text;
}

std::string integerWanted(uint64_t max) { return "must be an integer from 0 to " + std::to_string(max); }

std::string textWanted() {
  return "must be a string of at most " + std::to_string(textBytesMax) + " bytes without NUL";
}

napi_valuetype typeOf(napi_env env, napi_value value) {
  napi_valuetype type = napi_undefined;
  if (napi_typeof(env, value, &type) != napi_ok) return napi_undefined;
  return type;
}

}  // namespace

std::string Signature::argument(size_t index) const {
  const size_t open = text.find('(');
  size_t begin = open + 1;
  for (size_t skipped = 0; skipped < index; skipped++) begin = text.find(',', begin) + 2;
  const size_t end = text.find_first_of(",)", begin);
  return std::string(text.substr(0, open)) + ": argument `" + std::string(text.substr(begin, end - begin)) + "`";
}

Arguments::Arguments(const Napi::CallbackInfo& info, Signature signature) : info(info), signature(signature) {
  if (info.Length() < signature.count) throw ArgumentFault{signature.argument(info.Length()) + " is missing"};
  if (info.Length() > signature.count) {
    throw ArgumentFault{std::string(signature.text) + " was called with " + std::to_string(info.Length()) +
                        " arguments"};
  }
}

void Arguments::refuse(size_t index, const char* why) const {
  throw ArgumentFault{signature.argument(index) + " " + why};
}

uint32_t Arguments::u32(size_t index) const {
  const auto value = integerOf(info.Env(), info[index], u32Max);
  if (!value) refuse(index, integerWanted(u32Max).c_str());
  return static_cast<uint32_t>(*value);
}

uint16_t Arguments::u16(size_t index) const {
  const auto value = integerOf(info.Env(), info[index], u16Max);
  if (!value) refuse(index, integerWanted(u16Max).c_str());
  return static_cast<uint16_t>(*value);
}

bool Arguments::boolean(size_t index) const {
  const auto value = booleanOf(info.Env(), info[index]);
  if (!value) refuse(index, "must be a boolean");
  return *value;
}

std::string Arguments::text(size_t index) const {
  auto value = textOf(info.Env(), info[index]);
  if (!value) refuse(index, textWanted().c_str());
  return std::move(*value);
}

Napi::Object Arguments::object(size_t index) const {
  const napi_value value = info[index];
  if (typeOf(info.Env(), value) != napi_object) refuse(index, "must be an object");
  return {info.Env(), value};
}

Napi::Function Arguments::function(size_t index) const {
  const napi_value value = info[index];
  if (typeOf(info.Env(), value) != napi_function) refuse(index, "must be a function");
  return {info.Env(), value};
}

std::span<uint8_t> Arguments::bytes(size_t index) const {
  size_t length = 0;
  void* data = typedArray(index, napi_uint8_array, "must be a Uint8Array", length);
  return {static_cast<uint8_t*>(data), length};
}

std::span<uint32_t> Arguments::words(size_t index) const {
  size_t length = 0;
  void* data = typedArray(index, napi_uint32_array, "must be a Uint32Array", length);
  return {static_cast<uint32_t*>(data), length};
}

void* Arguments::typedArray(size_t index, napi_typedarray_type wanted, const char* why, size_t& length) const {
  napi_typedarray_type type = napi_int8_array;
  void* data = nullptr;
  // Fails for what is no typed array. The array's buffer is not asked for: that would make a handle for each call.
  const napi_status status = napi_get_typedarray_info(info.Env(), info[index], &type, &length, &data, nullptr, nullptr);
  if (status != napi_ok || type != wanted) refuse(index, why);
  return data;
}

void Fields::read(const char* name, bool& into) const {
  const auto value = booleanOf(object.Env(), object.Get(name));
  if (!value) refuse(name, "must be a boolean");
  into = *value;
}

void Fields::read(const char* name, std::string& into) const {
  auto value = textOf(object.Env(), object.Get(name));
  if (!value) refuse(name, textWanted());
  into = std::move(*value);
}

Fields Fields::child(const char* name) const {
  const Napi::Value value = object.Get(name);
  if (typeOf(object.Env(), value) != napi_object) refuse(name, "must be an object");
  return Fields(value.As<Napi::Object>(), path + "." + name);
}

uint64_t Fields::integer(const char* name, uint64_t max) const {
  const auto value = integerOf(object.Env(), object.Get(name), max);
  if (!value) refuse(name, integerWanted(max));
  return *value;
}

void Fields::refuse(const char* name, const std::string& why) const {
  throw ArgumentFault{path + "." + name + " " + why};
}

}  // namespace capstan::napi
