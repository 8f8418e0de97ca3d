// Random scripts over every operation of the state machine: single commands and entries of several, request ids and
// their retries, wall clocks that go back. Owns what it was granted and told, so that it can settle and repeat it. Used
// by native/test/fsm_*_test.cc only; a seed replays a failure.
#pragma once

#include <memory>
#include <random>
#include <utility>
#include <vector>

#include "test/fsm_support.h"

namespace capstan::fsm {

class Script {
 public:
  Script(Node& node, uint32_t seed) : node(node), random(seed) {
    node.limits.stateLimits.idempotencyKeepMs = 1500;
    node.limits.stateLimits.sessionResultsMax = 12;
    node.limits.stateLimits.leasedJobsMax = 150;
    node.limits.deadKeepMsMin = 1000;
  }

  // One entry, or one tick.
  void step() {
    node.elapsedMs += random() % 400;
    node.wallMs += static_cast<int64_t>(random() % 800) - 200;
    if (random() % 12 == 0) return node.tick(1 + random() % 50);
    if (random() % 40 == 0) return unsendOne();
    std::vector<std::shared_ptr<codec::Request>> requests;
    for (uint32_t count = random() % 3 == 0 ? 2 + random() % 5 : 1; count > 0; --count) requests.push_back(next());
    std::vector<const codec::Request*> pointers;
    for (const auto& request : requests) pointers.push_back(request.get());
    for (const CommandResult& result : node.runAll(pointers)) note(result);
  }

  uint64_t granted = 0;
  uint64_t refusedCommands = 0;

 private:
  using Granted = std::pair<LeaseId, std::vector<JobId>>;

  static capnp::Data::Reader dataOf(const JobId& id) { return {id.bytes.data(), 16}; }
  static capnp::Data::Reader dataOf(const LeaseId& id) { return {id.bytes.data(), 16}; }

  void note(const CommandResult& result) {
    if (result.code != ErrorCode::OK) ++refusedCommands;
    if (!result.lease.isZero()) {
      leases.emplace_back(result.lease, idsOf(result));
      granted += result.jobs.size();
    }
    if (result.session != 0) sessions.push_back({result.session, 0, 1});
    known.insert(known.end(), result.ids.begin(), result.ids.end());
    for (const CommandResult& part : result.parts) note(part);
  }

  std::shared_ptr<codec::Request> next() {
    if (!repeatable.empty() && random() % 10 == 0) return repeatable[random() % repeatable.size()];
    hasId = false;
    std::shared_ptr<codec::Request> made = makeOne();
    if (!hasId) return made;
    repeatable.push_back(made);
    if (repeatable.size() > 12) repeatable.erase(repeatable.begin());
    return made;
  }
  std::unique_ptr<codec::Request> makeOne() {
    switch (random() % 14) {
      case 0:
      case 1:
      case 2:
        return node.make<schema::EnqueueRequest>(Method::enqueue, [&](auto body) {
          setId(body);
          fillEnqueue(body);
        });
      case 3:
      case 4:
      case 5:
        return node.make<schema::FetchRequest>(Method::fetch, [&](auto body) {
          setId(body);
          fillFetch(body);
          if (random() % 4 == 0) body.setWaitMs(1000);
        });
      case 6:
      case 7:
      case 8:
        return settleSome();
      case 9:
        return exchangeOne();
      case 10:
        return changeQueue();
      case 11:
        return changeDead();
      case 12:
        return deleteSome();
      default:
        return changeSessions();
    }
  }

