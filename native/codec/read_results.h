// What a read of the state answers: plain values that every transport can encode. Made by fsm/ in a reader thread,
// encoded by rpc/. Owns all its bytes, and is bounded by the request's reply bytes.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/ids.h"
#include "base/result.h"
#include "capstan.capnp.h"
#include "codec/limits.h"
#include "codec/results.h"

namespace capstan {

struct QueueSettingsValue {
  bool paused = false;
  codec::QueueDefaults values;
};

struct QueueInfoValue {
  std::string name;
  QueueSettingsValue settings;
  uint64_t ready = 0;
  uint64_t leased = 0;
  uint64_t scheduled = 0;
  uint64_t dead = 0;
  uint64_t groups = 0;
  uint64_t enqueuedTotal = 0;
  uint64_t ackedTotal = 0;
  uint64_t failedTotal = 0;
  uint64_t expiredTotal = 0;
  uint64_t deadTotal = 0;
  uint64_t bytes = 0;
  bool deleting = false;
};

struct JobInfoValue {
  JobId id;
  std::string queue;
  schema::JobState state = schema::JobState::READY;
  uint32_t attempts = 0;
  uint32_t maxAttempts = 0;
  uint64_t dueInMs = 0;
  int64_t deadMs = 0;
  std::string lastError;
  std::string worker;
  uint32_t payloadBytesMax = 0xffffffffu;     // how much of the record's payload goes out
  std::shared_ptr<const RecordBytes> record;  // priority, group, headers, content type, payload, enqueuedMs
};

struct ServerStateValue {
  ClusterId clusterId;
  uint64_t nodeId = 0;
  uint64_t appliedIndex = 0;
  uint64_t durableIndex = 0;
  std::array<uint8_t, 16> digest{};
  uint64_t leaderId = 0;
  uint32_t clusterVersion = 0;
  uint64_t term = 0;
};

struct ReadResult {
  schema::ErrorCode code = schema::ErrorCode::OK;
  std::unique_ptr<Error> error;
  uint64_t appliedIndex = 0;
  std::vector<QueueInfoValue> queues;  // listQueues; getQueue and setQueue: one
  std::vector<JobInfoValue> jobs;      // peek, listDead; getJob: one
  std::string next;                    // listQueues, peek, listDead; empty at the end
  uint64_t operation = 0;              // getOperation
  uint64_t operationDone = 0;
  bool operationFinished = false;
  ServerStateValue server;  // serverInfo
};

}  // namespace capstan
