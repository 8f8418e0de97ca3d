// exchange: several acks, fails, releases, extends and enqueues, and a fetch, in one commit. With requireAcks all of
// them apply or none does: everything is asked first, then applied. Owns nothing.
#include <map>
#include <set>

#include "base/check.h"
#include "fsm/jobs.h"
#include "fsm/leases.h"
#include "fsm/operations.h"

namespace capstan::fsm {
namespace {

using schema::ErrorCode;

// Which items the parts before claimed, so that two parts cannot both count on one job.
struct Claims {
  std::map<Lease*, std::set<uint32_t>> items;

  bool claim(Change& change, Lease* lease, capnp::Data::Reader id) {
    const auto item = openItem(change, *lease, id);
    return item && items[lease].insert(*item).second;
  }
  void claimAll(Lease* lease) {
    for (uint32_t at = 0; at < lease->row.items.size(); ++at) {
      if (!lease->row.items[at].closed) items[lease].insert(at);
    }
  }
  bool isSpent(Lease* lease) const {
    const auto claimed = items.find(lease);
    return claimed != items.end() && claimed->second.size() == lease->open;
  }
};

std::string partName(const char* list, uint32_t at) { return std::string(list) + "[" + std::to_string(at) + "]"; }

template <class Parts>
std::string findLost(Change& change, Claims& claims, const char* list, Parts parts) {
  for (uint32_t at = 0; at < parts.size(); ++at) {
    Lease* lease = aliveLease(change, parts[at].getLease());
    if (lease == nullptr || claims.isSpent(lease)) return partName(list, at);
    if (parts[at].getAll()) {
      claims.claimAll(lease);
      continue;
    }
    for (const auto id : parts[at].getIds()) {
      if (!claims.claim(change, lease, id)) return partName(list, at);
    }
  }
  return {};
}

std::string findLostFail(Change& change, Claims& claims, capnp::List<schema::FailRequest>::Reader fails) {
  for (uint32_t at = 0; at < fails.size(); ++at) {
    Lease* lease = aliveLease(change, fails[at].getLease());
    if (lease == nullptr) return partName("fails", at);
    for (const auto job : fails[at].getJobs()) {
      if (!claims.claim(change, lease, job.getId())) return partName("fails", at);
    }
  }
  return {};
}

// Whether the fails as a whole have room in the entry.
CommandResult askBytes(Change& change, schema::ExchangeRequest::Reader request) {
  uint64_t bytes = 0;
  for (const auto part : request.getFails()) bytes += bytesOf(change, part);
  if (bytes > movedBytesMax) {
    return refuse(ErrorCode::TOO_LARGE,
                  "the jobs that fail have " + std::to_string(bytes) + " bytes, more than the " +
                      std::to_string(movedBytesMax) + " of one exchange with requireAcks",
                  "fails");
  }
  return change.moved() + bytes > movedBytesMax ? refuseMoved() : CommandResult();
}

CommandResult refusedBy(const std::string& part, const std::string& why) {
  return refuse(ErrorCode::REFUSED, part + " was refused (" + why + "), so nothing was applied", part);
}

// The refusal, or code ok when every part would apply.
CommandResult ask(Change& change, std::string_view tenant, schema::ExchangeRequest::Reader request) {
  Claims claims;
  std::string lost = findLost(change, claims, "acks", request.getAcks());
  if (lost.empty()) lost = findLostFail(change, claims, request.getFails());
  if (lost.empty()) lost = findLost(change, claims, "releases", request.getReleases());
  const auto extends = request.getExtends();
  for (uint32_t at = 0; at < extends.size() && lost.empty(); ++at) {
    Lease* lease = aliveLease(change, extends[at].getLease());
    if (lease == nullptr || claims.isSpent(lease)) lost = partName("extends", at);
  }
  if (!lost.empty()) return refusedBy(lost, "leaseLost");
  if (CommandResult refusal = askBytes(change, request); refusal.code != ErrorCode::OK) return refusal;
  EnqueuePlan plan;
  const auto enqueues = request.getEnqueues();
  for (uint32_t at = 0; at < enqueues.size(); ++at) {
    if (const auto error = checkEnqueue(change, tenant, enqueues[at], plan)) {
      return refusedBy(partName("enqueues", at), error->message);
    }
  }
  return {};
}

}  // namespace

bool exchange(Change& change, std::string_view tenant, schema::ExchangeRequest::Reader request, CommandResult& result) {
  if (request.getRequireAcks()) {
    result = ask(change, tenant, request);
    if (result.code != ErrorCode::OK) return false;
  }
  for (const auto part : request.getAcks()) result.parts.push_back(ack(change, part));
  for (const auto part : request.getFails()) result.parts.push_back(fail(change, part));
  for (const auto part : request.getReleases()) result.parts.push_back(release(change, part));
  for (const auto part : request.getExtends()) result.parts.push_back(extend(change, part));
  for (const auto part : request.getEnqueues()) result.parts.push_back(enqueue(change, tenant, part));
  if (request.hasFetch()) result.parts.emplace_back();
  return true;
}

}  // namespace capstan::fsm