  struct SessionOfScript {
    uint64_t number;
    uint64_t last;
    uint64_t lowest;
  };
  template <class Body>
  void setId(Body body) {
    const uint32_t kind = random() % 6;
    if (kind > 1) return;
    hasId = true;
    auto id = body.initRequest();
    if (kind == 0) id.setIdempotencyKey("key " + std::to_string(random() % 8));
    if (sessions.empty() || (kind == 0 && random() % 2 == 0)) {
      if (kind == 1) hasId = false;
      return;
    }
    SessionOfScript& session = sessions[sessions.size() - 1 - random() % std::min<size_t>(sessions.size(), 3)];
    id.setSession(session.number);
    id.setSequence(random() % 20 == 0 ? 1 + random() % 5 : ++session.last);
    if (random() % 3 == 0) session.lowest += random() % (session.last + 3 - std::min(session.last, session.lowest));
    id.setLowestUnanswered(session.lowest);
    if (random() % 3 != 0) return;
    auto above = id.initReceivedAbove(1 + random() % 3);
    for (uint32_t at = 0; at < above.size(); ++at) above.set(at, session.lowest + random() % 9);
  }

  std::string queueName() { return "q" + std::to_string(random() % 4); }
  void fillEnqueue(schema::EnqueueRequest::Builder body) {
    body.setQueue(queueName());
    for (auto job : body.initJobs(1 + random() % 20)) {
      job.setPayload(codec::dataOf(std::string(random() % 300, 'p')));
      if (random() % 3 == 0) job.setPriority(static_cast<uint8_t>(random() % 16));
      if (random() % 3 == 0) job.setGroup("g" + std::to_string(random() % 5));
      const uint32_t when = random() % 9;
      if (when == 0) job.setDelayMs(1 + random() % 3000);
      if (when == 1) job.setRunAtMs(node.wallMs + static_cast<int64_t>(random() % 3000));
      if (random() % 4 == 0) job.setMaxAttempts(1 + random() % 3);
      if (random() % 8 == 0) job.initHeaders(1)[0].setName("h");
    }
  }
  void fillFetch(schema::FetchRequest::Builder body) {
    auto names = body.initQueues(1 + random() % 3);
    for (uint32_t at = 0; at < names.size(); ++at) names.set(at, queueName());
    body.setJobsMax(1 + random() % 12);
    if (random() % 3 == 0) body.setBytesMax(1 + random() % 1000);
    body.setLeaseMs(100 + random() % 2000);
  }

  Granted someLease() {
    if (leases.empty()) return {LeaseId{}, {JobId{}}};
    return leases[leases.size() - 1 - random() % std::min<size_t>(leases.size(), 12)];
  }
  std::unique_ptr<codec::Request> settleSome() {
    const auto [lease, ids] = someLease();
    const JobId one = ids.empty() ? JobId{} : ids[random() % ids.size()];
    switch (random() % 5) {
      case 0:
        return node.make<schema::FailRequest>(Method::fail, [&, lease = lease](auto body) {
          setId(body);
          fillFail(body, lease, one);
        });
      case 1:
        return node.make<schema::ReleaseRequest>(Method::release, [&, lease = lease](auto body) {
          setId(body);
          body.setLease(dataOf(lease));
          body.setAll(true);
        });
      case 2:
        return node.make<schema::ExtendRequest>(Method::extend, [&, lease = lease](auto body) {
          setId(body);
          body.setLease(dataOf(lease));
          body.setLeaseMs(100 + random() % 3000);
        });
      default:
        return node.make<schema::AckRequest>(Method::ack, [&, lease = lease, ids = ids](auto body) {
          setId(body);
          body.setLease(dataOf(lease));
          auto list = body.initIds(random() % 2 == 0 ? 1 : static_cast<uint32_t>(ids.size()));
          for (uint32_t at = 0; at < list.size(); ++at) list.set(at, dataOf(list.size() == 1 ? one : ids[at]));
        });
    }
  }
  void fillFail(schema::FailRequest::Builder body, const LeaseId& lease, const JobId& id) {
    body.setLease(dataOf(lease));
    auto job = body.initJobs(1)[0];
    job.setId(dataOf(id));
    job.setReason("no luck");
    job.setDead(random() % 3 == 0);
    if (random() % 2 == 0) job.setRetryDelayMs(1 + random() % 1000);
  }
  std::unique_ptr<codec::Request> exchangeOne() {
    const auto [lease, ids] = someLease();
    const auto [failing, failed] = someLease();
    return node.make<schema::ExchangeRequest>(Method::exchange,
                                              [&, lease = lease, failing = failing, failed = failed](auto body) {
                                                setId(body);
                                                body.setRequireAcks(random() % 2 == 0);
                                                auto ack = body.initAcks(1)[0];
                                                ack.setLease(dataOf(lease));
                                                ack.setAll(true);
                                                if (random() % 3 == 0 && !failed.empty())
                                                  fillFail(body.initFails(1)[0], failing, failed[0]);
                                                if (random() % 4 == 0) {
                                                  auto release = body.initReleases(1)[0];
                                                  release.setLease(dataOf(failing));
                                                  release.setAll(true);
                                                }
                                                fillEnqueue(body.initEnqueues(1)[0]);
                                                if (random() % 2 == 0) fillFetch(body.initFetch());
                                              });
  }

