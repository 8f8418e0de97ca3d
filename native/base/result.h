// Expected failures as values. Owns the Error type (a code of schemas/errors.capnp, a message for people, the field at
// fault) and Result<T>. Never thrown. A Result must be looked at: it is [[nodiscard]].
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <variant>

#include "base/check.h"
#include "errors.capnp.h"

namespace capstan {

struct Error {
  schema::ErrorCode code = schema::ErrorCode::INTERNAL;
  std::string message;
  std::string field;
  uint32_t retryAfterMs = 0;
};

template <class T>
class [[nodiscard]] Result {
 public:
  Result(T value) : state(std::in_place_index<0>, std::move(value)) {}      // NOLINT: implicit on purpose
  Result(Error error) : state(std::in_place_index<1>, std::move(error)) {}  // NOLINT

  bool ok() const { return state.index() == 0; }
  explicit operator bool() const { return ok(); }
  T& value() {
    CAPSTAN_ASSERT(ok(), error().message);
    return std::get<0>(state);
  }
  const T& value() const {
    CAPSTAN_ASSERT(ok(), error().message);
    return std::get<0>(state);
  }
  T take() { return std::move(value()); }
  const Error& error() const { return std::get<1>(state); }
  Error takeError() { return std::move(std::get<1>(state)); }

 private:
  std::variant<T, Error> state;
};

template <>
class [[nodiscard]] Result<void> {
 public:
  Result() = default;
  Result(Error error) : failure(std::move(error)) {}  // NOLINT: implicit on purpose

  bool ok() const { return !failure.has_value(); }
  explicit operator bool() const { return ok(); }
  const Error& error() const { return *failure; }
  Error takeError() { return std::move(*failure); }

 private:
  std::optional<Error> failure;
};

}  // namespace capstan
