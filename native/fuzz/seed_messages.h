// One real message of every method, as seeds. Owns nothing. In them 15 bytes 0xEE and a number stand for a granted
// lease, 15 bytes 0xDD and a number for a job's id (see apply.cc); other targets take them as they are. Used by
// seeds_main.cc only.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "codec/request.h"
#include "test/codec_support.h"

namespace capstan::fuzz {

struct SeedMessage {
  codec::Method method;
  std::string_view name;
  std::vector<uint8_t> frame;
};

inline std::string leaseMark(uint8_t number) { return std::string(15, '\xEE') + static_cast<char>(number); }
inline std::string idMark(uint8_t number) { return std::string(15, '\xDD') + static_cast<char>(number); }

template <class Body>
void setRequest(Body body, uint64_t sequence, const char* key = "") {
  auto id = body.initRequest();
  id.setSession(1);
  id.setSequence(sequence);
  id.setLowestUnanswered(1);
  id.setIdempotencyKey(key);
  id.initReceivedAbove(1).set(0, 3);
}

inline void fillEnqueue(schema::EnqueueRequest::Builder body, const char* queue) {
  body.setQueue(queue);
  auto jobs = body.initJobs(3);
  for (uint32_t at = 0; at < 3; ++at) jobs[at].setPayload(codec::dataOf(std::string(at * 20, 'p')));
  jobs[0].setGroup("tenant 7");
  jobs[0].setMaxAttempts(1);
  jobs[1].setPriority(3);
  jobs[1].setContentType("text/plain");
  jobs[1].initHeaders(1)[0].setName("trace");
  jobs[2].setDelayMs(500);
}

inline void fillFetch(schema::FetchRequest::Builder body) {
  auto queues = body.initQueues(2);
  queues.set(0, "mail");
  queues.set(1, "video");
  body.setJobsMax(4);
  body.setLeaseMs(1000);
  body.setWorker("w1");
}

template <class Body>
void setIds(Body body, uint8_t lease) {
  body.setLease(codec::dataOf(leaseMark(lease)));
  auto ids = body.initIds(2);
  for (uint8_t at = 0; at < 2; ++at) ids.set(at, codec::dataOf(idMark(at)));
}

inline std::vector<uint8_t> exchangeMessage() {
  return codec::frameOf<schema::ExchangeRequest>([](auto body) {
    body.setRequireAcks(true);
    auto ack = body.initAcks(1)[0];
    ack.setLease(codec::dataOf(leaseMark(0)));
    ack.setAll(true);
    auto fail = body.initFails(1)[0];
    fail.setLease(codec::dataOf(leaseMark(1)));
    fail.initJobs(1)[0].setId(codec::dataOf(idMark(4)));
    setIds(body.initReleases(1)[0], 2);
    auto extend = body.initExtends(1)[0];
    extend.setLease(codec::dataOf(leaseMark(3)));
    extend.setLeaseMs(1000);
    fillEnqueue(body.initEnqueues(1)[0], "video");
    fillFetch(body.initFetch());
  });
}

inline std::vector<SeedMessage> writeMessages() {
  using codec::dataOf;
  using codec::frameOf;
  using codec::Method;
  return {
      {Method::enqueue, "enqueue", frameOf<schema::EnqueueRequest>([](auto body) { fillEnqueue(body, "mail"); })},
      {Method::enqueue, "enqueue_once", frameOf<schema::EnqueueRequest>([](auto body) {
         setRequest(body, 1, "key");
         fillEnqueue(body, "mail");
       })},
      {Method::fetch, "fetch", frameOf<schema::FetchRequest>([](auto body) { fillFetch(body); })},
      {Method::fetch, "fetch_waiting", frameOf<schema::FetchRequest>([](auto body) {
         setRequest(body, 2);
         fillFetch(body);
         body.setWaitMs(5000);
         body.setBytesMax(30);
       })},
      {Method::ack, "ack", frameOf<schema::AckRequest>([](auto body) { setIds(body, 0); })},
      {Method::fail, "fail", frameOf<schema::FailRequest>([](auto body) {
         body.setLease(dataOf(leaseMark(0)));
         auto job = body.initJobs(1)[0];
         job.setId(dataOf(idMark(0)));
         job.setReason("no luck");
         job.setRetryDelayMs(200);
       })},
      {Method::extend, "extend", frameOf<schema::ExtendRequest>([](auto body) {
         body.setLease(dataOf(leaseMark(0)));
         body.setLeaseMs(2000);
       })},
      {Method::release, "release", frameOf<schema::ReleaseRequest>([](auto body) { setIds(body, 0); })},
      {Method::exchange, "exchange", exchangeMessage()},
      {Method::openSession, "open_session", frameOf<schema::OpenSessionRequest>([](auto body) {
         body.setName("worker");
         body.setKeepMs(5000);
       })},
      {Method::closeSession, "close_session",
       frameOf<schema::CloseSessionRequest>([](auto body) { body.setSession(1); })},
      {Method::setQueue, "set_queue", frameOf<schema::SetQueueRequest>([](auto body) {
         body.setQueue("mail");
         auto settings = body.initSettings();
         settings.setMaxAttempts(2);
         settings.setGroupQuantum(2);
         settings.setDeadKeepMs(5000);
       })},
      {Method::deleteQueue, "delete_queue",
       frameOf<schema::DeleteQueueRequest>([](auto body) { body.setQueue("mail"); })},
      {Method::deleteJobs, "delete_jobs", frameOf<schema::DeleteJobsRequest>([](auto body) {
         auto ids = body.initIds(2);
         for (uint8_t at = 0; at < 2; ++at) ids.set(at, dataOf(idMark(at)));
       })},
      {Method::redriveDead, "redrive_dead", frameOf<schema::DeadRequest>([](auto body) {
         body.setQueue("mail");
         body.setAll(true);
       })},
      {Method::deleteDead, "delete_dead", frameOf<schema::DeadRequest>([](auto body) {
         body.setQueue("mail");
         body.initIds(1).set(0, dataOf(idMark(0)));
       })},
      {Method::queueberAdd, "queueber_add", frameOf<schema::compat::AddRequest>([](auto body) {
         for (auto item : body.initItems(2)) item.setContents(dataOf("work"));
       })},
      {Method::queueberRemove, "queueber_remove", frameOf<schema::compat::RemoveRequest>([](auto body) {
         body.setId(dataOf(idMark(0)));
         body.setLease(dataOf(leaseMark(0)));
       })},
      {Method::queueberPoll, "queueber_poll", frameOf<schema::compat::PollRequest>([](auto body) {
         body.setLeaseValiditySecs(30);
         body.setNumItems(2);
         body.setTimeoutSecs(1);
       })},
      {Method::queueberExtend, "queueber_extend", frameOf<schema::compat::ExtendRequest>([](auto body) {
         body.setLease(dataOf(leaseMark(0)));
         body.setLeaseValiditySecs(30);
       })},
  };
}

inline std::vector<SeedMessage> readMessages() {
  using codec::dataOf;
  using codec::frameOf;
  using codec::Method;
  return {
      {Method::listQueues, "list_queues", frameOf<schema::ListQueuesRequest>([](auto body) {
         body.setAfter("a");
         body.setPrefix("m");
         body.setLimit(3);
       })},
      {Method::getQueue, "get_queue", frameOf<schema::GetQueueRequest>([](auto body) { body.setQueue("mail"); })},
      {Method::peek, "peek", frameOf<schema::PeekRequest>([](auto body) {
         body.setQueue("mail");
         body.setLimit(3);
         body.setPayloadBytesMax(4);
       })},
      {Method::getJob, "get_job", frameOf<schema::GetJobRequest>([](auto body) { body.setId(dataOf(idMark(0))); })},
      {Method::listDead, "list_dead", frameOf<schema::ListDeadRequest>([](auto body) {
         body.setQueue("mail");
         body.setLimit(3);
       })},
      {Method::getOperation, "get_operation",
       frameOf<schema::GetOperationRequest>([](auto body) { body.setOperation(1); })},
      {Method::serverInfo, "server_info", frameOf<schema::ServerInfoRequest>([](auto) {})},
  };
}

}  // namespace capstan::fuzz