  std::unique_ptr<codec::Request> changeQueue() {
    const uint32_t kind = random() % 4;
    if (kind == 0) {
      return node.make<schema::DeleteQueueRequest>(Method::deleteQueue, [&](auto body) {
        setId(body);
        body.setQueue(queueName());
      });
    }
    return node.make<schema::SetQueueRequest>(Method::setQueue, [&](auto body) {
      setId(body);
      body.setQueue(queueName());
      if (kind == 1) body.setPause(true);
      if (kind >= 2) body.setResume(true);
      body.initSettings().setGroupQuantum(1 + random() % 3);
      body.getSettings().setDeadKeepMs(1000 + random() % 5000);
      body.getSettings().setBackoffBaseMs(1 + random() % 500);
    });
  }
  std::unique_ptr<codec::Request> changeDead() {
    const Method method = random() % 2 == 0 ? Method::redriveDead : Method::deleteDead;
    return node.make<schema::DeadRequest>(method, [&](auto body) {
      setId(body);
      body.setQueue(queueName());
      const std::vector<JobId> dead = deadOf(std::string(body.getQueue().cStr()));
      if (dead.empty() || random() % 4 == 0) return body.setAll(true);
      auto ids = body.initIds(1 + random() % 4);
      for (uint32_t at = 0; at < ids.size(); ++at) ids.set(at, dataOf(dead[random() % dead.size()]));
    });
  }
  std::vector<JobId> deadOf(const std::string& queue) {
    ReadCommand list;
    list.method = Method::listDead;
    list.tenant = codec::defaultTenant;
    list.queue = queue;
    list.limit = 20;
    std::vector<JobId> ids;
    for (const JobInfoValue& job : node.machine->read(list).jobs) ids.push_back(job.id);
    return ids;
  }
  std::unique_ptr<codec::Request> deleteSome() {
    return node.make<schema::DeleteJobsRequest>(Method::deleteJobs, [&](auto body) {
      setId(body);
      auto ids = body.initIds(3);
      for (uint32_t at = 0; at < 3; ++at) {
        const JobId id =
            known.empty() ? JobId{} : known[known.size() - 1 - random() % std::min<size_t>(known.size(), 60)];
        ids.set(at, dataOf(id));
      }
    });
  }
  std::unique_ptr<codec::Request> changeSessions() {
    if (!sessions.empty() && random() % 4 == 0) {
      return node.make<schema::CloseSessionRequest>(
          Method::closeSession, [&](auto body) { body.setSession(sessions[random() % sessions.size()].number); });
    }
    return node.make<schema::OpenSessionRequest>(Method::openSession,
                                                 [&](auto body) { body.setKeepMs(1000 + random() % 4000); });
  }
  void unsendOne() {
    const LeaseId lease = someLease().first;
    node.applyEntry(codec::buildUnsendEntry({&lease, 1}));
  }

  Node& node;
  std::mt19937 random;
  std::vector<Granted> leases;
  std::vector<JobId> known;
  std::vector<SessionOfScript> sessions;
  std::vector<std::shared_ptr<codec::Request>> repeatable;
  bool hasId = false;
};

}  // namespace capstan::fsm
