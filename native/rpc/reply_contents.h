// The response structs of both interfaces, filled from the plain values of codec/results.h and read_results.h. Owns no
// bytes; knows no frame. Used by replies.cc only.
#pragma once

#include <capnp/any.h>

#include <cstdint>

#include "capstan.capnp.h"
#include "compat.capnp.h"
#include "rpc/replies.h"

namespace capstan::rpc {

void fillStatus(schema::Status::Builder status, const Error& error);
// A response that says only why not. `status` is the first pointer of every response of the JobQueue face.
void fillRefusal(capnp::AnyPointer::Builder response, const Error& error);
// The response of the reply's method; the reply is no exception.
void fillResponse(capnp::AnyPointer::Builder response, const Reply& reply);

// Upper bounds of what the above writes.
size_t refusalBytesMax(const Error& error);
size_t responseBytesMax(const Reply& reply);

// The error of a result that is refused as a whole, or null. An exchange whose parts have results is not.
const Error* refusalOf(const Reply& reply);
// The Queueber face: refusals that its semantics answer with false are none.
const Error* exceptionOf(const Reply& reply);

}  // namespace capstan::rpc
