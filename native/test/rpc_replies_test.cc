// The reply of every method, encoded into a slab and read back by Cap'n Proto; each must fit into the bound that was
// given for it, and equal what the heap's encoder makes.
#include "rpc/replies.h"

#include <gtest/gtest.h>

#include "rpc/connection.h"
#include "test/rpc_support.h"

namespace capstan::rpc {
namespace {

using codec::Method;
using schema::ErrorCode;
namespace compat = schema::compat;

// A validated request of a method, as a connection makes it.
template <class Struct, class Fill>
std::unique_ptr<codec::Request> requestOf(Method method, Fill fill) {
  capnp::MallocMessageBuilder builder;
  fill(builder.initRoot<Struct>());
  auto pinned = codec::pinMessage(bytesOf(builder));
  const codec::Locate root = [](capnp::MessageReader& reader) {
    return capnp::AnyPointer::Reader(reader.getRoot<capnp::AnyPointer>());
  };
  auto request = codec::validate(method, pinned.take(), root, codec::Limits());
  EXPECT_TRUE(request.ok()) << request.error().message;
  return request.take();
}

template <class Struct>
std::unique_ptr<codec::Request> plainRequest(Method method) {
  return requestOf<Struct>(method, [](auto) {});
}

Received encoded(const Reply& reply) {
  const size_t bytesMax = (replyBytesMax(reply) + 7) / 8 * 8;
  std::vector<uint64_t> slab(bytesMax / 8, 0xaaaaaaaaaaaaaaaaull);
  const std::span<uint8_t> into(reinterpret_cast<uint8_t*>(slab.data()), bytesMax);
  const size_t bytes = encodeReply(reply, into);
  EXPECT_GT(bytes, 0u) << "the bound was too small";
  EXPECT_LE(bytes, bytesMax);
  const Bytes apart = encodeReply(reply);
  const Bytes inPlace(into.begin(), into.begin() + static_cast<ptrdiff_t>(bytes));
  Received received(inPlace);
  Received other(apart);
  EXPECT_TRUE(capnp::AnyStruct::Reader(received.message()) == capnp::AnyStruct::Reader(other.message()));
  return received;
}

Reply replyOf(const std::unique_ptr<codec::Request>& request, const CommandResult& result) {
  Reply reply;
  reply.question = 17;
  reply.request = request.get();
  reply.command = &result;
  reply.appliedIndex = 99;
  reply.sessionKeepMsDefault = 600'000;
  return reply;
}

Reply replyOf(const std::unique_ptr<codec::Request>& request, const ReadResult& result) {
  Reply reply;
  reply.question = 17;
  reply.request = request.get();
  reply.read = &result;
  reply.version = "1.2.3";
  return reply;
}

CommandResult failed(ErrorCode code, const char* message = "because", const char* field = "") {
  CommandResult result;
  result.code = code;
  result.error = std::make_unique<Error>(Error{code, message, field, 50});
  return result;
}

CommandResult granted(size_t jobs) {
  CommandResult result;
  result.lease.bytes.fill(0xcd);
  result.token = 5;
  result.leaseMs = 30'000;
  for (size_t i = 0; i < jobs; i++)
    result.jobs.push_back(jobOf(std::string(i * 100, 'p'), static_cast<uint8_t>(i + 1)));
  return result;
}

std::unique_ptr<codec::Request> enqueueRequest() {
  return requestOf<schema::EnqueueRequest>(Method::enqueue, [](auto body) { body.setQueue("q"); });
}

std::unique_ptr<codec::Request> fetchRequest() {
  return requestOf<schema::FetchRequest>(Method::fetch, [](auto body) { body.initQueues(1).set(0, "q"); });
}

std::unique_ptr<codec::Request> pollRequest() {
  return requestOf<compat::PollRequest>(Method::queueberPoll, [](auto body) { body.setLeaseValiditySecs(1); });
}

TEST(RpcReplies, refusalsCarryCodeFieldAndHint) {
  const auto request = enqueueRequest();
  const CommandResult result = failed(ErrorCode::BUSY, "too much", "jobs");
  Received received = encoded(replyOf(request, result));
  EXPECT_EQ(received.answer().getAnswerId(), 17u);
  const auto status = received.response<schema::EnqueueResponse>().getStatus();
  EXPECT_EQ(status.getCode(), ErrorCode::BUSY);
  EXPECT_STREQ(status.getMessage().cStr(), "too much");
  EXPECT_STREQ(status.getField().cStr(), "jobs");
  EXPECT_EQ(status.getRetryAfterMs(), 50u);
}

TEST(RpcReplies, refusalsOfReadsAreValuesToo) {
  const auto request = requestOf<schema::GetQueueRequest>(Method::getQueue, [](auto body) { body.setQueue("q"); });
  ReadResult result;
  result.code = ErrorCode::NOT_FOUND;
  result.error = std::make_unique<Error>(Error{ErrorCode::NOT_FOUND, "", "", 0});
  EXPECT_EQ(encoded(replyOf(request, result)).response<schema::QueueResponse>().getStatus().getCode(),
            ErrorCode::NOT_FOUND);
  const CommandResult refused = failed(ErrorCode::SHUTTING_DOWN);
  EXPECT_EQ(encoded(replyOf(request, refused)).response<schema::QueueResponse>().getStatus().getCode(),
            ErrorCode::SHUTTING_DOWN);
}

TEST(RpcReplies, queueberRefusalsAreExceptions) {
  const auto add = plainRequest<compat::AddRequest>(Method::queueberAdd);
  for (const auto& [code, type] : {std::pair{ErrorCode::BUSY, capnp::rpc::Exception::Type::OVERLOADED},
                                   std::pair{ErrorCode::DISK_FULL, capnp::rpc::Exception::Type::OVERLOADED},
                                   std::pair{ErrorCode::SHUTTING_DOWN, capnp::rpc::Exception::Type::OVERLOADED},
                                   std::pair{ErrorCode::TOO_LARGE, capnp::rpc::Exception::Type::FAILED}}) {
    const CommandResult result = failed(code, "why", "items[0].contents");
    Received received = encoded(replyOf(add, result));
    ASSERT_TRUE(received.answer().isException());
    EXPECT_EQ(received.answer().getException().getType(), type);
    const std::string reason = received.answer().getException().getReason().cStr();
    EXPECT_NE(reason.find("items[0].contents"), std::string::npos) << reason;
  }
}

TEST(RpcReplies, queueberSaysFalseForALostLease) {
  const Bytes lease(16, 1);
  const auto fillLease = [&](auto body) { body.setLease({lease.data(), lease.size()}); };
  const auto remove = requestOf<compat::RemoveRequest>(Method::queueberRemove, fillLease);
  const auto extend = requestOf<compat::ExtendRequest>(Method::queueberExtend, [&](auto body) {
    fillLease(body);
    body.setLeaseValiditySecs(1);
  });
  const CommandResult lost = failed(ErrorCode::LEASE_LOST);
  EXPECT_FALSE(encoded(replyOf(remove, lost)).response<compat::RemoveResponse>().getRemoved());
  EXPECT_FALSE(encoded(replyOf(extend, lost)).response<compat::ExtendResponse>().getExtended());
  CommandResult refused;
  refused.refused.push_back({0, ErrorCode::LEASE_LOST});
  EXPECT_FALSE(encoded(replyOf(remove, refused)).response<compat::RemoveResponse>().getRemoved());
  CommandResult done;
  done.accepted = 1;
  EXPECT_TRUE(encoded(replyOf(remove, done)).response<compat::RemoveResponse>().getRemoved());
  EXPECT_TRUE(encoded(replyOf(extend, done)).response<compat::ExtendResponse>().getExtended());
}

TEST(RpcReplies, queueberAddAndPoll) {
  CommandResult added;
  added.ids.resize(3);
  added.ids[2].bytes.fill(9);
  const auto add = plainRequest<compat::AddRequest>(Method::queueberAdd);
  Received ids = encoded(replyOf(add, added));
  ASSERT_EQ(ids.response<compat::AddResponse>().getIds().size(), 3u);
  EXPECT_EQ(ids.response<compat::AddResponse>().getIds()[2][15], 9);

  const auto poll = pollRequest();
  const CommandResult grant = granted(2);
  Received polled = encoded(replyOf(poll, grant));
  const auto items = polled.response<compat::PollResponse>().getItems();
  ASSERT_EQ(items.size(), 2u);
  EXPECT_EQ(items[1].getContents().size(), 100u);
  EXPECT_EQ(items[1].getId().size(), 16u);
  EXPECT_EQ(polled.response<compat::PollResponse>().getLease().size(), 16u);

  const CommandResult nothing;
  Received empty = encoded(replyOf(poll, nothing));
  EXPECT_EQ(empty.response<compat::PollResponse>().getItems().size(), 0u);
  EXPECT_EQ(empty.response<compat::PollResponse>().getLease().size(), 0u);
}

TEST(RpcReplies, enqueueAndItsIds) {
  CommandResult result;
  result.ids.resize(100);
  for (size_t i = 0; i < 100; i++) result.ids[i].bytes.fill(static_cast<uint8_t>(i));
  const auto request = enqueueRequest();
  Received received = encoded(replyOf(request, result));
  const auto response = received.response<schema::EnqueueResponse>();
  EXPECT_FALSE(response.hasStatus()) << "an absent status means ok";
  ASSERT_EQ(response.getIds().size(), 100u);
  EXPECT_EQ(response.getIds()[99][0], 99);
}

TEST(RpcReplies, fetchedJobsComeWhole) {
  const CommandResult result = granted(30);
  const auto request = fetchRequest();
  Received received = encoded(replyOf(request, result));
  const auto response = received.response<schema::FetchResponse>();
  EXPECT_EQ(response.getToken(), 5u);
  EXPECT_EQ(response.getLeaseMs(), 30'000u);
  EXPECT_EQ(response.getAppliedIndex(), 99u);
  EXPECT_EQ(response.getLease().size(), 16u);
  ASSERT_EQ(response.getJobs().size(), 30u);
  const auto job = response.getJobs()[29];
  EXPECT_EQ(textOf(job.getPayload()), std::string(2900, 'p'));
  EXPECT_EQ(job.getPriority(), 7);
  EXPECT_EQ(job.getAttempt(), 2u);
  EXPECT_EQ(job.getMaxAttempts(), 10u);
  EXPECT_EQ(job.getEnqueuedMs(), 1234);
  EXPECT_STREQ(job.getGroup().cStr(), "group");
  EXPECT_STREQ(job.getContentType().cStr(), "text/plain");
  ASSERT_EQ(job.getHeaders().size(), 1u);
  EXPECT_EQ(textOf(job.getHeaders()[0].getValue()), "abc");
}

TEST(RpcReplies, anEmptyFetchHasNoLease) {
  const CommandResult result;
  const auto request = fetchRequest();
  Received received = encoded(replyOf(request, result));
  EXPECT_EQ(received.response<schema::FetchResponse>().getLease().size(), 0u);
  EXPECT_EQ(received.response<schema::FetchResponse>().getJobs().size(), 0u);
  EXPECT_EQ(received.response<schema::FetchResponse>().getAppliedIndex(), 99u);
}

template <class Struct>
void expectSettled(Method method) {
  CommandResult result;
  result.accepted = 4;
  result.refused = {{1, ErrorCode::LEASE_LOST}, {3, ErrorCode::NOT_FOUND}};
  const Bytes lease(16, 1);
  const auto request = requestOf<Struct>(method, [&](auto body) {
    if constexpr (requires { body.initLease(16); }) body.setLease({lease.data(), lease.size()});
  });
  Received received = encoded(replyOf(request, result));
  const auto response = received.response<schema::SettleResponse>();
  EXPECT_EQ(response.getAccepted(), 4u);
  ASSERT_EQ(response.getRefused().size(), 2u);
  EXPECT_EQ(response.getRefused()[1].getIndex(), 3u);
  EXPECT_EQ(response.getRefused()[1].getCode(), ErrorCode::NOT_FOUND);
}

TEST(RpcReplies, settling) {
  expectSettled<schema::AckRequest>(Method::ack);
  expectSettled<schema::FailRequest>(Method::fail);
  expectSettled<schema::ReleaseRequest>(Method::release);
  expectSettled<schema::DeleteJobsRequest>(Method::deleteJobs);
}

TEST(RpcReplies, extension) {
  const Bytes lease(16, 1);
  const auto request = requestOf<schema::ExtendRequest>(Method::extend, [&](auto body) {
    body.setLease({lease.data(), lease.size()});
  });
  CommandResult result;
  result.accepted = 3;
  result.leaseMs = 20'000;
  Received received = encoded(replyOf(request, result));
  EXPECT_EQ(received.response<schema::ExtendResponse>().getOpenJobs(), 3u);
  EXPECT_EQ(received.response<schema::ExtendResponse>().getLeaseMs(), 20'000u);
}

TEST(RpcReplies, exchangeKeepsEachPartInItsPlace) {
  const Bytes lease(16, 1);
  const auto request = requestOf<schema::ExchangeRequest>(Method::exchange, [&](auto body) {
    for (auto ack : body.initAcks(2)) ack.setLease({lease.data(), lease.size()});
    body.initExtends(1)[0].setLease({lease.data(), lease.size()});
    body.initEnqueues(1)[0].setQueue("next");
    body.initFetch().initQueues(1).set(0, "next");
  });
  CommandResult result;
  result.parts.resize(5);
  result.parts[0].accepted = 1;
  result.parts[1] = failed(ErrorCode::LEASE_LOST);
  result.parts[2].accepted = 8;
  result.parts[3].ids.resize(2);
  result.parts[4] = granted(1);
  Received received = encoded(replyOf(request, result));
  const auto response = received.response<schema::ExchangeResponse>();
  ASSERT_EQ(response.getAcks().size(), 2u);
  EXPECT_EQ(response.getAcks()[0].getAccepted(), 1u);
  EXPECT_EQ(response.getAcks()[1].getStatus().getCode(), ErrorCode::LEASE_LOST);
  EXPECT_EQ(response.getFails().size(), 0u);
  EXPECT_EQ(response.getExtends()[0].getOpenJobs(), 8u);
  EXPECT_EQ(response.getEnqueues()[0].getIds().size(), 2u);
  EXPECT_EQ(response.getFetch().getJobs().size(), 1u);

  result.code = ErrorCode::REFUSED;
  result.error = std::make_unique<Error>(Error{ErrorCode::REFUSED, "no", "", 0});
  result.parts.pop_back();
  Received refused = encoded(replyOf(request, result));
  EXPECT_EQ(refused.response<schema::ExchangeResponse>().getStatus().getCode(), ErrorCode::REFUSED);
  EXPECT_EQ(refused.response<schema::ExchangeResponse>().getAcks()[1].getStatus().getCode(), ErrorCode::LEASE_LOST);
  EXPECT_FALSE(refused.response<schema::ExchangeResponse>().hasFetch());
}

// A client may repeat a sequence with another request than the first, whose result is what is kept.
TEST(RpcReplies, aKeptResultOfAnotherExchangeIsNoFault) {
  const Bytes lease(16, 1);
  const auto request = requestOf<schema::ExchangeRequest>(Method::exchange, [&](auto body) {
    for (auto ack : body.initAcks(3)) ack.setLease({lease.data(), lease.size()});
    for (auto enqueue : body.initEnqueues(200)) enqueue.setQueue("next");
  });
  CommandResult result;
  result.parts.resize(1);
  result.parts[0].accepted = 1;
  Reply reply = replyOf(request, result);
  Received received(encodeReply(reply));
  const auto response = received.response<schema::ExchangeResponse>();
  EXPECT_EQ(response.getAcks()[0].getAccepted(), 1u);
  EXPECT_EQ(response.getAcks()[2].getStatus().getCode(), ErrorCode::UNKNOWN);
  EXPECT_EQ(response.getEnqueues()[199].getStatus().getCode(), ErrorCode::UNKNOWN);
  std::vector<uint64_t> slab((replyBytesMax(reply) + 7) / 8);
  EXPECT_EQ(encodeReply(reply, {reinterpret_cast<uint8_t*>(slab.data()), slab.size() * 8}), 0u)
      << "larger than its result lets expect: then the heap's encoder is used";
}

TEST(RpcReplies, sessions) {
  const auto opening = plainRequest<schema::OpenSessionRequest>(Method::openSession);
  CommandResult result;
  result.session = 77;
  Received opened = encoded(replyOf(opening, result));
  EXPECT_EQ(opened.response<schema::OpenSessionResponse>().getSession(), 77u);
  EXPECT_EQ(opened.response<schema::OpenSessionResponse>().getKeepMs(), 600'000u);
  const auto closing =
      requestOf<schema::CloseSessionRequest>(Method::closeSession, [](auto body) { body.setSession(77); });
  EXPECT_EQ(encoded(replyOf(closing, CommandResult())).response<schema::StatusResponse>().getStatus().getCode(),
            ErrorCode::OK);
}

template <class Struct, class Fill>
void expectOperation(Method method, Fill fill) {
  CommandResult result;
  result.operation = 12;
  result.operationDone = 34;
  result.operationFinished = true;
  const auto request = requestOf<Struct>(method, fill);
  Received received = encoded(replyOf(request, result));
  EXPECT_EQ(received.response<schema::OperationResponse>().getOperation(), 12u);
  EXPECT_EQ(received.response<schema::OperationResponse>().getDone(), 34u);
  EXPECT_TRUE(received.response<schema::OperationResponse>().getFinished());
}

TEST(RpcReplies, operations) {
  const auto dead = [](auto body) {
    body.setQueue("q");
    body.setAll(true);
  };
  expectOperation<schema::DeleteQueueRequest>(Method::deleteQueue, [](auto body) { body.setQueue("q"); });
  expectOperation<schema::DeadRequest>(Method::redriveDead, dead);
  expectOperation<schema::DeadRequest>(Method::deleteDead, dead);
  const auto request =
      requestOf<schema::GetOperationRequest>(Method::getOperation, [](auto body) { body.setOperation(12); });
  ReadResult read;
  read.operation = 12;
  read.operationDone = 5;
  Received received = encoded(replyOf(request, read));
  EXPECT_EQ(received.response<schema::OperationResponse>().getDone(), 5u);
  EXPECT_FALSE(received.response<schema::OperationResponse>().getFinished());
}

TEST(RpcReplies, queues) {
  ReadResult read;
  read.appliedIndex = 6;
  read.next = "b";
  for (const char* name : {"a", "b"}) {
    QueueInfoValue queue;
    queue.name = name;
    queue.settings.paused = true;
    queue.settings.values.maxAttempts = 4;
    queue.ready = 11;
    queue.bytes = 12;
    read.queues.push_back(queue);
  }
  const auto listing = plainRequest<schema::ListQueuesRequest>(Method::listQueues);
  Received listed = encoded(replyOf(listing, read));
  const auto queues = listed.response<schema::ListQueuesResponse>();
  ASSERT_EQ(queues.getQueues().size(), 2u);
  EXPECT_STREQ(queues.getQueues()[1].getName().cStr(), "b");
  EXPECT_EQ(queues.getQueues()[1].getReady(), 11u);
  EXPECT_STREQ(queues.getNext().cStr(), "b");
  EXPECT_EQ(queues.getAppliedIndex(), 6u);
  for (const Method method : {Method::getQueue, Method::setQueue}) {
    const auto one = method == Method::getQueue
                         ? requestOf<schema::GetQueueRequest>(method, [](auto body) { body.setQueue("a"); })
                         : requestOf<schema::SetQueueRequest>(method, [](auto body) { body.setQueue("a"); });
    Received received = encoded(replyOf(one, read));
    EXPECT_TRUE(received.response<schema::QueueResponse>().getQueue().getSettings().getPaused());
    EXPECT_EQ(received.response<schema::QueueResponse>().getQueue().getSettings().getMaxAttempts(), 4u);
    EXPECT_EQ(received.response<schema::QueueResponse>().getAppliedIndex(), 6u);
  }
}

TEST(RpcReplies, jobsAreCutToWhatWasAskedFor) {
  ReadResult read;
  read.next = "place";
  JobInfoValue job;
  job.id.bytes.fill(3);
  job.queue = "mail";
  job.state = schema::JobState::DEAD;
  job.attempts = 2;
  job.deadMs = 8;
  job.lastError = std::string(8192, 'e');
  job.worker = "w";
  job.payloadBytesMax = 10;
  job.record = recordOf(std::string(1000, 'x'), "group");
  read.jobs.push_back(job);
  job.record = nullptr;
  read.jobs.push_back(job);
  const auto peek = requestOf<schema::PeekRequest>(Method::peek, [](auto body) { body.setQueue("mail"); });
  Received received = encoded(replyOf(peek, read));
  const auto jobs = received.response<schema::JobsResponse>();
  ASSERT_EQ(jobs.getJobs().size(), 2u);
  EXPECT_EQ(jobs.getJobs()[0].getPayload().size(), 10u);
  EXPECT_EQ(jobs.getJobs()[0].getPayloadBytes(), 1000u);
  EXPECT_EQ(jobs.getJobs()[0].getState(), schema::JobState::DEAD);
  EXPECT_EQ(jobs.getJobs()[0].getLastError().size(), 8192u);
  EXPECT_EQ(textOf(jobs.getNext()), "place");
  const Bytes id(16, 3);
  const auto getting = requestOf<schema::GetJobRequest>(Method::getJob, [&](auto body) {
    body.setId({id.data(), id.size()});
  });
  Received one = encoded(replyOf(getting, read));
  EXPECT_STREQ(one.response<schema::JobResponse>().getJob().getQueue().cStr(), "mail");
  EXPECT_STREQ(one.response<schema::JobResponse>().getJob().getWorker().cStr(), "w");
}

TEST(RpcReplies, serverInfo) {
  ReadResult read;
  read.server.clusterId.bytes.fill(4);
  read.server.nodeId = 1;
  read.server.appliedIndex = 2;
  read.server.term = 3;
  const auto request = plainRequest<schema::ServerInfoRequest>(Method::serverInfo);
  Received received = encoded(replyOf(request, read));
  const auto info = received.response<schema::ServerInfoResponse>();
  EXPECT_STREQ(info.getVersion().cStr(), "1.2.3");
  EXPECT_EQ(info.getClusterId().size(), 16u);
  EXPECT_EQ(info.getTerm(), 3u);
}

TEST(RpcReplies, longReasonsAreCut) {
  const Bytes frame = exceptionFrame(1, capnp::rpc::Exception::Type::FAILED, std::string(100'000, 'r'));
  EXPECT_LT(frame.size(), 3000u);
  EXPECT_EQ(Received(frame).answer().getException().getReason().size(), 2000u);
}

}  // namespace
}  // namespace capstan::rpc
