// What the rows of small families hold, and how they are written: a version byte, then little-endian fields in a fixed
// order. Owns no state. A version that this build does not know is damage or a newer build's row: the process ends and
// says which. Records of jobs are Cap'n Proto (schemas/entry.capnp JobRecord). Used within fsm/ only.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/check.h"
#include "base/ids.h"
#include "codec/limits.h"
#include "storage/keys.h"

namespace capstan::fsm {

inline constexpr uint8_t rowVersion = 1;

class RowWriter {
 public:
  RowWriter() { bytes.push_back(static_cast<char>(rowVersion)); }
  template <class Integer>
  RowWriter& number(Integer value) {
    char raw[sizeof(Integer)];
    std::memcpy(raw, &value, sizeof(Integer));
    bytes.append(raw, sizeof(Integer));
    return *this;
  }
  RowWriter& text(std::string_view value) {
    number(static_cast<uint32_t>(value.size()));
    bytes.append(value);
    return *this;
  }
  template <class Tag>
  RowWriter& id(const Id16<Tag>& value) {
    bytes.append(reinterpret_cast<const char*>(value.bytes.data()), 16);
    return *this;
  }
  std::string take() { return std::move(bytes); }

 private:
  std::string bytes;
};

class RowReader {
 public:
  explicit RowReader(std::string_view row) : rest(row) {
    const auto version = number<uint8_t>();
    CAPSTAN_ASSERT(version == rowVersion, static_cast<int>(version));
  }
  template <class Integer>
  Integer number() {
    CAPSTAN_ASSERT(rest.size() >= sizeof(Integer), rest.size());
    Integer value;
    std::memcpy(&value, rest.data(), sizeof(Integer));
    rest.remove_prefix(sizeof(Integer));
    return value;
  }
  std::string text() {
    const auto size = number<uint32_t>();
    CAPSTAN_ASSERT(rest.size() >= size, rest.size(), size);
    std::string value(rest.substr(0, size));
    rest.remove_prefix(size);
    return value;
  }
  template <class Id>
  Id id() {
    CAPSTAN_ASSERT(rest.size() >= 16, rest.size());
    const Id value = storage::idAt<Id>(rest, 0);
    rest.remove_prefix(16);
    return value;
  }
  std::string_view remaining() const { return rest; }

 private:
  std::string_view rest;
};

struct Counters {
  uint64_t scheduled = 0;
  uint64_t dead = 0;
  uint64_t enqueued = 0;
  uint64_t acked = 0;
  uint64_t failed = 0;
  uint64_t expired = 0;
  uint64_t died = 0;
  uint64_t bytes = 0;
};

struct AttemptRow {
  uint32_t attempts = 0;
  std::string lastError;
  std::string encode() const { return RowWriter().number(attempts).text(lastError).take(); }
  static AttemptRow decode(std::string_view row) {
    RowReader reader(row);
    AttemptRow made;
    made.attempts = reader.number<uint32_t>();
    made.lastError = reader.text();
    return made;
  }
};

// `meta`, one row: what apply needs to continue exactly where it was.
struct Meta {
  uint64_t index = 0;
  uint64_t term = 0;
  uint64_t elapsedMs = 0;
  int64_t wallMs = 0;
  uint64_t idMs = 0;  // of the last job id
  uint32_t idCounter = 0;
  uint64_t tokens = 0;    // the last token given
  uint64_t sessions = 0;  // the last session number
  uint64_t operations = 0;
  uint32_t queueNumber = 0;
  uint64_t attemptRows = 0;
  uint32_t clusterVersion = 1;
  std::array<uint8_t, 16> digest{};
  std::string confState;
  ClusterId clusterId;
  std::string secret;

  std::string encode() const {
    RowWriter row;
    row.number(index).number(term).number(elapsedMs).number(wallMs).number(idMs).number(idCounter).number(tokens);
    row.number(sessions).number(operations).number(queueNumber).number(attemptRows).number(clusterVersion);
    row.text({reinterpret_cast<const char*>(digest.data()), digest.size()}).text(confState).id(clusterId).text(secret);
    return row.take();
  }
  static Meta decode(std::string_view row) {
    RowReader reader(row);
    Meta made;
    made.index = reader.number<uint64_t>();
    made.term = reader.number<uint64_t>();
    made.elapsedMs = reader.number<uint64_t>();
    made.wallMs = reader.number<int64_t>();
    made.idMs = reader.number<uint64_t>();
    made.idCounter = reader.number<uint32_t>();
    made.tokens = reader.number<uint64_t>();
    made.sessions = reader.number<uint64_t>();
    made.operations = reader.number<uint64_t>();
    made.queueNumber = reader.number<uint32_t>();
    made.attemptRows = reader.number<uint64_t>();
    made.clusterVersion = reader.number<uint32_t>();
    const std::string digest = reader.text();
    CAPSTAN_ASSERT(digest.size() == 16, digest.size());
    std::memcpy(made.digest.data(), digest.data(), 16);
    made.confState = reader.text();
    made.clusterId = reader.id<ClusterId>();
    made.secret = reader.text();
    return made;
  }
};
inline constexpr std::string_view metaKey = "meta";

}  // namespace capstan::fsm
