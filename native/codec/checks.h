// The state of one validation: the limits, the sums so far and the first fault. Owns no request and changes none.
// Each check returns false once something is wrong, so that checks chain with &&; the first fault stays. Used by the
// validate_*.cc files only. Cap'n Proto may throw out of the readers that are passed in; request.cc catches that.
#pragma once

#include <capnp/blob.h>
#include <capnp/list.h>

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

#include "base/result.h"
#include "capstan.capnp.h"
#include "codec/limits.h"
#include "codec/views.h"

namespace capstan::codec {

inline constexpr uint32_t headersPerJobMax = 128;
inline constexpr uint32_t receivedAboveMax = 1024;
inline constexpr uint32_t placeBytesMax = 512;  // an opaque `after`
inline constexpr uint32_t idBytes = 16;

// Where a value lies, for the message of a refusal only: a chain on the stack, made text when something is wrong.
struct Field {
  const char* name;
  const Field* parent = nullptr;
  int64_t index = -1;
  std::string text() const;
};

class Checks {
 public:
  Checks(const Limits& limits, uint64_t wordsMax) : limits(limits), wordsMax(wordsMax) {}

  const Limits& limits;
  uint64_t jobs = 0;          // jobs, ids and parts so far
  uint64_t commandBytes = 0;  // payloads, headers and names so far
  uint64_t replyBytes = 0;    // largest reply so far
  uint32_t readyJobs = 0;     // met so far, without delay
  Error fault;

  bool refuse(schema::ErrorCode code, const Field& field, const std::string& why);
  bool invalid(const Field& field, const std::string& why) {
    return refuse(schema::ErrorCode::INVALID_ARGUMENT, field, why);
  }

  // Counts what the entry will copy of the message: a message whose parts overlap could otherwise grow without end.
  bool takeBlob(const Field& field, uint64_t bytes);
  bool takeJobs(const Field& field, uint64_t count);

  bool range(const Field& field, uint64_t value, uint64_t least, uint64_t most);
  bool requiredName(const Field& field, capnp::Text::Reader text);
  bool optionalName(const Field& field, capnp::Text::Reader text);
  bool id(const Field& field, capnp::Data::Reader data);
  bool ids(const Field& field, capnp::List<capnp::Data>::Reader list);
  bool requestId(const Field& field, schema::RequestId::Reader request);

 private:
  const uint64_t wordsMax;
  uint64_t words = 0;
};

}  // namespace capstan::codec
