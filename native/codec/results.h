// What the state machine answers to each command of an entry: plain values that every transport can encode.
// Owns no bytes of a client. Made by fsm/, carried by engine/, read by rpc/; never stored (entry.capnp has the rows).
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/ids.h"
#include "base/result.h"
#include "errors.capnp.h"

namespace capstan {

// The bytes of one stored job record (entry.capnp JobRecord, one segment without a table), aligned to 8 bytes.
struct RecordBytes {
  std::unique_ptr<uint64_t[]> words;
  uint32_t wordCount = 0;
};

struct GrantedJob {
  JobId id;
  uint32_t attempt = 1;
  uint32_t maxAttempts = 0;                   // resolved; 0xffffffff: unlimited
  uint16_t queueIndex = 0;                    // into the request's queues
  uint32_t payloadBytes = 0;                  // size in the window, for accounting
  std::string key;                            // key in family `jobs`, for the multi-get when `record` is null
  std::shared_ptr<const RecordBytes> record;  // null: not in the leader's cache, the readers fill it in
};

struct Refusal {
  uint32_t index;
  schema::ErrorCode code;
};

// One result. Which fields count depends on the command; a refused command carries only `error`.
struct CommandResult {
  schema::ErrorCode code = schema::ErrorCode::OK;
  std::unique_ptr<Error> error;  // message, field and retryAfterMs when code is not OK

  std::vector<JobId> ids;  // enqueue, in the order of the request

  LeaseId lease{};  // fetch: all zero when nothing was granted
  uint64_t token = 0;
  uint64_t leaseMs = 0;          // fetch, extend: what was granted
  std::vector<GrantedJob> jobs;  // fetch

  uint32_t accepted = 0;  // ack, fail, release, deleteJobs; extend: open jobs
  std::vector<Refusal> refused;

  uint64_t session = 0;    // openSession
  uint64_t operation = 0;  // bulk operations
  uint64_t operationDone = 0;
  bool operationFinished = false;

  // An exchange: its parts in the order acks, fails, releases, extends, enqueues, fetch. Empty otherwise.
  std::vector<CommandResult> parts;
};

}  // namespace capstan
