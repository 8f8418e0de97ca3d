// Typed readers of what JavaScript passes in. Owns the checks of number and type of arguments; never a bound of policy,
// which is config.ts's. A wrong one throws ArgumentFault, which names function and argument (see guard.h).
//
// Typed arrays are read in place: a span is valid until the exported function returns, and costs neither a copy nor an
// allocation. Threading: a JavaScript thread only.
#pragma once

#include <napi.h>

#include <algorithm>
#include <concepts>
#include <cstdint>
#include <limits>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

namespace capstan::napi {

inline constexpr size_t textBytesMax = 4096;                     // paths, addresses, versions, states
inline constexpr uint64_t integerMax = (uint64_t{1} << 53) - 1;  // what a JavaScript number holds exactly

// An exported function as native.ts writes it: "receive(worker, connection, chunk, calls)". Its names are looked at in
// messages only; the number of arguments is known when this is compiled.
struct Signature {
  consteval Signature(const char* signature) : text(signature) {  // NOLINT: implicit on purpose
    if (text.find("()") != std::string_view::npos) return;
    count = 1 + static_cast<size_t>(std::ranges::count(text, ','));
  }
  std::string argument(size_t index) const;  // "receive: argument `chunk`"

  std::string_view text;
  size_t count = 0;
};

// The arguments of one call, `index` from 0.
class Arguments {
 public:
  Arguments(const Napi::CallbackInfo& info, Signature signature);

  uint32_t u32(size_t index) const;
  uint16_t u16(size_t index) const;
  bool boolean(size_t index) const;
  std::string text(size_t index) const;
  Napi::Object object(size_t index) const;
  Napi::Function function(size_t index) const;
  std::span<uint8_t> bytes(size_t index) const;   // a Uint8Array, so a Buffer too
  std::span<uint32_t> words(size_t index) const;  // a Uint32Array

  // An argument that is of its type and yet cannot be used.
  [[noreturn]] void refuse(size_t index, const char* why) const;

 private:
  void* typedArray(size_t index, napi_typedarray_type type, const char* why, size_t& length) const;

  const Napi::CallbackInfo& info;
  const Signature signature;
};

// The members of an object that holds options; every one is required, unknown ones are left alone.
class Fields {
 public:
  Fields(Napi::Object object, std::string path) : object(object), path(std::move(path)) {}

  void read(const char* name, bool& into) const;
  void read(const char* name, std::string& into) const;
  template <class Integer>
  requires std::unsigned_integral<Integer> &&
      (!std::same_as<Integer, bool>)void read(const char* name, Integer& into) const {
    into = static_cast<Integer>(integer(name, std::min<uint64_t>(std::numeric_limits<Integer>::max(), integerMax)));
  }
  Fields child(const char* name) const;

 private:
  uint64_t integer(const char* name, uint64_t max) const;
  [[noreturn]] void refuse(const char* name, const std::string& why) const;

  Napi::Object object;
  std::string path;
};

}  // namespace capstan::napi
