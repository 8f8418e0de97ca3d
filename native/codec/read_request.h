// A read of the state as plain values: made of a validated request by a listener worker, answered by fsm/ in a reader
// thread. Owns its strings. Immutable once made, so threads may share it.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "codec/request.h"

namespace capstan {

struct ReadCommand {
  codec::Method method =
      codec::Method::getQueue;  // listQueues, getQueue, peek, getJob, listDead, getOperation, serverInfo
  std::string tenant;
  std::string queue;             // getQueue, peek, listDead
  std::string after;             // listQueues: a name; peek, listDead: the opaque place of the last answer
  std::string prefix;            // listQueues
  uint32_t limit = 0;            // resolved, > 0
  uint32_t payloadBytesMax = 0;  // resolved; 0xffffffff: whole
  uint16_t state = 0;            // peek: schema::JobState ready or scheduled
  JobId id;                      // getJob
  uint64_t operation = 0;        // getOperation
};

namespace codec {
// A page of a list ends early, with `next`, when its rows hold this much.
inline constexpr uint32_t readBytesMax = 4u << 20;

ReadCommand makeRead(const Request& request, std::string_view tenant, const Limits& limits);
// The read that answers a finished setQueue with the queue as it is now.
ReadCommand makeQueueRead(const Request& setQueueRequest, std::string_view tenant);
}  // namespace codec

}  // namespace capstan
