// Dispatches the commands of an entry in order. Fetches come last, so that they see everything else of the entry and
// can be dealt one job a round; results with a request id are kept after that. Owns that order. See commands.h.
#include "fsm/commands.h"

#include <map>

#include "base/check.h"
#include "codec/request.h"
#include "fsm/operations.h"
#include "fsm/requests.h"

namespace capstan::fsm {
namespace {

using schema::Command;

struct Running {
  Change& change;
  std::vector<CommandResult> results;
  std::vector<Caller> callers;
  std::vector<size_t> remembering;  // commands whose results are kept
  // Requests with an id whose result this entry is still making, and commands that repeat one of them.
  std::map<std::pair<uint64_t, uint64_t>, size_t> sequences;
  std::map<std::string, size_t> keys;
  std::vector<size_t> repeats;
};

std::string_view tenantOf(Command::Reader command) {
  const auto tenant = command.getTenant();
  return tenant.size() == 0 ? codec::defaultTenant : codec::viewOf(tenant);
}

void execute(Running& running, Command::Reader command, CommandResult& result) {
  Change& change = running.change;
  const std::string_view tenant = tenantOf(command);
  switch (command.which()) {
    case Command::NONE:
      return;
    case Command::ENQUEUE:
      result = enqueue(change, tenant, command.getEnqueue());
      return;
    case Command::FETCH:
      running.callers.push_back({&result, tenant, command.getFetch(), command.getMayPark()});
      return;
    case Command::ACK:
      result = ack(change, command.getAck());
      return;
    case Command::FAIL:
      result = fail(change, command.getFail());
      return;
    case Command::EXTEND:
      result = extend(change, command.getExtend());
      return;
    case Command::RELEASE:
      result = release(change, command.getRelease());
      return;
    case Command::EXCHANGE: {
      const auto request = command.getExchange();
      if (exchange(change, tenant, request, result) && request.hasFetch()) {
        running.callers.push_back({&result.parts.back(), tenant, request.getFetch(), false});
      }
      return;
    }
    case Command::OPEN_SESSION:
      result = openSession(change, command.getOpenSession());
      return;
    case Command::CLOSE_SESSION:
      result = closeSession(change, command.getCloseSession());
      return;
    case Command::SET_QUEUE:
      result = setQueue(change, tenant, command.getSetQueue());
      return;
    case Command::DELETE_QUEUE:
      result = deleteQueue(change, tenant, command.getDeleteQueue());
      return;
    case Command::DELETE_JOBS:
      result = deleteJobs(change, tenant, command.getDeleteJobs());
      return;
    case Command::REDRIVE_DEAD:
      result = redriveDead(change, tenant, command.getRedriveDead());
      return;
    case Command::DELETE_DEAD:
      result = deleteDead(change, tenant, command.getDeleteDead());
      return;
    case Command::TICK:
      tick(change, command.getTick().getRowsMax());
      return;
    case Command::UNSEND:
      unsend(change, command.getUnsend());
      return;
  }
  CAPSTAN_ASSERT(false, static_cast<int>(command.which()));
}

// True: the command repeats one of this entry whose result is not made yet.
bool isRepeat(Running& running, Command::Reader command, size_t at) {
  const auto id = command.getRequest();
  bool repeats = false;
  if (id.getSession() != 0) {
    repeats = !running.sequences.emplace(std::pair{id.getSession(), id.getSequence()}, at).second;
  }
  if (id.getIdempotencyKey().size() > 0) {
    const std::string key = storage::requestKey(tenantOf(command), codec::viewOf(id.getIdempotencyKey()));
    repeats = !running.keys.emplace(key, at).second || repeats;
  }
  return repeats;
}

void run(Running& running, Command::Reader command, size_t at) {
  CommandResult& result = running.results[at];
  if (!hasRequestId(command)) return execute(running, command, result);
  if (isRepeat(running, command, at)) {
    running.repeats.push_back(at);
    return;
  }
  Admission admission = admit(running.change, tenantOf(command), command);
  if (!admission.execute) {
    result = std::move(admission.result);
    return;
  }
  running.remembering.push_back(at);
  awaitResult(running.change, command);
  execute(running, command, result);
}

void takeLimits(Change& change, schema::Entry::Reader entry) {
  const auto limits = entry.getLimits();
  change.limits = {limits.getQueuesMax(),
                   limits.getLanesMax(),
                   limits.getGroupsMax(),
                   limits.getSessionsMax(),
                   limits.getLeasedJobsMax(),
                   limits.getSessionResultsMax(),
                   limits.getSessionResultBytesMax(),
                   limits.getIdempotencyKeepMs()};
  const auto defaults = entry.getQueueDefaults();
  change.defaults = {defaults.getMaxAttempts(),  defaults.getBackoffBaseMs(),        defaults.getBackoffFactorPercent(),
                     defaults.getBackoffMaxMs(), defaults.getBackoffJitterPercent(), defaults.getDeadKeepMs(),
                     defaults.getGroupQuantum()};
}

}  // namespace

Result<void> checkOperations(const codec::OpenEntry& entry) {
  if (!entry.message) return {};
  for (const auto command : entry.root().getCommands()) {
    const auto which = static_cast<uint16_t>(command.which());
    if (which > static_cast<uint16_t>(Command::UNSEND)) {
      return Error{schema::ErrorCode::UNSUPPORTED,
                   "the log has an operation of number " + std::to_string(which) + "; this build knows them up to " +
                       std::to_string(static_cast<uint16_t>(Command::UNSEND)) +
                       ": run the version that wrote it, or a later one",
                   "", 0};
    }
  }
  return {};
}

std::vector<CommandResult> applyCommands(Change& change, const codec::OpenEntry& entry) {
  Running running{change, {}, {}, {}, {}, {}, {}};
  if (!entry.message) return {};
  takeLimits(change, entry.root());
  const auto commands = entry.root().getCommands();
  running.results.resize(commands.size());
  for (uint32_t at = 0; at < commands.size(); ++at) run(running, commands[at], at);
  if (!running.callers.empty()) fetchAll(change, running.callers);
  for (const size_t at : running.remembering) {
    remember(change, tenantOf(commands[static_cast<uint32_t>(at)]), commands[static_cast<uint32_t>(at)],
             running.results[at]);
  }
  for (const size_t at : running.repeats) {
    const auto command = commands[static_cast<uint32_t>(at)];
    Admission admission = admit(change, tenantOf(command), command);
    // The first one has no result that is kept (it asks for another try, or waits): neither has this one.
    running.results[at] = admission.execute ? refuse(schema::ErrorCode::BUSY, "the same request is under way", "", 100)
                                            : std::move(admission.result);
  }
  return std::move(running.results);
}

CommandResult refuse(schema::ErrorCode code, std::string message, std::string field, uint32_t retryAfterMs) {
  CommandResult result;
  result.code = code;
  result.error = std::make_unique<Error>(Error{code, std::move(message), std::move(field), retryAfterMs});
  return result;
}

CommandResult refuseAtLimit(uint64_t count, const std::string& what, std::string field) {
  return refuse(schema::ErrorCode::LIMIT_REACHED, "the limit of " + std::to_string(count) + " " + what + " is reached",
                std::move(field));
}

}  // namespace capstan::fsm
