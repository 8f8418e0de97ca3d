// What a message's texts, bytes and ids are in plain C++: views of the same bytes, and copies of 16. Owns nothing; a
// view lives as long as its message. Used wherever a reader's field is looked at, in codec/ and fsm/.
#pragma once

#include <capnp/blob.h>

#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

namespace capstan::codec {

inline std::string_view viewOf(capnp::Text::Reader text) { return {text.begin(), text.size()}; }
inline std::string_view viewOf(capnp::Data::Reader data) {
  return {reinterpret_cast<const char*>(data.begin()), data.size()};
}

// An Id16 of exactly 16 bytes; nothing for any other size.
template <class Id>
std::optional<Id> idOf(capnp::Data::Reader data) {
  if (data.size() != 16) return std::nullopt;
  return Id::fromBytes(std::span<const uint8_t, 16>(data.begin(), 16));
}

}  // namespace capstan::codec
