// The whole life of jobs over the interface JobQueue, spoken by a stock client: every method is called at least once.
// Owns no rule of its own: the rules are those of capstan.capnp. Called by stock_client_main.cc with an empty server.
#include <cstring>

#include "stock_client.h"

namespace capstan::stock {
namespace {

using schema::ErrorCode;
using schema::JobState;

void expectCode(schema::Status::Reader status, ErrorCode code) {
  KJ_ASSERT(status.getCode() == code, static_cast<uint16_t>(status.getCode()), static_cast<uint16_t>(code), status);
}

struct Fetched {
  Bytes lease;
  uint64_t token = 0;
  std::vector<Bytes> ids;
  std::vector<Bytes> payloads;
  std::vector<uint32_t> attempts;
};

std::vector<Bytes> enqueue(World& world, Connection& connection, const char* queue,
                           const std::vector<Bytes>& payloads) {
  auto request = connection.jobs.enqueueRequest();
  auto body = request.initReq();
  body.setQueue(queue);
  auto jobs = body.initJobs(payloads.size());
  for (size_t i = 0; i < payloads.size(); i++) jobs[i].setPayload(dataOf(payloads[i]));
  auto response = request.send().wait(world.scope());
  expectCode(response.getResp().getStatus(), ErrorCode::OK);
  std::vector<Bytes> ids;
  for (auto id : response.getResp().getIds()) ids.push_back(bytesOf(id));
  KJ_ASSERT(ids.size() == payloads.size());
  return ids;
}

Fetched fetch(World& world, Connection& connection, std::initializer_list<const char*> queues, uint32_t jobsMax = 1,
              uint64_t leaseMs = 30'000, uint64_t waitMs = 0) {
  auto request = connection.jobs.fetchRequest();
  auto body = request.initReq();
  auto names = body.initQueues(queues.size());
  size_t index = 0;
  for (const char* queue : queues) names.set(index++, queue);
  body.setJobsMax(jobsMax);
  body.setLeaseMs(leaseMs);
  body.setWaitMs(waitMs);
  body.setWorker("stock");
  auto response = request.send().wait(world.scope());
  expectCode(response.getResp().getStatus(), ErrorCode::OK);
  Fetched fetched;
  fetched.lease = bytesOf(response.getResp().getLease());
  fetched.token = response.getResp().getToken();
  for (auto job : response.getResp().getJobs()) {
    fetched.ids.push_back(bytesOf(job.getId()));
    fetched.payloads.push_back(bytesOf(job.getPayload()));
    fetched.attempts.push_back(job.getAttempt());
  }
  KJ_ASSERT(fetched.lease.size() == (fetched.ids.empty() ? 0 : 16));
  return fetched;
}

struct Settled {
  uint32_t accepted;
  std::vector<std::pair<uint32_t, ErrorCode>> refused;
};

template <typename Response>
Settled settledOf(Response&& response) {
  expectCode(response.getResp().getStatus(), ErrorCode::OK);
  Settled settled{response.getResp().getAccepted(), {}};
  for (auto refusal : response.getResp().getRefused())
    settled.refused.emplace_back(refusal.getIndex(), refusal.getCode());
  return settled;
}

Settled ack(World& world, Connection& connection, const Bytes& lease, const std::vector<Bytes>& ids) {
  auto request = connection.jobs.ackRequest();
  auto body = request.initReq();
  body.setLease(dataOf(lease));
  auto list = body.initIds(ids.size());
  for (size_t i = 0; i < ids.size(); i++) list.set(i, dataOf(ids[i]));
  return settledOf(request.send().wait(world.scope()));
}

void enqueueFetchAck(World& world) {
  auto client = world.connect();
  auto request = client->jobs.enqueueRequest();
  auto body = request.initReq();
  body.setQueue("mail");
  auto jobs = body.initJobs(3);
  jobs[0].setPayload(dataOf("low"));
  jobs[1].setPayload(dataOf("high"));
  jobs[1].setPriority(9);
  jobs[1].setContentType("text/plain");
  jobs[1].setMaxAttempts(3);
  auto header = jobs[1].initHeaders(1)[0];
  header.setName("trace");
  header.setValue(dataOf("abc"));
  jobs[2].setPayload(dataOf("later"));
  jobs[2].setDelayMs(400);
  int64_t sentMs = nowMs();
  auto added = request.send().wait(world.scope());
  expectCode(added.getResp().getStatus(), ErrorCode::OK);
  KJ_ASSERT(added.getResp().getIds().size() == 3);

  auto fetching = client->jobs.fetchRequest();
  fetching.initReq().initQueues(1).set(0, "mail");
  fetching.getReq().setJobsMax(10);
  auto response = fetching.send().wait(world.scope());
  auto fetched = response.getResp();
  expectCode(fetched.getStatus(), ErrorCode::OK);
  KJ_ASSERT(fetched.getJobs().size() == 2, fetched.getJobs().size());
  auto high = fetched.getJobs()[0];
  KJ_ASSERT(bytesOf(high.getPayload()) == "high", "the higher priority first");
  KJ_ASSERT(high.getPriority() == 9 && high.getAttempt() == 1 && high.getMaxAttempts() == 3);
  KJ_ASSERT(high.getContentType() == "text/plain" && high.getHeaders().size() == 1);
  KJ_ASSERT(high.getHeaders()[0].getName() == "trace" && bytesOf(high.getHeaders()[0].getValue()) == "abc");
  KJ_ASSERT(high.getEnqueuedMs() > 0 && fetched.getToken() > 0 && fetched.getLeaseMs() == 30'000);
  KJ_ASSERT(bytesOf(high.getId()) == bytesOf(added.getResp().getIds()[1]));
  auto settled = ack(world, *client, bytesOf(fetched.getLease()),
                     {bytesOf(high.getId()), bytesOf(fetched.getJobs()[1].getId()), Bytes(16, 'x')});
  KJ_ASSERT(settled.accepted == 2 && settled.refused.size() == 1 && settled.refused[0].first == 2);

  auto late = fetch(world, *client, {"mail"}, 1, 30'000, 5000);
  int64_t tookMs = nowMs() - sentMs;
  KJ_ASSERT(late.payloads == std::vector<Bytes>{"later"} && tookMs >= 399, tookMs);
  KJ_ASSERT(late.token > fetched.getToken() || late.ids[0] != bytesOf(high.getId()));
  KJ_ASSERT(ack(world, *client, late.lease, late.ids).accepted == 1);
}

void queuesInTheOrderListed(World& world) {
  auto client = world.connect();
  enqueue(world, *client, "second", {"b"});
  enqueue(world, *client, "first", {"a"});
  auto fetched = fetch(world, *client, {"first", "second", "absent"}, 5);
  KJ_ASSERT((fetched.payloads == std::vector<Bytes>{"a", "b"}), fetched.payloads.size());
  auto request = client->jobs.ackRequest();
  request.initReq().setLease(dataOf(fetched.lease));
  request.getReq().setAll(true);
  KJ_ASSERT(settledOf(request.send().wait(world.scope())).accepted == 2);
}

void failRetriesAndThenDies(World& world) {
  auto client = world.connect();
  auto ids = enqueue(world, *client, "flaky", {"work"});
  for (uint32_t attempt = 1; attempt <= 3; attempt++) {
    auto fetched = fetch(world, *client, {"flaky"}, 1, 30'000, 5000);
    KJ_ASSERT(fetched.ids == ids && fetched.attempts[0] == attempt, attempt);
    auto request = client->jobs.failRequest();
    request.initReq().setLease(dataOf(fetched.lease));
    auto job = request.getReq().initJobs(1)[0];
    job.setId(dataOf(ids[0]));
    job.setReason("no luck");
    job.setRetryDelayMs(50);
    job.setDead(attempt == 3);
    KJ_ASSERT(settledOf(request.send().wait(world.scope())).accepted == 1);
  }
  auto listing = client->jobs.listDeadRequest();
  listing.initReq().setQueue("flaky");
  auto dead = listing.send().wait(world.scope());
  expectCode(dead.getResp().getStatus(), ErrorCode::OK);
  KJ_ASSERT(dead.getResp().getJobs().size() == 1);
  KJ_ASSERT(dead.getResp().getJobs()[0].getLastError() == "no luck");
  KJ_ASSERT(dead.getResp().getJobs()[0].getState() == JobState::DEAD);

  auto redrive = client->jobs.redriveDeadRequest();
  redrive.initReq().setQueue("flaky");
  redrive.getReq().initIds(1).set(0, dataOf(ids[0]));
  expectCode(redrive.send().wait(world.scope()).getResp().getStatus(), ErrorCode::OK);
  auto again = fetch(world, *client, {"flaky"}, 1, 30'000, 5000);
  KJ_ASSERT(again.payloads == std::vector<Bytes>{"work"}, "redriven");
  auto killing = client->jobs.failRequest();
  killing.initReq().setLease(dataOf(again.lease));
  auto job = killing.getReq().initJobs(1)[0];
  job.setId(dataOf(again.ids[0]));
  job.setDead(true);
  KJ_ASSERT(settledOf(killing.send().wait(world.scope())).accepted == 1);
  auto deleting = client->jobs.deleteDeadRequest();
  deleting.initReq().setQueue("flaky");
  deleting.getReq().setAll(true);
  auto operation = deleting.send().wait(world.scope());
  expectCode(operation.getResp().getStatus(), ErrorCode::OK);
  for (uint64_t id = operation.getResp().getOperation(); id != 0;) {
    auto asking = client->jobs.getOperationRequest();
    asking.initReq().setOperation(id);
    auto state = asking.send().wait(world.scope());
    if (state.getResp().getFinished() || state.getResp().getStatus().getCode() == ErrorCode::NOT_FOUND) break;
    world.sleep(10);
  }
  auto empty = client->jobs.listDeadRequest();
  empty.initReq().setQueue("flaky");
  KJ_ASSERT(empty.send().wait(world.scope()).getResp().getJobs().size() == 0);
}

void extendAndRelease(World& world) {
  auto client = world.connect();
  auto ids = enqueue(world, *client, "work", {"a", "b"});
  auto fetched = fetch(world, *client, {"work"}, 2, 300);
  auto extension = client->jobs.extendRequest();
  extension.initReq().setLease(dataOf(fetched.lease));
  extension.getReq().setLeaseMs(20'000);
  auto extended = extension.send().wait(world.scope());
  expectCode(extended.getResp().getStatus(), ErrorCode::OK);
  KJ_ASSERT(extended.getResp().getOpenJobs() == 2 && extended.getResp().getLeaseMs() == 20'000);
  world.sleep(500);
  KJ_ASSERT(fetch(world, *client, {"work"}, 2).ids.empty(), "still held");
  auto release = client->jobs.releaseRequest();
  release.initReq().setLease(dataOf(fetched.lease));
  release.getReq().setAll(true);
  KJ_ASSERT(settledOf(release.send().wait(world.scope())).accepted == 2);
  auto again = fetch(world, *client, {"work"}, 2);
  KJ_ASSERT(again.ids == ids && again.attempts[0] == 1, "given back uncounted, in place");
  KJ_ASSERT(again.token > fetched.token, "a newer grant has a larger token");
  auto lost = ack(world, *client, fetched.lease, ids);
  KJ_ASSERT(lost.accepted == 0 && lost.refused.size() == 2 && lost.refused[0].second == ErrorCode::LEASE_LOST);
  KJ_ASSERT(ack(world, *client, again.lease, ids).accepted == 2);
  auto gone = client->jobs.extendRequest();
  gone.initReq().setLease(dataOf(again.lease));
  gone.getReq().setLeaseMs(1000);
  expectCode(gone.send().wait(world.scope()).getResp().getStatus(), ErrorCode::LEASE_LOST);
}

void exchangeIsAtomic(World& world) {
  auto client = world.connect();
  enqueue(world, *client, "step1", {"input"});
  auto fetched = fetch(world, *client, {"step1"});
  auto handOver = [&]() {
    auto request = client->jobs.exchangeRequest();
    auto body = request.initReq();
    body.setRequireAcks(true);
    auto acked = body.initAcks(1)[0];
    acked.setLease(dataOf(fetched.lease));
    acked.initIds(1).set(0, dataOf(fetched.ids[0]));
    auto next = body.initEnqueues(1)[0];
    next.setQueue("step2");
    next.initJobs(1)[0].setPayload(dataOf("output"));
    body.initFetch().initQueues(1).set(0, "step2");
    return request.send().wait(world.scope());
  };
  auto done = handOver();
  expectCode(done.getResp().getStatus(), ErrorCode::OK);
  KJ_ASSERT(done.getResp().getAcks()[0].getAccepted() == 1);
  KJ_ASSERT(done.getResp().getEnqueues()[0].getIds().size() == 1);
  auto refused = handOver();
  expectCode(refused.getResp().getStatus(), ErrorCode::REFUSED);
  auto info = client->jobs.getQueueRequest();
  info.initReq().setQueue("step2");
  auto queue = info.send().wait(world.scope());
  KJ_ASSERT(queue.getResp().getQueue().getEnqueuedTotal() == 1, "nothing of the refused one was applied");
}

void sessionsAndKeysMakeRetriesSafe(World& world) {
  auto client = world.connect();
  auto opening = client->jobs.openSessionRequest();
  opening.initReq().setName("stock");
  auto opened = opening.send().wait(world.scope());
  expectCode(opened.getResp().getStatus(), ErrorCode::OK);
  uint64_t session = opened.getResp().getSession();
  KJ_ASSERT(session != 0 && opened.getResp().getKeepMs() == 600'000);
  auto send = [&](uint64_t sequence) {
    auto request = client->jobs.enqueueRequest();
    auto body = request.initReq();
    body.initRequest().setSession(session);
    body.getRequest().setSequence(sequence);
    body.getRequest().setLowestUnanswered(1);
    body.setQueue("once");
    body.initJobs(1)[0].setPayload(dataOf("x"));
    return request.send().wait(world.scope());
  };
  auto first = send(1);
  auto replay = send(1);
  expectCode(replay.getResp().getStatus(), ErrorCode::OK);
  KJ_ASSERT(bytesOf(first.getResp().getIds()[0]) == bytesOf(replay.getResp().getIds()[0]), "carried out once");
  auto second = send(2);
  KJ_ASSERT(bytesOf(first.getResp().getIds()[0]) != bytesOf(second.getResp().getIds()[0]));
  auto closing = client->jobs.closeSessionRequest();
  closing.initReq().setSession(session);
  expectCode(closing.send().wait(world.scope()).getResp().getStatus(), ErrorCode::OK);
  expectCode(send(3).getResp().getStatus(), ErrorCode::SESSION_EXPIRED);

  auto keyed = [&](const char* payload) {
    auto request = client->jobs.enqueueRequest();
    auto body = request.initReq();
    body.initRequest().setIdempotencyKey("order 7");
    body.setQueue("once");
    body.initJobs(1)[0].setPayload(dataOf(payload));
    return request.send().wait(world.scope());
  };
  auto one = keyed("same");
  auto two = keyed("same");
  expectCode(two.getResp().getStatus(), ErrorCode::OK);
  KJ_ASSERT(bytesOf(one.getResp().getIds()[0]) == bytesOf(two.getResp().getIds()[0]));
  expectCode(keyed("other").getResp().getStatus(), ErrorCode::IDEMPOTENCY_CONFLICT);
  KJ_ASSERT(fetch(world, *client, {"once"}, 10).ids.size() == 3);
}

void queuesCanBeLookedAtPausedAndDeleted(World& world) {
  auto client = world.connect();
  auto ids = enqueue(world, *client, "shelf", {"a", "b", "c"});
  auto peeking = client->jobs.peekRequest();
  peeking.initReq().setQueue("shelf");
  auto peeked = peeking.send().wait(world.scope());
  expectCode(peeked.getResp().getStatus(), ErrorCode::OK);
  KJ_ASSERT(peeked.getResp().getJobs().size() == 3 && bytesOf(peeked.getResp().getJobs()[0].getPayload()) == "a");

  auto setting = client->jobs.setQueueRequest();
  setting.initReq().setQueue("shelf");
  setting.getReq().setPause(true);
  auto paused = setting.send().wait(world.scope());
  expectCode(paused.getResp().getStatus(), ErrorCode::OK);
  KJ_ASSERT(paused.getResp().getQueue().getSettings().getPaused());
  KJ_ASSERT(fetch(world, *client, {"shelf"}, 3).ids.empty(), "a paused queue gives nothing out");
  auto resuming = client->jobs.setQueueRequest();
  resuming.initReq().setQueue("shelf");
  resuming.getReq().setResume(true);
  expectCode(resuming.send().wait(world.scope()).getResp().getStatus(), ErrorCode::OK);
  KJ_ASSERT(fetch(world, *client, {"shelf"}, 1).ids == std::vector<Bytes>{ids[0]});

  auto getting = client->jobs.getJobRequest();
  getting.initReq().setId(dataOf(ids[0]));
  auto job = getting.send().wait(world.scope());
  expectCode(job.getResp().getStatus(), ErrorCode::OK);
  KJ_ASSERT(job.getResp().getJob().getState() == JobState::LEASED && job.getResp().getJob().getWorker() == "stock");
  auto deleting = client->jobs.deleteJobsRequest();
  deleting.initReq().initIds(1).set(0, dataOf(ids[1]));
  KJ_ASSERT(settledOf(deleting.send().wait(world.scope())).accepted == 1);
  auto counting = client->jobs.getQueueRequest();
  counting.initReq().setQueue("shelf");
  auto counted = counting.send().wait(world.scope());
  auto queue = counted.getResp().getQueue();
  KJ_ASSERT(queue.getReady() == 1 && queue.getLeased() == 1 && queue.getEnqueuedTotal() == 3, queue);

  auto listing = client->jobs.listQueuesRequest();
  listing.initReq().setPrefix("sh");
  KJ_ASSERT(listing.send().wait(world.scope()).getResp().getQueues().size() == 1);
  auto dropping = client->jobs.deleteQueueRequest();
  dropping.initReq().setQueue("shelf");
  expectCode(dropping.send().wait(world.scope()).getResp().getStatus(), ErrorCode::OK);
  for (int turn = 0;; turn++) {
    auto asking = client->jobs.getQueueRequest();
    asking.initReq().setQueue("shelf");
    if (asking.send().wait(world.scope()).getResp().getStatus().getCode() == ErrorCode::NOT_FOUND) break;
    KJ_ASSERT(turn < 500, "the queue is not gone after 5 s");
    world.sleep(10);
  }
}

void refusalsAreValues(World& world) {
  auto client = world.connect();
  auto high = client->jobs.enqueueRequest();
  high.initReq().setQueue("q");
  high.getReq().initJobs(1)[0].setPriority(16);
  auto refused = high.send().wait(world.scope());
  expectCode(refused.getResp().getStatus(), ErrorCode::INVALID_ARGUMENT);
  KJ_ASSERT(std::strstr(refused.getResp().getStatus().getField().cStr(), "priority") != nullptr,
            refused.getResp().getStatus());
  auto nameless = client->jobs.enqueueRequest();
  nameless.initReq().initJobs(1);
  expectCode(nameless.send().wait(world.scope()).getResp().getStatus(), ErrorCode::INVALID_ARGUMENT);
  auto large = client->jobs.enqueueRequest();
  large.initReq().setQueue("q");
  large.getReq().initJobs(1)[0].initPayload((1u << 20) + 1);
  expectCode(large.send().wait(world.scope()).getResp().getStatus(), ErrorCode::TOO_LARGE);
  auto nowhere = client->jobs.fetchRequest();
  expectCode(nowhere.send().wait(world.scope()).getResp().getStatus(), ErrorCode::INVALID_ARGUMENT);
  auto unknown = client->jobs.getQueueRequest();
  unknown.initReq().setQueue("never made");
  expectCode(unknown.send().wait(world.scope()).getResp().getStatus(), ErrorCode::NOT_FOUND);
  auto strange = client->jobs.getJobRequest();
  strange.initReq().setId(dataOf("odd"));
  KJ_ASSERT(strange.send().wait(world.scope()).getResp().getStatus().getCode() != ErrorCode::OK);
}

void serverInfoSaysWhoItIs(World& world) {
  auto client = world.connect();
  enqueue(world, *client, "q", {"x"});
  auto response = client->jobs.serverInfoRequest().send().wait(world.scope());
  auto info = response.getResp();
  expectCode(info.getStatus(), ErrorCode::OK);
  KJ_ASSERT(info.getClusterId().size() == 16 && info.getNodeId() != 0 && info.getAppliedIndex() > 0);
  KJ_ASSERT(info.getVersion().size() > 0 && info.getTerm() > 0, info.getVersion());
}

}  // namespace

const std::vector<Scenario>& jobQueueScenarios() {
  static const std::vector<Scenario> scenarios{
      {"enqueueFetchAck", enqueueFetchAck},
      {"queuesInTheOrderListed", queuesInTheOrderListed},
      {"failRetriesAndThenDies", failRetriesAndThenDies},
      {"extendAndRelease", extendAndRelease},
      {"exchangeIsAtomic", exchangeIsAtomic},
      {"sessionsAndKeysMakeRetriesSafe", sessionsAndKeysMakeRetriesSafe},
      {"queuesCanBeLookedAtPausedAndDeleted", queuesCanBeLookedAtPausedAndDeleted},
      {"refusalsAreValues", refusalsAreValues},
      {"serverInfoSaysWhoItIs", serverInfoSaysWhoItIs},
  };
  return scenarios;
}

}  // namespace capstan::stock
