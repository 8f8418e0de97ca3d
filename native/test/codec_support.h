// Messages as a client would send them, for the tests of codec/: filled by Cap'n Proto's own builder, then pinned and
// validated. Owns nothing. Used by native/test/codec_*_test.cc only.
#pragma once

#include <capnp/message.h>
#include <capnp/serialize.h>

#include <memory>
#include <utility>
#include <vector>

#include "capstan.capnp.h"
#include "codec/request.h"
#include "compat.capnp.h"

namespace capstan::codec {

template <class Struct, class Fill>
std::vector<uint8_t> frameOf(Fill fill) {
  capnp::MallocMessageBuilder builder;
  fill(builder.initRoot<Struct>());
  const auto words = capnp::messageToFlatArray(builder);
  const auto bytes = words.asBytes();
  return {bytes.begin(), bytes.end()};
}

inline Result<std::unique_ptr<Request>> validateFrame(Method method, ByteSpan frame, const Limits& limits = {}) {
  Result<std::unique_ptr<PinnedMessage>> pinned = pinMessage(frame);
  if (!pinned) return pinned.takeError();
  const Locate root = [](capnp::MessageReader& reader) {
    return capnp::AnyPointer::Reader(reader.getRoot<capnp::AnyPointer>());
  };
  return validate(method, pinned.take(), root, limits);
}

template <class Struct, class Fill>
Result<std::unique_ptr<Request>> requestOf(Method method, Fill fill, const Limits& limits = {}) {
  return validateFrame(method, frameOf<Struct>(fill), limits);
}

inline capnp::Data::Reader dataOf(std::string_view text) {
  return {reinterpret_cast<const kj::byte*>(text.data()), text.size()};
}

}  // namespace capstan::codec
