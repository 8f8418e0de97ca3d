// Requests as a client would send them: filled by Cap'n Proto's own builder, then pinned and validated like bytes from
// a socket. Owns nothing. Used by the simulator's clients only.
#pragma once

#include <capnp/message.h>
#include <capnp/serialize.h>

#include <memory>
#include <string_view>

#include "base/check.h"
#include "codec/request.h"

namespace capstan::sim {

template <class Struct, class Fill>
std::shared_ptr<codec::Request> makeRequest(codec::Method method, const codec::Limits& limits, Fill fill) {
  capnp::MallocMessageBuilder builder;
  fill(builder.initRoot<Struct>());
  const auto words = capnp::messageToFlatArray(builder);
  const auto bytes = words.asBytes();
  auto pinned = codec::pinMessage({bytes.begin(), bytes.size()});
  CAPSTAN_ASSERT(pinned.ok());
  const codec::Locate root = [](capnp::MessageReader& reader) {
    return capnp::AnyPointer::Reader(reader.getRoot<capnp::AnyPointer>());
  };
  auto request = codec::validate(method, pinned.take(), root, limits);
  CAPSTAN_ASSERT(request.ok(), request.ok() ? "" : request.error().message);
  return request.take();
}

inline capnp::Data::Reader dataOf(std::string_view text) {
  return {reinterpret_cast<const kj::byte*>(text.data()), text.size()};
}
template <class Id>
capnp::Data::Reader dataOf(const Id& id) requires requires {
  id.bytes;
}
{ return {id.bytes.data(), id.bytes.size()}; }

}  // namespace capstan::sim
