// The stored record of a job (schemas/entry.capnp JobRecord): made once from a request, then looked at in place. Owns
// nothing but the bytes it makes. A record is one segment without a table; what its first words say is read without
// Cap'n Proto, since a refill looks at thousands of them wherever RocksDB has put them. Used within fsm/ only.
#pragma once

#include <cstdint>
#include <memory>
#include <string_view>

#include "capstan.capnp.h"
#include "codec/results.h"

namespace capstan::fsm {

inline constexpr uint16_t recordVersion = 1;

struct RecordFacts {
  uint32_t queue = 0;
  uint8_t priority = 0;
  uint32_t group = 0;
  uint32_t maxAttempts = 0;  // 0: the queue's setting
  int64_t enqueuedMs = 0;
  uint32_t payloadBytes = 0;
  uint32_t storedBytes = 0;  // payload and headers
};

std::shared_ptr<const RecordBytes> makeRecord(const RecordFacts& facts, schema::NewJob::Reader job);

// Ends the process on bytes that are no record of a version that this build knows.
RecordFacts readFacts(std::string_view record);

// Payload, names and values of the headers.
uint32_t storedBytesOf(schema::NewJob::Reader job);

std::shared_ptr<const RecordBytes> copyRecord(std::string_view record);

inline std::string_view viewOf(const RecordBytes& record) {
  return {reinterpret_cast<const char*>(record.words.get()), size_t{record.wordCount} * 8};
}

}  // namespace capstan::fsm
