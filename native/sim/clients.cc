// The worker's part: proposing, delivering, parking, and what a crash does to all of it; see clients.h. Owns nothing
// more. What is asked for is in client_scripts.cc. Called by the world.
#include "sim/clients.h"

#include <algorithm>
#include <utility>

#include "base/check.h"
#include "codec/entry.h"

namespace capstan::sim {
namespace {

using codec::Method;
using schema::ErrorCode;

constexpr uint32_t worker = 1;
constexpr uint32_t commandsMax = 6;  // of one entry
constexpr size_t heldMax = 8;        // leases that a client remembers; older ones are left to expire
constexpr size_t knownMax = 200;

}  // namespace

Clients::Clients(uint64_t seed, Clocks& clocks, Checker& checker, uint32_t count)
    : random(seed), clocks(clocks), checker(checker), clients(count) {
  limits.stateLimits.idempotencyKeepMs = 1500;
  limits.stateLimits.sessionResultsMax = 12;
  limits.stateLimits.leasedJobsMax = 60;
  limits.queueDefaults.backoffBaseMs = 50;
  limits.queueDefaults.backoffMaxMs = 2000;
}

void Clients::crashed() {
  node = nullptr;
  inbox.clear();
  front.clear();
  for (Client& client : clients) {
    if (client.stage == Stage::idle) continue;
    ++counters.unknown;
    if (client.hasId) {
      ++counters.repeated;
      client.arrival = 0;
      start(client);
    } else {
      end(client);
    }
  }
}

void Clients::beginDraining() {
  isDraining = true;
  for (Client& client : clients) {
    client.hasId = false;
    client.queuesResumed = 0;
  }
}

bool Clients::canIssue() const {
  return std::any_of(clients.begin(), clients.end(), [](const Client& client) { return client.stage == Stage::idle; });
}

void Clients::issue() {
  std::vector<Client*> idle;
  for (Client& client : clients) {
    if (client.stage == Stage::idle) idle.push_back(&client);
  }
  Client& client = *idle[random.below(idle.size())];
  client.hasId = false;
  client.mayLose = false;
  client.arrival = 0;
  client.acking.clear();
  client.request = isDraining ? drainNext(client) : next(client);
  client.waitUntilMs = clocks.nowMs() + client.request->waitMs;
  client.begunAt = checker.beginFetch();
  ++counters.requests;
  start(client);
}

// A slot is used once, so that a late answer finds nobody.
void Clients::start(Client& client) {
  client.slot = nextSlot++;
  client.stage = Stage::waiting;
  front.push_back(client.slot);
}

void Clients::end(Client& client) {
  // Whoever was woken and cannot use it passes it on; nothing happens to one whose fetch was applied.
  if (node != nullptr && client.arrival != 0) node->endWake({worker, client.slot});
  client.stage = Stage::idle;
  client.slot = 0;
  client.request.reset();
}

Clients::Client* Clients::clientOf(uint32_t slot) {
  for (Client& client : clients) {
    if (client.slot == slot && client.stage != Stage::idle) return &client;
  }
  return nullptr;
}

void Clients::propose() {
  if (node == nullptr) return;
  std::vector<const codec::Request*> requests;
  engine::Proposal proposal;
  proposal.worker = worker;
  const uint64_t count = random.from(1, commandsMax);
  while (!front.empty() && requests.size() < count) {
    Client* client = clientOf(front.front());
    front.pop_front();
    if (client == nullptr) continue;
    client->stage = Stage::underWay;
    requests.push_back(client->request.get());
    proposal.replySlots.push_back(client->slot);
    proposal.enqueues = proposal.enqueues || client->request->enqueues;
  }
  if (requests.empty()) return;
  proposal.entry = codec::buildEntry(requests, codec::defaultTenant, limits);
  const std::vector<uint32_t> slots = proposal.replySlots;
  const ErrorCode code = node->propose(proposal);
  if (code == ErrorCode::OK) return;
  for (const uint32_t slot : slots) {
    CommandResult refused = engine::refusalOf(code);
    give(*clientOf(slot), refused, 0);
  }
}

void Clients::deliver() {
  Arrived arrived = std::move(inbox.front());
  inbox.pop_front();
  if (arrived.wokenSlot != 0) {
    Client* client = clientOf(arrived.wokenSlot);
    if (client == nullptr || client->stage != Stage::parked) return node->endWake({worker, arrived.wokenSlot});
    ++counters.woken;
    client->stage = Stage::waiting;
    front.push_back(client->slot);
    return;
  }
  engine::Completion& completion = arrived.completion;
  for (size_t at = 0; at < completion.replySlots.size(); ++at) {
    Client* client = clientOf(completion.replySlots[at]);
    if (client != nullptr) give(*client, completion.results[at], completion.appliedIndex);
  }
}

void Clients::give(Client& client, CommandResult& result, uint64_t appliedIndex) {
  const bool asksAgain = result.code == ErrorCode::NOT_LEADER || result.code == ErrorCode::BUSY ||
                         result.code == ErrorCode::DISK_FULL || result.code == ErrorCode::QUEUE_DELETING;
  if (result.code == ErrorCode::DISK_FULL) ++counters.diskFull;
  if ((asksAgain || result.code == ErrorCode::UNKNOWN) && (client.hasId || isDraining)) {
    // The slot stays, so that a wake under way finds its caller.
    client.stage = Stage::waiting;
    front.push_back(client.slot);
    return;
  }
  const bool isEmpty = result.code == ErrorCode::OK && result.lease.isZero();
  if (client.request->method == Method::fetch && isEmpty && clocks.nowMs() < client.waitUntilMs) {
    return park(client, appliedIndex);
  }
  ++counters.answers;
  if (client.mayLose && !result.lease.isZero() && node != nullptr && random.oneIn(8)) {
    // The connection is gone: the server takes back what nobody got.
    engine::Proposal proposal;
    proposal.worker = worker;
    proposal.entry = codec::buildUnsendEntry({&result.lease, 1});
    proposal.replySlots.push_back(nextSlot++);
    if (node->propose(proposal) == ErrorCode::OK) ++counters.unsent;
    return end(client);
  }
  note(client, result);
  end(client);
}

void Clients::park(Client& client, uint64_t appliedIndex) {
  engine::ParkRequest request;
  request.worker = worker;
  request.slot = client.slot;
  request.arrival = client.arrival;
  request.emptyAtIndex = appliedIndex;
  request.queues = client.request->queueHashes;
  const Result<uint64_t> arrival = node->parked().park(request);
  if (!arrival) return end(client);
  if (arrival.value() == 0) {
    client.stage = Stage::waiting;
    front.push_back(client.slot);
    return;
  }
  ++counters.parked;
  client.arrival = arrival.value();
  client.stage = Stage::parked;
}

void Clients::endWaits() {
  for (Client& client : clients) {
    if (client.stage != Stage::parked || clocks.nowMs() < client.waitUntilMs) continue;
    // With a wake under way it stays: the next try answers.
    if (node != nullptr && node->parked().unpark({worker, client.slot})) end(client);
  }
}

// --- What a client learns --------------------------------------------------------------------------------------------

void Clients::note(Client& client, const CommandResult& result) {
  if (result.code == ErrorCode::SESSION_EXPIRED || result.code == ErrorCode::REQUEST_FORGOTTEN) client.session = 0;
  if (result.code == ErrorCode::LEASE_LOST || !result.refused.empty()) ++counters.leaseLost;
  if (result.session != 0) {
    client.session = result.session;
    client.sequence = 0;
  }
  const Method method = client.request->method;
  if (result.code == ErrorCode::OK && method == Method::ack) {
    std::vector<bool> refused(client.acking.size(), false);
    for (const Refusal& refusal : result.refused) {
      if (refusal.index < refused.size()) refused[refusal.index] = true;
    }
    for (size_t at = 0; at < client.acking.size(); ++at) {
      if (!refused[at]) checker.ackAnswered(client.acking[at]);
    }
    counters.acked += result.accepted;
  }
  noteGrant(client, result);
  for (const CommandResult& part : result.parts) noteGrant(client, part);
}

void Clients::noteGrant(Client& client, const CommandResult& result) {
  counters.enqueued += result.ids.size();
  for (const JobId& id : result.ids) {
    if (known.size() < knownMax) {
      known.push_back(id);
    } else {
      known[random.below(knownMax)] = id;
    }
  }
  if (result.lease.isZero()) return;
  checker.fetchAnswered(client.begunAt, result.jobs);
  counters.granted += result.jobs.size();
  Held held;
  held.lease = result.lease;
  for (const GrantedJob& job : result.jobs) held.jobs.push_back(job.id);
  client.held.push_back(std::move(held));
  if (client.held.size() > heldMax) client.held.erase(client.held.begin());
}

}  // namespace capstan::sim
