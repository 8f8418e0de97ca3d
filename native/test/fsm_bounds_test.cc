// What one entry may do to jobs that are stored already, and who is woken when leased jobs are at their limit: work in
// steps, typed refusals, nothing lost. Owns nothing. Driven through entries made of real requests.
#include "test/fsm_support.h"

namespace capstan::fsm {
namespace {

constexpr size_t mebi = 1u << 20;

capnp::Data::Reader dataOf(const JobId& id) { return {id.bytes.data(), 16}; }
capnp::Data::Reader dataOf(const LeaseId& id) { return {id.bytes.data(), 16}; }

// So many jobs of nearly 1 MiB, each lease with a few of them.
std::vector<CommandResult> leaseLargeJobs(Node& node, uint32_t jobs) {
  constexpr uint32_t jobsAtOnce = 12;
  std::vector<CommandResult> granted;
  for (uint32_t made = 0; made < jobs; made += jobsAtOnce) {
    node.enqueue("q", std::vector<std::string>(std::min(jobsAtOnce, jobs - made), std::string(mebi, 'p')));
    granted.push_back(node.run<schema::FetchRequest>(Method::fetch, [&](schema::FetchRequest::Builder body) {
      body.initQueues(1).set(0, "q");
      body.setJobsMax(jobsAtOnce);
      body.setBytesMax(16u << 20);
    }));
  }
  return granted;
}

template <class Body>
void fillFails(Body body, const std::vector<CommandResult>& granted, bool dead) {
  auto fails = body.initFails(static_cast<uint32_t>(granted.size()));
  for (uint32_t at = 0; at < granted.size(); ++at) {
    fails[at].setLease(dataOf(granted[at].lease));
    auto jobs = fails[at].initJobs(static_cast<uint32_t>(granted[at].jobs.size()));
    for (uint32_t job = 0; job < jobs.size(); ++job) {
      jobs[job].setId(dataOf(granted[at].jobs[job].id));
      jobs[job].setDead(dead);
      jobs[job].setRetryDelayMs(dead ? 0 : 1000);
    }
  }
}

CommandResult failAll(Node& node, const std::vector<CommandResult>& granted, bool dead, bool requireAcks) {
  return node.run<schema::ExchangeRequest>(Method::exchange, [&](schema::ExchangeRequest::Builder body) {
    body.setRequireAcks(requireAcks);
    fillFails(body, granted, dead);
  });
}

CommandResult changeDead(Node& node, Method method, const std::vector<JobId>& ids) {
  return node.run<schema::DeadRequest>(method, [&](schema::DeadRequest::Builder body) {
    body.setQueue("q");
    if (ids.empty()) body.setAll(true);
    auto list = body.initIds(static_cast<uint32_t>(ids.size()));
    for (uint32_t at = 0; at < ids.size(); ++at) list.set(at, dataOf(ids[at]));
  });
}

TEST(FsmBounds, anEntryMovesSoManyBytesOfFailedJobsAndRefusesTheRest) {
  Node node;
  std::vector<CommandResult> granted = leaseLargeJobs(node, 84);
  const CommandResult strict = failAll(node, granted, false, true);
  EXPECT_EQ(strict.code, ErrorCode::TOO_LARGE);
  EXPECT_EQ(strict.error->field, "fails");
  EXPECT_EQ(node.info("q").leased, 84u) << "nothing was applied";
  const CommandResult first = failAll(node, granted, false, false);
  ASSERT_EQ(first.code, ErrorCode::OK);
  std::vector<CommandResult> left;
  for (size_t at = 0; at < granted.size(); ++at) {
    if (first.parts[at].code == ErrorCode::OK) continue;
    EXPECT_EQ(first.parts[at].code, ErrorCode::BUSY);
    EXPECT_GT(first.parts[at].error->retryAfterMs, 0u);
    left.push_back(std::move(granted[at]));
  }
  EXPECT_EQ(left.size(), 2u) << "five leases of 12 MiB are within the bound";
  EXPECT_EQ(node.info("q").leased, 24u);
  const CommandResult second = failAll(node, left, false, true);
  EXPECT_EQ(second.code, ErrorCode::OK);
  EXPECT_EQ(node.info("q").scheduled, 84u);
}

TEST(FsmBounds, deadJobsByIdAreRedrivenAndDeletedInSteps) {
  Node node;
  const std::vector<CommandResult> granted = leaseLargeJobs(node, 48);
  EXPECT_EQ(failAll(node, granted, true, false).code, ErrorCode::OK);
  std::vector<JobId> ids;
  for (const CommandResult& lease : granted) {
    for (const GrantedJob& job : lease.jobs) ids.push_back(job.id);
  }
  ids.resize(40);
  ids.push_back(JobId{});
  const CommandResult begun = changeDead(node, Method::redriveDead, ids);
  ASSERT_EQ(begun.code, ErrorCode::OK);
  EXPECT_FALSE(begun.operationFinished);
  EXPECT_NE(begun.operation, 0u);
  ASSERT_EQ(begun.refused.size(), 1u);
  EXPECT_EQ(begun.refused[0].index, 40u);
  EXPECT_LT(begun.operationDone, 20u) << "16 MiB a step";
  EXPECT_EQ(node.info("q").ready, begun.operationDone);
  EXPECT_TRUE(node.machine->nextDue().now);
  // One that somebody else settles meanwhile is passed by.
  EXPECT_EQ(changeDead(node, Method::deleteDead, {ids[39]}).operationDone, 1u);
  node.machine->flush(true, true);
  node.restart();
  for (int ticks = 0; ticks < 5 && node.machine->nextDue().now; ++ticks) node.tick();
  EXPECT_FALSE(node.machine->nextDue().now);
  EXPECT_EQ(node.info("q").ready, 39u);
  EXPECT_EQ(node.info("q").dead, 8u);
  ReadCommand read;
  read.method = Method::getOperation;
  read.tenant = codec::defaultTenant;
  read.operation = begun.operation;
  const ReadResult operation = node.machine->read(read);
  EXPECT_TRUE(operation.operationFinished);
  EXPECT_EQ(operation.operationDone, 39u);
}

TEST(FsmBounds, redrivingAsksForLanesAndWhatIsDueNeedsNone) {
  Node node;
  node.limits.stateLimits.lanesMax = 1;
  const auto ids = node.enqueue("q", {"a"});
  const CommandResult granted = node.fetch({"q"});
  node.fail(granted.lease, ids[0], true);
  node.enqueue("q", {"b"}, 1);
  EXPECT_EQ(changeDead(node, Method::redriveDead, ids).code, ErrorCode::LIMIT_REACHED);
  EXPECT_EQ(changeDead(node, Method::redriveDead, {}).code, ErrorCode::LIMIT_REACHED);
  EXPECT_EQ(node.info("q").dead, 1u);
  const auto delayed = node.run<schema::EnqueueRequest>(Method::enqueue, [&](schema::EnqueueRequest::Builder body) {
    body.setQueue("q");
    auto job = body.initJobs(1)[0];
    job.setPriority(2);
    job.setDelayMs(1000);
  });
  EXPECT_EQ(delayed.code, ErrorCode::LIMIT_REACHED) << "it asks when it is enqueued";
  node.limits.stateLimits.lanesMax = 2;
  node.enqueue("q", {"c"}, 2, "", 1000);
  node.enqueue("q", {"d"}, 3);
  node.elapsedMs += 1000;
  node.tick();
  EXPECT_EQ(node.info("q").ready, 3u) << "a job that is due becomes ready beyond the limit";
  EXPECT_EQ(node.info("q").scheduled, 0u);
  node.limits.stateLimits.lanesMax = 4;
  EXPECT_EQ(changeDead(node, Method::redriveDead, ids).operationDone, 1u);
  EXPECT_EQ(node.info("q").ready, 4u);
}

CommandResult fetchWaiting(Node& node, const std::string& queue) {
  return node.run<schema::FetchRequest>(Method::fetch, [&](schema::FetchRequest::Builder body) {
    body.initQueues(1).set(0, queue);
    body.setWaitMs(5000);
  });
}

const QueueReady* toldOf(const Node& node, const std::string& queue) {
  for (const QueueReady& told : node.applied.queues) {
    if (told.queueHash == codec::queueHash(codec::defaultTenant, queue)) return &told;
  }
  return nullptr;
}

TEST(FsmBounds, atTheLimitOfLeasedJobsAFetchThatWaitsGoesOnWaitingAndIsToldOfRoom) {
  Node node;
  node.limits.stateLimits.leasedJobsMax = 2;
  const auto ids = node.enqueue("q", {"a", "b", "c", "d", "e"});
  const CommandResult granted = node.fetch({"q"}, 5);
  ASSERT_EQ(granted.jobs.size(), 2u);
  EXPECT_EQ(toldOf(node, "q")->grantable, 0u) << "three are ready and none can be given";
  EXPECT_EQ(node.fetch({"q"}).code, ErrorCode::BUSY) << "it does not wait";
  const CommandResult waiting = fetchWaiting(node, "q");
  EXPECT_EQ(waiting.code, ErrorCode::OK);
  EXPECT_TRUE(waiting.lease.isZero());
  node.enqueue("other", {"f"});
  EXPECT_EQ(toldOf(node, "other")->grantable, 0u);
  EXPECT_TRUE(fetchWaiting(node, "nothing").lease.isZero());
  node.ack(granted.lease, {ids[0]});
  for (const std::string queue : {"q", "other"}) {
    ASSERT_NE(toldOf(node, queue), nullptr) << queue;
    EXPECT_TRUE(toldOf(node, queue)->bumped) << queue;
    EXPECT_EQ(toldOf(node, queue)->grantable, 1u) << queue;
  }
  EXPECT_EQ(fetchWaiting(node, "q").jobs.size(), 1u);
  EXPECT_EQ(toldOf(node, "q")->grantable, 0u);
  // Whoever was woken for the other queue came too late, and waits on.
  EXPECT_TRUE(fetchWaiting(node, "other").lease.isZero());
  EXPECT_EQ(toldOf(node, "other")->grantable, 0u);
  // A lease that ends by itself makes room as well, in an entry that names no limits.
  node.elapsedMs += 60'000;
  node.tick();
  ASSERT_NE(toldOf(node, "other"), nullptr);
  EXPECT_TRUE(toldOf(node, "other")->bumped);
  EXPECT_EQ(toldOf(node, "other")->grantable, 1u);
  EXPECT_EQ(toldOf(node, "q")->grantable, 2u) << "no more than there is room for";
}

TEST(FsmTenants, jobsOfAnotherTenantAreNeitherReadNorDeleted) {
  Node node;
  const auto ready = node.enqueue("q", {"ready"});
  const CommandResult granted = node.fetch({"q"});
  const auto dead = node.enqueue("dead", {"dead"});
  const CommandResult failing = node.fetch({"dead"});
  node.fail(failing.lease, dead[0], true);
  const auto later = node.enqueue("q", {"later"}, 0, "", 5000);
  const auto second = node.enqueue("q", {"ready too"});
  const std::vector<JobId> ids{ready[0], dead[0], later[0], second[0]};
  const auto request = node.make<schema::DeleteJobsRequest>(Method::deleteJobs, [&](auto body) {
    auto list = body.initIds(static_cast<uint32_t>(ids.size()));
    for (uint32_t at = 0; at < ids.size(); ++at) list.set(at, dataOf(ids[at]));
  });
  const std::vector<const codec::Request*> requests{request.get()};
  const auto foreign = node.applyEntry(codec::buildEntry(requests, "another", node.limits));
  EXPECT_EQ(foreign.at(0).accepted, 0u);
  EXPECT_EQ(foreign.at(0).refused.size(), ids.size());
  ReadCommand get;
  get.method = Method::getJob;
  get.payloadBytesMax = 100;
  for (const JobId& id : ids) {
    get.id = id;
    get.tenant = "another";
    EXPECT_EQ(node.machine->read(get).code, ErrorCode::NOT_FOUND);
    get.tenant = codec::defaultTenant;
    EXPECT_EQ(node.machine->read(get).code, ErrorCode::OK);
  }
  EXPECT_EQ(node.ack(granted.lease, {ready[0]}).accepted, 1u) << "not doomed by somebody else";
  EXPECT_EQ(node.runAll(requests).at(0).accepted, 3u);
}

}  // namespace
}  // namespace capstan::fsm
