// Bounds of the Queueber face. Its numbers are clamped, never refused, but for a lease of no time; an id of an odd size
// is merely unknown, a lease of one is an error. Owns no state. Called by request.cc.
#include "codec/resolved.h"
#include "codec/validate.h"

namespace capstan::codec {

bool check(Checks& checks, schema::compat::AddRequest::Reader body, Request& request) {
  const auto items = body.getItems();
  if (!checks.takeJobs(Field{"items"}, items.size())) return false;
  for (uint32_t i = 0; i < items.size(); i++) {
    const Field item{"items", nullptr, i};
    const Field contents{"contents", &item};
    const auto bytes = items[i].getContents().size();
    if (bytes > checks.limits.payloadBytesMax) {
      return checks.refuse(
          schema::ErrorCode::TOO_LARGE, contents,
          std::to_string(bytes) + " bytes, more than " + std::to_string(checks.limits.payloadBytesMax));
    }
    if (!checks.takeBlob(contents, bytes)) return false;
    if (items[i].getVisibilityTimeoutSecs() == 0) request.readyJobs++;
  }
  checks.replyBytes += uint64_t{items.size()} * 24;
  request.queueKey = queueHash(defaultTenant, defaultQueue);
  request.enqueues = true;
  return true;
}

bool check(Checks& checks, schema::compat::RemoveRequest::Reader body, Request&) {
  return checks.id(Field{"lease"}, body.getLease()) && checks.takeBlob(Field{"id"}, body.getId().size()) &&
         checks.takeJobs(Field{"id"}, 1);
}

bool check(Checks& checks, schema::compat::PollRequest::Reader body, Request& request) {
  if (body.getLeaseValiditySecs() == 0) return checks.invalid(Field{"leaseValiditySecs"}, "must be greater than 0");
  const ResolvedFetch fetch = resolve(body, checks.limits);
  request.waitMs = fetch.waitMs;
  request.jobs = fetch.jobsMax;
  request.queueKey = queueHash(defaultTenant, defaultQueue);
  request.queueHashes.push_back(request.queueKey);
  checks.replyBytes += fetchReplyBytes(checks.limits, fetch.jobsMax, fetch.bytesMax);
  return true;
}

bool check(Checks& checks, schema::compat::ExtendRequest::Reader body, Request&) {
  if (body.getLeaseValiditySecs() == 0) return checks.invalid(Field{"leaseValiditySecs"}, "must be greater than 0");
  return checks.id(Field{"lease"}, body.getLease());
}

}  // namespace capstan::codec
