// A state machine on a directory of its own, driven by entries made of real requests, for the tests of fsm/. Owns the
// directory and the log of all entries, which another node can be given as well. Used by native/test/fsm_*_test.cc
// only.
#pragma once

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "codec/entry.h"
#include "fsm/state_machine.h"
#include "test/codec_support.h"
#include "test/temporary_directory.h"

namespace capstan::fsm {

using codec::Method;
using schema::ErrorCode;

class Node {
 public:
  explicit Node(Options chosen = {}) : options(std::move(chosen)) {
    options.directory = directory.path + "/state";
    open();
    Founding founding;
    founding.clusterId.bytes.fill(7);
    founding.clusterSecret.fill(9);
    founding.confState = "voters";
    machine->found(founding);
    index = 1;
  }

  void open() { machine = StateMachine::open(options).take(); }
  void close() { machine = nullptr; }
  void restart() {
    close();
    open();
    index = machine->meta().appliedIndex;
  }

  // One entry of these requests. Time stands still unless `elapsedMs` and `wallMs` are moved.
  std::vector<CommandResult> runAll(const std::vector<const codec::Request*>& requests) {
    return applyEntry(codec::buildEntry(requests, codec::defaultTenant, limits));
  }
  template <class Struct, class Fill>
  CommandResult run(Method method, Fill fill) {
    auto request = make<Struct>(method, fill);
    return std::move(runAll({request.get()}).at(0));
  }
  template <class Struct, class Fill>
  std::unique_ptr<codec::Request> make(Method method, Fill fill) {
    auto request = codec::requestOf<Struct>(method, fill, limits);
    EXPECT_TRUE(request.ok()) << (request.ok() ? "" : request.error().message);
    return request.take();
  }
  void tick(uint32_t rowsMax = 10000) { applyEntry(codec::buildTickEntry(rowsMax)); }

  std::vector<CommandResult> applyEntry(std::vector<uint8_t> entry) {
    codec::Stamp stamp{elapsedMs, wallMs, {}};
    stamp.seed.fill(static_cast<uint8_t>(index * 31 + 5));
    codec::stampEntry(entry, stamp);
    log.push_back(std::move(entry));
    return replay(log.back());
  }
  std::vector<CommandResult> replay(const std::vector<uint8_t>& entry) {
    ++index;
    const Result<void> done = machine->apply(index, 1, entry, applied);
    EXPECT_TRUE(done.ok()) << (done.ok() ? "" : done.error().message);
    for (CommandResult& result : applied.results) fill(result);
    return std::move(applied.results);
  }
  void fill(CommandResult& result) {
    machine->fillRecords(result.jobs);
    for (CommandResult& part : result.parts) fill(part);
  }

  std::vector<JobId> enqueue(const std::string& queue, const std::vector<std::string>& payloads, int priority = 0,
                             const std::string& group = "", uint64_t delayMs = 0) {
    CommandResult result = run<schema::EnqueueRequest>(Method::enqueue, [&](schema::EnqueueRequest::Builder body) {
      body.setQueue(queue);
      auto jobs = body.initJobs(static_cast<uint32_t>(payloads.size()));
      for (uint32_t at = 0; at < payloads.size(); ++at) {
        jobs[at].setPayload(codec::dataOf(payloads[at]));
        jobs[at].setPriority(static_cast<uint8_t>(priority));
        jobs[at].setGroup(group);
        jobs[at].setDelayMs(delayMs);
      }
    });
    EXPECT_EQ(result.code, ErrorCode::OK);
    return result.ids;
  }
  std::unique_ptr<codec::Request> fetchRequest(const std::vector<std::string>& queues, uint32_t jobsMax,
                                               uint64_t leaseMs = 30'000) {
    return make<schema::FetchRequest>(Method::fetch, [&](schema::FetchRequest::Builder body) {
      auto names = body.initQueues(static_cast<uint32_t>(queues.size()));
      for (uint32_t at = 0; at < queues.size(); ++at) names.set(at, queues[at]);
      body.setJobsMax(jobsMax);
      body.setLeaseMs(leaseMs);
      body.setWorker("tester");
    });
  }
  CommandResult fetch(const std::vector<std::string>& queues, uint32_t jobsMax = 1, uint64_t leaseMs = 30'000) {
    const auto request = fetchRequest(queues, jobsMax, leaseMs);
    return std::move(runAll({request.get()}).at(0));
  }
  CommandResult ack(const LeaseId& lease, const std::vector<JobId>& ids) {
    return run<schema::AckRequest>(Method::ack, [&](schema::AckRequest::Builder body) {
      body.setLease(capnp::Data::Reader(lease.bytes.data(), 16));
      auto list = body.initIds(static_cast<uint32_t>(ids.size()));
      for (uint32_t at = 0; at < ids.size(); ++at) list.set(at, capnp::Data::Reader(ids[at].bytes.data(), 16));
    });
  }
  CommandResult fail(const LeaseId& lease, const JobId& id, bool dead = false, uint64_t delayMs = 0) {
    return run<schema::FailRequest>(Method::fail, [&](schema::FailRequest::Builder body) {
      body.setLease(capnp::Data::Reader(lease.bytes.data(), 16));
      auto job = body.initJobs(1)[0];
      job.setId(capnp::Data::Reader(id.bytes.data(), 16));
      job.setReason("no luck");
      job.setDead(dead);
      job.setRetryDelayMs(delayMs);
    });
  }
  QueueInfoValue info(const std::string& queue) {
    ReadCommand command;
    command.method = Method::getQueue;
    command.tenant = codec::defaultTenant;
    command.queue = queue;
    ReadResult result = machine->read(command);
    EXPECT_EQ(result.code, ErrorCode::OK) << queue;
    return result.queues.empty() ? QueueInfoValue{} : result.queues[0];
  }
  std::array<uint8_t, 16> digest() const { return machine->meta().digest; }

  TemporaryDirectory directory;
  Options options;
  codec::Limits limits;
  std::unique_ptr<StateMachine> machine;
  uint64_t index = 0;
  uint64_t elapsedMs = 1000;
  int64_t wallMs = 1'700'000'000'000;
  std::vector<std::vector<uint8_t>> log;
  Applied applied;
};

inline std::vector<JobId> idsOf(const CommandResult& result) {
  std::vector<JobId> ids;
  for (const GrantedJob& job : result.jobs) ids.push_back(job.id);
  return ids;
}

inline std::string payloadOf(const GrantedJob& job) {
  const kj::ArrayPtr<const capnp::word> segments[1] = {
      {reinterpret_cast<const capnp::word*>(job.record->words.get()), job.record->wordCount}};
  capnp::SegmentArrayMessageReader reader(kj::arrayPtr(segments, 1));
  const auto payload = reader.getRoot<schema::JobRecord>().getPayload();
  return {reinterpret_cast<const char*>(payload.begin()), payload.size()};
}

inline std::vector<std::string> payloadsOf(const CommandResult& result) {
  std::vector<std::string> payloads;
  for (const GrantedJob& job : result.jobs) payloads.push_back(payloadOf(job));
  return payloads;
}

}  // namespace capstan::fsm
