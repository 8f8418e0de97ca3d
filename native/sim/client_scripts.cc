// What the simulated clients ask for: random requests over every operation, and while a run is being drained only what
// empties the queues. Owns the mix. Called by clients.cc.
#include <algorithm>
#include <utility>

#include "sim/clients.h"
#include "sim/requests.h"

namespace capstan::sim {
namespace {

using codec::Method;

constexpr uint64_t drainLeaseMs = 300'000;

}  // namespace

std::shared_ptr<codec::Request> Clients::next(Client& client) {
  const uint64_t kind = random.below(100);
  if (kind < 30) {
    return makeRequest<schema::EnqueueRequest>(Method::enqueue, limits, [&](auto body) {
      setId(client, body);
      fillEnqueue(body);
    });
  }
  if (kind < 55) {
    return makeRequest<schema::FetchRequest>(Method::fetch, limits, [&](auto body) {
      setId(client, body);
      fillFetch(client, body, true);
      client.mayLose = !client.hasId;
    });
  }
  if (kind < 80) return settleSome(client);
  if (kind < 88) return exchangeSome(client);
  if (kind < 92) return changeQueue(client);
  if (kind < 97) return changeJobs(client);
  return changeSession(client);
}

std::shared_ptr<codec::Request> Clients::drainNext(Client& client) {
  if (client.queuesResumed < queueCount) {
    return makeRequest<schema::SetQueueRequest>(Method::setQueue, limits, [&](auto body) {
      body.setQueue("q" + std::to_string(client.queuesResumed++));
      body.setResume(true);
    });
  }
  if (!client.held.empty()) {
    const Held held = takeHeld(client);
    client.acking = held.jobs;
    return makeRequest<schema::AckRequest>(Method::ack, limits, [&](auto body) {
      body.setLease(dataOf(held.lease));
      auto ids = body.initIds(static_cast<uint32_t>(held.jobs.size()));
      for (uint32_t at = 0; at < ids.size(); ++at) ids.set(at, dataOf(held.jobs[at]));
    });
  }
  return makeRequest<schema::FetchRequest>(Method::fetch, limits, [&](auto body) {
    auto queues = body.initQueues(queueCount);
    for (uint32_t at = 0; at < queueCount; ++at) queues.set(at, "q" + std::to_string(at));
    body.setJobsMax(20);
    body.setLeaseMs(drainLeaseMs);
  });
}

template <class Body>
void Clients::setId(Client& client, Body body) {
  const uint64_t kind = random.below(4);
  if (kind == 0 && client.session != 0) {
    auto id = body.initRequest();
    id.setSession(client.session);
    id.setSequence(++client.sequence);
    // One request at a time: every result before was received.
    id.setLowestUnanswered(client.sequence);
    client.hasId = true;
  } else if (kind == 1) {
    const size_t own = static_cast<size_t>(&client - clients.data());
    // Now and then one that was used before, by another request.
    const uint32_t key = random.oneIn(6) && client.keys > 0 ? client.keys : ++client.keys;
    body.initRequest().setIdempotencyKey("c" + std::to_string(own) + " " + std::to_string(key));
    client.hasId = true;
  }
}

void Clients::fillEnqueue(schema::EnqueueRequest::Builder body) {
  body.setQueue(queueName());
  for (auto job : body.initJobs(static_cast<uint32_t>(random.from(1, 5)))) {
    job.setPayload(dataOf(std::string(random.oneIn(20) ? random.below(6000) : random.below(200), 'p')));
    if (random.oneIn(3)) job.setPriority(static_cast<uint8_t>(random.below(3)));
    if (random.oneIn(3)) job.setGroup("g" + std::to_string(random.below(4)));
    const uint64_t when = random.below(10);
    if (when == 0) job.setDelayMs(random.from(1, 2000));
    if (when == 1) job.setRunAtMs(clocks.wallMs() + static_cast<int64_t>(random.below(3000)) - 500);
    if (random.oneIn(4)) job.setMaxAttempts(static_cast<uint32_t>(random.from(1, 3)));
  }
}

void Clients::fillFetch(Client& client, schema::FetchRequest::Builder body, bool mayWait) {
  auto names = body.initQueues(static_cast<uint32_t>(random.from(1, 3)));
  for (uint32_t at = 0; at < names.size(); ++at) names.set(at, queueName());
  body.setJobsMax(static_cast<uint32_t>(random.from(1, 6)));
  if (random.oneIn(4)) body.setBytesMax(static_cast<uint32_t>(random.from(1, 800)));
  body.setLeaseMs(random.oneIn(3) ? random.from(100, 400) : random.from(400, 3000));
  if (mayWait && random.oneIn(2)) body.setWaitMs(random.from(50, 1500));
}

// Mostly the newest lease; now and then it is kept, so that it may be tried again later.
Clients::Held Clients::takeHeld(Client& client) {
  if (client.held.empty()) {
    Held nothing;
    nothing.lease.bytes.fill(static_cast<uint8_t>(random.below(256)));
    nothing.jobs.push_back(known.empty() ? JobId{} : known[random.below(known.size())]);
    return nothing;
  }
  const size_t place = random.oneIn(2) ? client.held.size() - 1 : random.below(client.held.size());
  const Held held = client.held[place];
  if (isDraining || !random.oneIn(4)) client.held.erase(client.held.begin() + static_cast<long>(place));
  return held;
}

std::shared_ptr<codec::Request> Clients::settleSome(Client& client) {
  const Held held = takeHeld(client);
  const JobId one = held.jobs.empty() ? JobId{} : held.jobs[random.below(held.jobs.size())];
  const uint64_t kind = random.below(10);
  if (kind < 6) {
    return makeRequest<schema::AckRequest>(Method::ack, limits, [&](auto body) {
      setId(client, body);
      body.setLease(dataOf(held.lease));
      if (random.oneIn(4)) return body.setAll(true);
      client.acking = random.oneIn(3) ? std::vector<JobId>{one} : held.jobs;
      auto ids = body.initIds(static_cast<uint32_t>(client.acking.size()));
      for (uint32_t at = 0; at < ids.size(); ++at) ids.set(at, dataOf(client.acking[at]));
    });
  }
  if (kind < 8) {
    return makeRequest<schema::FailRequest>(Method::fail, limits, [&](auto body) {
      setId(client, body);
      body.setLease(dataOf(held.lease));
      auto job = body.initJobs(1)[0];
      job.setId(dataOf(one));
      job.setReason("no luck");
      job.setDead(random.oneIn(3));
      if (random.oneIn(2)) job.setRetryDelayMs(random.from(1, 500));
    });
  }
  if (kind == 8) {
    return makeRequest<schema::ReleaseRequest>(Method::release, limits, [&](auto body) {
      setId(client, body);
      body.setLease(dataOf(held.lease));
      if (random.oneIn(2)) return body.setAll(true);
      body.initIds(1).set(0, dataOf(one));
    });
  }
  client.held.push_back(held);
  return makeRequest<schema::ExtendRequest>(Method::extend, limits, [&](auto body) {
    setId(client, body);
    body.setLease(dataOf(held.lease));
    body.setLeaseMs(random.from(100, 2500));
  });
}

std::shared_ptr<codec::Request> Clients::exchangeSome(Client& client) {
  ++counters.exchanges;
  const Held held = takeHeld(client);
  const Held failing = takeHeld(client);
  return makeRequest<schema::ExchangeRequest>(Method::exchange, limits, [&](auto body) {
    setId(client, body);
    body.setRequireAcks(random.oneIn(2));
    auto ack = body.initAcks(1)[0];
    ack.setLease(dataOf(held.lease));
    ack.setAll(true);
    if (random.oneIn(4) && !failing.jobs.empty()) {
      auto fail = body.initFails(1)[0];
      fail.setLease(dataOf(failing.lease));
      auto job = fail.initJobs(1)[0];
      job.setId(dataOf(failing.jobs[0]));
      job.setDead(random.oneIn(2));
    }
    if (random.oneIn(4)) {
      auto release = body.initReleases(1)[0];
      release.setLease(dataOf(failing.lease));
      release.setAll(true);
    }
    fillEnqueue(body.initEnqueues(1)[0]);
    if (random.oneIn(2)) fillFetch(client, body.initFetch(), false);
  });
}

std::shared_ptr<codec::Request> Clients::changeQueue(Client& client) {
  if (random.oneIn(6)) {
    return makeRequest<schema::DeleteQueueRequest>(Method::deleteQueue, limits, [&](auto body) {
      setId(client, body);
      body.setQueue(queueName());
    });
  }
  return makeRequest<schema::SetQueueRequest>(Method::setQueue, limits, [&](auto body) {
    setId(client, body);
    body.setQueue(queueName());
    if (random.oneIn(3)) {
      body.setPause(true);
    } else {
      body.setResume(true);
    }
    body.initSettings().setGroupQuantum(static_cast<uint32_t>(random.from(1, 3)));
  });
}

std::vector<JobId> Clients::deadOf(const std::string& queue) {
  std::vector<JobId> ids;
  if (node == nullptr) return ids;
  ReadCommand list;
  list.method = Method::listDead;
  list.tenant = codec::defaultTenant;
  list.queue = queue;
  list.limit = 10;
  list.payloadBytesMax = 16;
  for (const JobInfoValue& job : node->machine().read(list).jobs) ids.push_back(job.id);
  return ids;
}

std::shared_ptr<codec::Request> Clients::changeJobs(Client& client) {
  if (random.oneIn(2)) {
    return makeRequest<schema::DeleteJobsRequest>(Method::deleteJobs, limits, [&](auto body) {
      setId(client, body);
      auto ids = body.initIds(2);
      for (uint32_t at = 0; at < ids.size(); ++at) {
        ids.set(at, dataOf(known.empty() ? JobId{} : known[random.below(known.size())]));
      }
    });
  }
  const Method method = random.oneIn(3) ? Method::deleteDead : Method::redriveDead;
  return makeRequest<schema::DeadRequest>(method, limits, [&](auto body) {
    setId(client, body);
    const std::string queue = queueName();
    body.setQueue(queue);
    const std::vector<JobId> dead = deadOf(queue);
    if (dead.empty() || random.oneIn(3)) return body.setAll(true);
    body.initIds(1).set(0, dataOf(dead[random.below(dead.size())]));
  });
}

std::shared_ptr<codec::Request> Clients::changeSession(Client& client) {
  if (client.session != 0 && random.oneIn(4)) {
    const uint64_t session = std::exchange(client.session, 0);
    return makeRequest<schema::CloseSessionRequest>(Method::closeSession, limits,
                                                    [&](auto body) { body.setSession(session); });
  }
  return makeRequest<schema::OpenSessionRequest>(Method::openSession, limits,
                                                 [&](auto body) { body.setKeepMs(random.from(1000, 4000)); });
}

}  // namespace capstan::sim
