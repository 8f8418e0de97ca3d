// The model of jobs and leases at work; see model.h. Owns nothing more. Where the log does not say whether a lease was
// swept already, both ways are allowed.
#include "sim/model.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "sim/random.h"

namespace capstan::sim {
namespace {

using schema::Command;
using schema::ErrorCode;

template <class Id>
Id idOf(capnp::Data::Reader bytes) {
  Id id;
  if (bytes.size() == Id::size) std::copy(bytes.begin(), bytes.end(), id.bytes.begin());
  return id;
}

std::string textOf(capnp::Text::Reader text) { return {text.begin(), text.size()}; }

std::vector<JobId> idsOf(capnp::List<capnp::Data>::Reader list) {
  std::vector<JobId> ids;
  for (const auto id : list) ids.push_back(idOf<JobId>(id));
  return ids;
}

std::string laneOf(const ModelJob& job) {
  return job.queue + '\0' + static_cast<char>('a' + job.priority) + '\0' + job.group;
}

void addPrint(Trace& print, const CommandResult& result, bool withJobs) {
  print.add(static_cast<uint64_t>(result.code));
  print.add(result.ids.size());
  for (const JobId& id : result.ids) print.add(id.low());
  print.add(result.accepted);
  for (const Refusal& refusal : result.refused) {
    print.add(refusal.index);
    print.add(static_cast<uint64_t>(refusal.code));
  }
  print.add(result.session);
  print.add(result.operation);
  print.add(result.operationDone);
  print.add(result.operationFinished ? 1 : 0);
  if (withJobs) {
    print.add(result.lease.high());
    print.add(result.token);
    print.add(result.leaseMs);
    for (const GrantedJob& job : result.jobs) {
      print.add(job.id.high());
      print.add(job.id.low());
      print.add(job.attempt);
      print.add(job.maxAttempts);
      print.add(job.queueIndex);
      print.add(job.payloadBytes);
    }
  }
  print.add(result.parts.size());
  for (const CommandResult& part : result.parts) addPrint(print, part, withJobs);
}

const CommandResult* grantOf(const CommandResult& result) {
  if (!result.lease.isZero()) return &result;
  for (const CommandResult& part : result.parts) {
    if (!part.lease.isZero()) return &part;
  }
  return nullptr;
}

}  // namespace

uint64_t printOf(const CommandResult& result, bool withJobs) {
  Trace print;
  addPrint(print, result, withJobs);
  return print.value();
}

void Model::apply(uint64_t entryIndex, const codec::OpenEntry& entry, const std::vector<CommandResult>& results,
                  uint64_t trueMs) {
  index = entryIndex;
  nowMs = std::max(nowMs, entry.header.stamp.elapsedMs);
  wallNow = entry.header.stamp.wallMs;
  wallMax = std::max(wallMax, wallNow);
  trueNow = trueMs;
  if (!entry.message) return;
  const auto commands = entry.root().getCommands();
  const uint64_t keepMs = entry.root().getLimits().getIdempotencyKeepMs();
  if (commands.size() != results.size()) return failure.set("answersNeverDiffer", at("a command has no result"));
  firstDeliveries.clear();
  std::vector<uint32_t> executed;
  for (uint32_t place = 0; place < commands.size(); ++place) {
    if (isRepeat(commands[place], results[place])) continue;
    executed.push_back(place);
    execute(commands[place], results[place]);
  }
  // Fetches come last in an entry, and see all of it.
  for (const uint32_t place : executed) fetches(commands[place], results[place]);
  checkLanes();
  for (const uint32_t place : executed) remember(commands[place], results[place], keepMs);
}

std::string Model::at(const std::string& what) const { return "entry " + std::to_string(index) + ": " + what; }

// --- Requests with an id ---------------------------------------------------------------------------------------------

bool Model::isRepeat(Command::Reader command, const CommandResult& result) {
  if (!command.hasRequest()) return false;
  const auto id = command.getRequest();
  const Remembered* first = nullptr;
  if (id.getSession() != 0) {
    const auto found = sequences.find({id.getSession(), id.getSequence()});
    if (found != sequences.end()) first = &found->second;
  } else if (id.getIdempotencyKey().size() > 0) {
    const auto found = keys.find(textOf(id.getIdempotencyKey()));
    if (found != keys.end() && nowMs < found->second.untilMs) first = &found->second;
  }
  if (first == nullptr) return false;
  // Forgotten, of a session that is over, or the key of another request: not carried out.
  const bool isRefused = result.code == ErrorCode::SESSION_EXPIRED || result.code == ErrorCode::REQUEST_FORGOTTEN ||
                         result.code == ErrorCode::IDEMPOTENCY_CONFLICT || result.code == ErrorCode::BUSY;
  if (isRefused) return true;
  failure.expect(printOf(result, false) == first->print, "answersNeverDiffer",
                 at("a repeated request was answered differently"));
  const CommandResult* granted = grantOf(result);
  if (granted == nullptr) return true;
  failure.expect(granted->lease == first->lease, "answersNeverDiffer", at("a repeated fetch got another lease"));
  failure.expect(isAlive(granted->lease), "expiredLeaseIsLost", at("a repeated fetch got a lease that is over"));
  for (const GrantedJob& job : granted->jobs) {
    const auto found = known.find(job.id);
    failure.expect(found != known.end() && found->second.lease == granted->lease, "oneLiveLease",
                   at("a repeated fetch got job " + job.id.hex() + ", which is not under its lease any more"));
  }
  return true;
}

void Model::remember(Command::Reader command, const CommandResult& result, uint64_t keepMs) {
  if (!command.hasRequest()) return;
  const bool asksAgain =
      result.code == ErrorCode::BUSY || result.code == ErrorCode::DISK_FULL || result.code == ErrorCode::QUEUE_DELETING;
  if (asksAgain || (command.getMayPark() && result.code == ErrorCode::OK && result.lease.isZero())) return;
  const CommandResult* granted = grantOf(result);
  const Remembered made{printOf(result, false), nowMs + keepMs, granted == nullptr ? LeaseId{} : granted->lease};
  const auto id = command.getRequest();
  const bool isRefused = result.code == ErrorCode::SESSION_EXPIRED || result.code == ErrorCode::REQUEST_FORGOTTEN;
  if (id.getSession() != 0 && !isRefused) sequences[{id.getSession(), id.getSequence()}] = made;
  if (id.getIdempotencyKey().size() > 0 && result.code == ErrorCode::OK) keys[textOf(id.getIdempotencyKey())] = made;
}

// --- Commands --------------------------------------------------------------------------------------------------------

void Model::execute(Command::Reader command, const CommandResult& result) {
  switch (command.which()) {
    case Command::ENQUEUE:
      return enqueue(command.getEnqueue(), result);
    case Command::ACK: {
      const auto request = command.getAck();
      return settle(request.getLease(), request.getAll(), idsOf(request.getIds()), result, "ack",
                    [&](ModelJob& job, size_t) { job.ended = true; });
    }
    case Command::FAIL: {
      const auto request = command.getFail();
      std::vector<JobId> ids;
      for (const auto job : request.getJobs()) ids.push_back(idOf<JobId>(job.getId()));
      return settle(request.getLease(), false, ids, result, "fail", [&](ModelJob& job, size_t place) {
        if (job.isDoomed) {
          job.ended = true;
          return;
        }
        const auto failed = request.getJobs()[static_cast<uint32_t>(place)];
        ++job.attemptsMin;
        ++job.attemptsMax;
        job.isDead = failed.getDead();
        job.dueElapsedMs = nowMs + failed.getRetryDelayMs();
      });
    }
    case Command::RELEASE: {
      const auto request = command.getRelease();
      return settle(request.getLease(), request.getAll(), idsOf(request.getIds()), result, "release",
                    [&](ModelJob& job, size_t) { job.ended = job.isDoomed; });
    }
    case Command::EXTEND:
      return extend(command.getExtend(), result);
    case Command::EXCHANGE:
      return executeExchange(command.getExchange(), result);
    case Command::SET_QUEUE:
      return setQueue(command.getSetQueue(), result);
    case Command::DELETE_QUEUE:
      return deleteQueue(command.getDeleteQueue(), result);
    case Command::DELETE_JOBS:
      return deleteJobs(command.getDeleteJobs(), result);
    case Command::REDRIVE_DEAD:
      return changeDead(command.getRedriveDead(), result, true);
    case Command::DELETE_DEAD:
      return changeDead(command.getDeleteDead(), result, false);
    case Command::UNSEND:
      return unsend(command.getUnsend().getLease());
    default:
      return;
  }
}

void Model::executeExchange(schema::ExchangeRequest::Reader request, const CommandResult& result) {
  if (result.code != ErrorCode::OK) {
    failure.expect(result.parts.empty(), "allOrNothing", at("a refused exchange has parts"));
    return;
  }
  const size_t count = request.getAcks().size() + request.getFails().size() + request.getReleases().size() +
                       request.getExtends().size() + request.getEnqueues().size() + (request.hasFetch() ? 1 : 0);
  if (result.parts.size() != count) return failure.set("allOrNothing", at("an exchange lacks parts"));
  size_t part = 0;
  for (const auto ack : request.getAcks()) {
    settle(ack.getLease(), ack.getAll(), idsOf(ack.getIds()), result.parts[part++], "ack",
           [&](ModelJob& job, size_t) { job.ended = true; });
  }
  for (const auto fail : request.getFails()) {
    std::vector<JobId> ids;
    for (const auto job : fail.getJobs()) ids.push_back(idOf<JobId>(job.getId()));
    settle(fail.getLease(), false, ids, result.parts[part++], "fail", [&](ModelJob& job, size_t place) {
      job.ended = job.isDoomed;
      ++job.attemptsMin;
      ++job.attemptsMax;
      job.isDead = fail.getJobs()[static_cast<uint32_t>(place)].getDead();
    });
  }
  for (const auto release : request.getReleases()) {
    settle(release.getLease(), release.getAll(), idsOf(release.getIds()), result.parts[part++], "release",
           [&](ModelJob& job, size_t) { job.ended = job.isDoomed; });
  }
  for (const auto one : request.getExtends()) extend(one, result.parts[part++]);
  for (const auto one : request.getEnqueues()) enqueue(one, result.parts[part++]);
  if (!request.getRequireAcks()) return;
  for (size_t place = 0; place < part; ++place) {
    const CommandResult& one = result.parts[place];
    failure.expect(one.code == ErrorCode::OK && one.refused.empty(), "allOrNothing",
                   at("part " + std::to_string(place) + " of an exchange with requireAcks was refused"));
  }
}

void Model::fetches(Command::Reader command, const CommandResult& result) {
  if (result.code != ErrorCode::OK) return;
  if (command.which() == Command::FETCH) return grant(command.getFetch(), result);
  if (command.which() == Command::EXCHANGE && command.getExchange().hasFetch() && !result.parts.empty()) {
    grant(command.getExchange().getFetch(), result.parts.back());
  }
}

void Model::enqueue(schema::EnqueueRequest::Reader request, const CommandResult& result) {
  if (result.code != ErrorCode::OK) {
    failure.expect(result.ids.empty(), "allOrNothing", at("a refused enqueue has ids"));
    return;
  }
  const auto jobs = request.getJobs();
  if (result.ids.size() != jobs.size()) return failure.set("idsAreNew", at("an enqueue has not one id a job"));
  for (uint32_t place = 0; place < jobs.size(); ++place) {
    const JobId& id = result.ids[place];
    failure.expect(lastId < id, "idsAreNew", at("id " + id.hex() + " does not grow"));
    lastId = id;
    ModelJob& job = known[id];
    job.queue = textOf(request.getQueue());
    job.priority = jobs[place].getPriority();
    job.group = textOf(jobs[place].getGroup());
    job.index = index;
    if (jobs[place].getRunAtMs() != 0) {
      job.dueWallMs = jobs[place].getRunAtMs();
    } else if (jobs[place].getDelayMs() != 0) {
      job.dueElapsedMs = nowMs + jobs[place].getDelayMs();
    }
    const bool isReady = job.dueElapsedMs == 0 && (job.dueWallMs == 0 || job.dueWallMs <= wallNow);
    if (isReady) lanes[laneOf(job)].push_back(id);
  }
}

// --- Grants ----------------------------------------------------------------------------------------------------------

void Model::grant(schema::FetchRequest::Reader request, const CommandResult& result) {
  if (result.lease.isZero()) {
    failure.expect(result.jobs.empty(), "oneLiveLease", at("jobs without a lease"));
    return;
  }
  failure.expect(!leases.contains(result.lease), "oneLiveLease", at("a lease id is given twice"));
  failure.expect(result.token > lastToken, "oldTokenIsRefused", at("a token does not grow"));
  failure.expect(result.jobs.size() <= std::max(request.getJobsMax(), 1u), "oneLiveLease", at("more than asked for"));
  lastToken = result.token;
  ModelLease& lease = leases[result.lease];
  lease.token = result.token;
  lease.deadlineMs = nowMs + result.leaseMs;
  lease.trueDeadlineMs = trueNow + result.leaseMs;
  std::map<std::string, JobId> last;  // first deliveries of this caller
  for (const GrantedJob& granted : result.jobs) {
    lease.jobs.push_back(granted.id);
    grantOne(granted, result);
    const auto found = known.find(granted.id);
    if (found == known.end() || !firstDeliveries[laneOf(found->second)].contains(granted.id)) continue;
    JobId& before = last[laneOf(found->second)];
    failure.expect(before < granted.id, "laneOrder", at("job " + granted.id.hex() + " comes behind a later one"));
    before = granted.id;
  }
}

void Model::grantOne(const GrantedJob& granted, const CommandResult& result) {
  const std::string name = "job " + granted.id.hex();
  const auto found = known.find(granted.id);
  if (found == known.end()) return failure.set("idsAreNew", at(name + " was never enqueued"));
  ModelJob& job = found->second;
  failure.expect(!job.ended && !job.isDoomed, "endedStaysEnded", at(name + " was granted after its end"));
  failure.expect(!job.isQueueDeleted && !paused.contains(job.queue), "pausedNotDelivered",
                 at(name + " of a paused or deleted queue was granted"));
  failure.expect(!job.isDead, "deadNotDelivered", at(name + " is dead and was granted"));
  failure.expect(nowMs >= job.dueElapsedMs && wallMax >= job.dueWallMs, "notBeforeDue",
                 at(name + " is due at " + std::to_string(job.dueElapsedMs) + " ms of " + std::to_string(nowMs) +
                    " and at wall clock " + std::to_string(job.dueWallMs) + " of " + std::to_string(wallMax)));
  if (!job.lease.isZero()) {
    const ModelLease& before = leases[job.lease];
    failure.expect(nowMs >= before.deadlineMs, "oneLiveLease", at(name + " was granted while a lease of it lives"));
    failure.expect(
        trueNow >= before.trueDeadlineMs, "noEarlyExpiry",
        at(name + " was granted " + std::to_string(before.trueDeadlineMs - trueNow) + " ms before its lease was over"));
    ++job.attemptsMin;
    ++job.attemptsMax;
    ++expiryCount;
  }
  if (job.mayBeRedriven) job.attemptsMin = 0;
  job.mayBeRedriven = false;
  failure.expect(granted.attempt > job.attemptsMin && granted.attempt <= job.attemptsMax + 1, "attemptsCount",
                 at(name + " is said to be at attempt " + std::to_string(granted.attempt) + ", was tried " +
                    std::to_string(job.attemptsMin) + " to " + std::to_string(job.attemptsMax) + " times"));
  failure.expect(result.token > job.token, "oldTokenIsRefused", at(name + " was granted with an older token"));
  job.attemptsMin = job.attemptsMax = granted.attempt - 1;
  job.token = result.token;
  job.lease = result.lease;
  job.mayVanish = false;
  if (job.wasDelivered) return;
  job.wasDelivered = true;
  const auto lane = lanes.find(laneOf(job));
  if (lane != lanes.end() && std::find(lane->second.begin(), lane->second.end(), granted.id) != lane->second.end()) {
    firstDeliveries[laneOf(job)].insert(granted.id);
  }
}

// The first deliveries of an entry are a first part of what the lane still had to deliver.
void Model::checkLanes() {
  for (auto& [name, delivered] : firstDeliveries) {
    std::deque<JobId>& lane = lanes[name];
    while (!delivered.empty() && !lane.empty()) {
      const JobId id = lane.front();
      lane.pop_front();
      const ModelJob& job = known[id];
      if (delivered.erase(id) > 0 || job.ended || job.wasDelivered) continue;
      failure.set("laneOrder", at("job " + id.hex() + " of its lane was passed over"));
      return;
    }
  }
}

// --- Settling --------------------------------------------------------------------------------------------------------

ModelLease* Model::findLease(const LeaseId& id) {
  const auto found = leases.find(id);
  return found == leases.end() ? nullptr : &found->second;
}

bool Model::isAlive(const LeaseId& id) {
  const ModelLease* lease = findLease(id);
  return lease != nullptr && lease->deadlineMs > nowMs;
}

bool Model::isSurelyLeased(const ModelJob& job) const {
  if (job.lease.isZero()) return false;
  const auto found = leases.find(job.lease);
  return found != leases.end() && found->second.deadlineMs > nowMs;
}

bool Model::mayBeOver(const ModelJob& job) const { return !job.lease.isZero() && !isSurelyLeased(job); }

uint64_t Model::openJobs() const {
  return static_cast<uint64_t>(
      std::count_if(known.begin(), known.end(), [](const auto& one) { return !one.second.ended; }));
}

void Model::close(ModelJob& job) { job.lease = LeaseId{}; }

template <class Each>
void Model::settle(capnp::Data::Reader leaseBytes, bool all, const std::vector<JobId>& ids, const CommandResult& result,
                   const char* what, Each each) {
  const auto leaseId = idOf<LeaseId>(leaseBytes);
  const bool alive = isAlive(leaseId);
  std::vector<JobId> asked = ids;
  if (all) {
    asked.clear();
    if (ModelLease* lease = findLease(leaseId); lease != nullptr) {
      for (const JobId& id : lease->jobs) {
        if (known[id].lease == leaseId) asked.push_back(id);
      }
    }
    const bool isUnsure = std::any_of(asked.begin(), asked.end(),
                                      [&](const JobId& id) { return known[id].isQueueDeleted || known[id].mayVanish; });
    if (result.code == ErrorCode::OK) {
      failure.expect(alive, "expiredLeaseIsLost", at(std::string(what) + " of a lease that is over was accepted"));
      failure.expect(isUnsure || result.accepted == asked.size(), "oldTokenIsRefused",
                     at(std::string(what) + " closed another number of jobs than are open"));
    } else {
      failure.expect(isUnsure || !alive || asked.empty(), "liveLeaseHolds",
                     at(std::string(what) + " of a live lease was refused"));
      return;
    }
  }
  if (result.code != ErrorCode::OK) return;  // not carried out at all
  std::set<uint32_t> refused;
  for (const Refusal& refusal : result.refused) refused.insert(refusal.index);
  for (size_t place = 0; place < asked.size(); ++place) {
    const auto found = known.find(asked[place]);
    const bool isOwn = found != known.end() && found->second.lease == leaseId && !leaseId.isZero();
    const std::string name = std::string(what) + " of job " + asked[place].hex();
    if (refused.contains(static_cast<uint32_t>(place))) {
      const bool isUnsure = isOwn && (found->second.isQueueDeleted || found->second.mayVanish);
      failure.expect(!isOwn || !alive || isUnsure, "liveLeaseHolds", at(name + " under its own lease was refused"));
      continue;
    }
    failure.expect(isOwn, "oldTokenIsRefused", at(name + " under a lease that is not its own was accepted"));
    failure.expect(alive, "expiredLeaseIsLost",
                   at(name + " was accepted at " + std::to_string(nowMs) + ", its lease was over at " +
                      std::to_string(isOwn ? leases[leaseId].deadlineMs : 0)));
    if (!isOwn) continue;
    close(found->second);
    each(found->second, place);
  }
}

void Model::extend(schema::ExtendRequest::Reader request, const CommandResult& result) {
  ModelLease* lease = findLease(idOf<LeaseId>(request.getLease()));
  if (result.code != ErrorCode::OK) return;
  failure.expect(lease != nullptr && lease->deadlineMs > nowMs, "expiredLeaseIsLost",
                 at("a lease that is over was extended"));
  if (lease == nullptr) return;
  lease->deadlineMs = nowMs + result.leaseMs;
  lease->trueDeadlineMs = trueNow + result.leaseMs;
}

void Model::unsend(capnp::Data::Reader leaseBytes) {
  const auto leaseId = idOf<LeaseId>(leaseBytes);
  ModelLease* lease = findLease(leaseId);
  if (lease == nullptr) return;
  const bool alive = isAlive(leaseId);
  for (const JobId& id : lease->jobs) {
    ModelJob& job = known[id];
    if (job.lease != leaseId) continue;
    // Past its deadline it was swept, and counted, or not. If that was its last attempt, it is dead.
    if (!alive) ++job.attemptsMax;
    if (job.isDoomed) job.ended = true;
    close(job);
  }
}

// --- Queues and single jobs ------------------------------------------------------------------------------------------

void Model::setQueue(schema::SetQueueRequest::Reader request, const CommandResult& result) {
  if (result.code != ErrorCode::OK) return;
  if (request.getPause()) paused.insert(textOf(request.getQueue()));
  if (request.getResume()) paused.erase(textOf(request.getQueue()));
}

void Model::deleteQueue(schema::DeleteQueueRequest::Reader request, const CommandResult& result) {
  if (result.code != ErrorCode::OK) return;
  const std::string name = textOf(request.getQueue());
  for (auto& [id, job] : known) {
    if (job.queue == name && !job.ended) job.isQueueDeleted = true;
  }
  paused.erase(name);
  std::erase_if(lanes, [&](const auto& lane) { return lane.first.starts_with(name + '\0'); });
}

void Model::deleteJobs(schema::DeleteJobsRequest::Reader request, const CommandResult& result) {
  if (result.code != ErrorCode::OK) return;
  std::set<uint32_t> refused;
  for (const Refusal& refusal : result.refused) refused.insert(refusal.index);
  const std::vector<JobId> ids = idsOf(request.getIds());
  for (uint32_t place = 0; place < ids.size(); ++place) {
    const auto found = known.find(ids[place]);
    const std::string name = "job " + ids[place].hex();
    if (refused.contains(place)) {
      failure.expect(found == known.end() || !mustBeThere(found->second), "jobIsKept", at(name + " is not there"));
      continue;
    }
    failure.expect(found != known.end() && !found->second.ended, "endedStaysEnded",
                   at(name + " was deleted after its end"));
    if (found == known.end()) continue;
    if (found->second.lease.isZero()) {
      found->second.ended = true;
    } else {
      found->second.isDoomed = true;
    }
  }
}

void Model::changeDead(schema::DeadRequest::Reader request, const CommandResult& result, bool redrives) {
  if (result.code != ErrorCode::OK) return;
  const std::string name = textOf(request.getQueue());
  const auto change = [&](ModelJob& job, bool isSure) {
    if (redrives) {
      // What waits for its back-off is not dead, and goes on waiting.
      if (job.isDead || job.attemptsMax > 0 || mayBeOver(job)) job.dueElapsedMs = 0;
      job.attemptsMin = 0;
      job.isDead = false;
      job.mayBeRedriven = !isSure;
      if (!isSure) return;
      job.attemptsMax = 0;
      job.dueElapsedMs = 0;
      close(job);
    } else if (isSure) {
      job.ended = true;
    } else if (job.isDead || job.attemptsMax > 0 || mayBeOver(job)) {
      job.mayVanish = true;
    }
  };
  if (request.getAll()) {
    for (auto& [id, job] : known) {
      if (job.queue != name || job.ended || isSurelyLeased(job)) continue;
      change(job, false);
    }
    return;
  }
  std::set<uint32_t> refused;
  for (const Refusal& refusal : result.refused) refused.insert(refusal.index);
  const std::vector<JobId> ids = idsOf(request.getIds());
  for (uint32_t place = 0; place < ids.size(); ++place) {
    if (refused.contains(place)) continue;
    const auto found = known.find(ids[place]);
    failure.expect(found != known.end() && !found->second.ended && !isSurelyLeased(found->second), "endedStaysEnded",
                   at("job " + ids[place].hex() + " cannot have been dead"));
    if (found != known.end()) change(found->second, true);
  }
}

}  // namespace capstan::sim
