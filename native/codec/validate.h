// The bounds of each request, one function per request struct. They fill the sums of Checks and the plain fields of the
// Request; none of them keeps a reader. Owns nothing. Called by request.cc only, within its guard against exceptions.
#pragma once

#include "capstan.capnp.h"
#include "codec/checks.h"
#include "codec/request.h"
#include "compat.capnp.h"

namespace capstan::codec {

// validate_jobs.cc
bool check(Checks& checks, schema::EnqueueRequest::Reader body, Request& request);
bool check(Checks& checks, schema::FetchRequest::Reader body, Request& request);
bool check(Checks& checks, schema::AckRequest::Reader body, Request& request);
bool check(Checks& checks, schema::FailRequest::Reader body, Request& request);
bool check(Checks& checks, schema::ExtendRequest::Reader body, Request& request);
bool check(Checks& checks, schema::ReleaseRequest::Reader body, Request& request);
bool check(Checks& checks, schema::ExchangeRequest::Reader body, Request& request);
bool check(Checks& checks, schema::DeleteJobsRequest::Reader body, Request& request);

// validate_queues.cc
bool check(Checks& checks, schema::OpenSessionRequest::Reader body, Request& request);
bool check(Checks& checks, schema::CloseSessionRequest::Reader body, Request& request);
bool check(Checks& checks, schema::SetQueueRequest::Reader body, Request& request);
bool check(Checks& checks, schema::DeleteQueueRequest::Reader body, Request& request);
bool check(Checks& checks, schema::DeadRequest::Reader body, Request& request);
bool check(Checks& checks, schema::ListQueuesRequest::Reader body, Request& request);
bool check(Checks& checks, schema::GetQueueRequest::Reader body, Request& request);
bool check(Checks& checks, schema::PeekRequest::Reader body, Request& request);
bool check(Checks& checks, schema::GetJobRequest::Reader body, Request& request);
bool check(Checks& checks, schema::ListDeadRequest::Reader body, Request& request);
bool check(Checks& checks, schema::GetOperationRequest::Reader body, Request& request);
bool check(Checks& checks, schema::ServerInfoRequest::Reader body, Request& request);

// validate_queueber.cc
bool check(Checks& checks, schema::compat::AddRequest::Reader body, Request& request);
bool check(Checks& checks, schema::compat::RemoveRequest::Reader body, Request& request);
bool check(Checks& checks, schema::compat::PollRequest::Reader body, Request& request);
bool check(Checks& checks, schema::compat::ExtendRequest::Reader body, Request& request);

// The largest answer of a fetch: its payloads, of which the first is granted whatever its size, and around each the
// struct, the id, two names and the headers. A payload that was taken under a larger limit than today's may exceed it.
uint64_t fetchReplyBytes(const Limits& limits, uint32_t jobsMax, uint32_t bytesMax);

// Headers of one job in a message: names and values, their pointers and paddings.
inline uint64_t headersReplyBytes(const Limits& limits) {
  return limits.headersBytesMax + uint64_t{headersPerJobMax} * 32 + 8;
}
inline uint64_t nameReplyBytes(const Limits& limits) { return uint64_t{limits.nameBytesMax} + 16; }

}  // namespace capstan::codec
