// What the rows of small families hold, and how they are written: a version byte, then little-endian fields in a fixed
// order. Owns no state. A version that this build does not know is damage or a newer build's row: the process ends and
// says which. Records of jobs are Cap'n Proto (schemas/entry.capnp JobRecord). Used within fsm/ only.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
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
  // How many parts of at least `bytesEach` follow: never more than the bytes account for, so that a damaged row cannot
  // ask for memory without end.
  uint32_t count(size_t bytesEach) {
    const auto parts = number<uint32_t>();
    CAPSTAN_ASSERT(parts <= rest.size() / bytesEach, parts, rest.size());
    return parts;
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
  uint64_t evicted = 0;  // dead jobs whose retention was over
  uint64_t bytes = 0;
};

struct QueueRow {
  std::string tenant;
  std::string name;
  bool paused = false;
  bool deleting = false;
  codec::QueueDefaults settings;
  uint64_t deadDueMs = 0;  // of its timer of dead jobs; 0: none
  uint32_t groupNumber = 0;
  Counters counters;

  std::string encode() const {
    RowWriter row;
    row.text(tenant).text(name).number<uint8_t>(paused).number<uint8_t>(deleting);
    row.number(settings.maxAttempts).number(settings.backoffBaseMs).number(settings.backoffFactorPercent);
    row.number(settings.backoffMaxMs).number(settings.backoffJitterPercent).number(settings.deadKeepMs);
    row.number(settings.groupQuantum).number(deadDueMs).number(groupNumber);
    row.number(counters.scheduled).number(counters.dead).number(counters.enqueued).number(counters.acked);
    row.number(counters.failed).number(counters.expired).number(counters.died).number(counters.evicted);
    return row.number(counters.bytes).take();
  }
  static QueueRow decode(std::string_view bytes) {
    RowReader reader(bytes);
    QueueRow row;
    row.tenant = reader.text();
    row.name = reader.text();
    row.paused = reader.number<uint8_t>() != 0;
    row.deleting = reader.number<uint8_t>() != 0;
    row.settings.maxAttempts = reader.number<uint32_t>();
    row.settings.backoffBaseMs = reader.number<uint64_t>();
    row.settings.backoffFactorPercent = reader.number<uint32_t>();
    row.settings.backoffMaxMs = reader.number<uint64_t>();
    row.settings.backoffJitterPercent = reader.number<uint32_t>();
    row.settings.deadKeepMs = reader.number<uint64_t>();
    row.settings.groupQuantum = reader.number<uint32_t>();
    row.deadDueMs = reader.number<uint64_t>();
    row.groupNumber = reader.number<uint32_t>();
    row.counters.scheduled = reader.number<uint64_t>();
    row.counters.dead = reader.number<uint64_t>();
    row.counters.enqueued = reader.number<uint64_t>();
    row.counters.acked = reader.number<uint64_t>();
    row.counters.failed = reader.number<uint64_t>();
    row.counters.expired = reader.number<uint64_t>();
    row.counters.died = reader.number<uint64_t>();
    row.counters.evicted = reader.number<uint64_t>();
    row.counters.bytes = reader.number<uint64_t>();
    return row;
  }
};

// One granted job, as the row of its lease and the memory of the apply thread hold it.
struct LeaseItem {
  JobId id;
  storage::LaneKey lane;
  uint32_t payloadBytes = 0;
  uint32_t storedBytes = 0;
  uint32_t maxAttempts = 0;  // of the record
  uint32_t attempts = 0;     // before this grant
  uint16_t queueIndex = 0;   // into the queues of the fetch
  bool closed = false;       // these two stand in `lease_marks`
  bool doomed = false;       // deleted while leased: goes when it closes
};
inline constexpr size_t leaseItemBytes = 16 + 9 + 4 * 4 + 2;
struct LeaseRow {
  std::string worker;
  uint64_t deadlineMs = 0;
  uint64_t leaseMs = 0;
  uint64_t token = 0;
  std::vector<LeaseItem> items;

  std::string encode() const {
    RowWriter row;
    row.text(worker).number(deadlineMs).number(leaseMs).number(token).number(static_cast<uint32_t>(items.size()));
    for (const LeaseItem& item : items) {
      row.id(item.id).number(item.lane.queue).number(item.lane.priority).number(item.lane.group);
      row.number(item.payloadBytes).number(item.storedBytes).number(item.maxAttempts).number(item.attempts);
      row.number(item.queueIndex);
    }
    return row.take();
  }
  static LeaseRow decode(std::string_view bytes) {
    RowReader reader(bytes);
    LeaseRow row;
    row.worker = reader.text();
    row.deadlineMs = reader.number<uint64_t>();
    row.leaseMs = reader.number<uint64_t>();
    row.token = reader.number<uint64_t>();
    row.items.resize(reader.count(leaseItemBytes));
    for (LeaseItem& item : row.items) {
      item.id = reader.id<JobId>();
      item.lane.queue = reader.number<uint32_t>();
      item.lane.priority = reader.number<uint8_t>();
      item.lane.group = reader.number<uint32_t>();
      item.payloadBytes = reader.number<uint32_t>();
      item.storedBytes = reader.number<uint32_t>();
      item.maxAttempts = reader.number<uint32_t>();
      item.attempts = reader.number<uint32_t>();
      item.queueIndex = reader.number<uint16_t>();
    }
    return row;
  }
};

// `lease_marks`: the deadline as it was extended, then two bits an item: closed, doomed.
inline std::string encodeMarks(uint64_t deadlineMs, const std::vector<LeaseItem>& items) {
  std::string bits((items.size() + 3) / 4, 0);
  for (size_t at = 0; at < items.size(); ++at) {
    const int pair = (items[at].closed ? 1 : 0) | (items[at].doomed ? 2 : 0);
    bits[at / 4] = static_cast<char>(bits[at / 4] | (pair << (at % 4 * 2)));
  }
  return RowWriter().number(deadlineMs).text(bits).take();
}
inline uint64_t decodeMarks(std::string_view bytes, std::vector<LeaseItem>& items) {
  RowReader reader(bytes);
  const auto deadlineMs = reader.number<uint64_t>();
  const std::string bits = reader.text();
  CAPSTAN_ASSERT(bits.size() == (items.size() + 3) / 4, bits.size(), items.size());
  for (size_t at = 0; at < items.size(); ++at) {
    const int pair = bits[at / 4] >> (at % 4 * 2);
    items[at].closed = (pair & 1) != 0;
    items[at].doomed = (pair & 2) != 0;
  }
  return deadlineMs;
}

struct LaneRow {
  uint64_t count = 0;
  JobId cursor;
  std::string encode() const { return RowWriter().number(count).id(cursor).take(); }
  static LaneRow decode(std::string_view bytes) {
    RowReader reader(bytes);
    LaneRow row;
    row.count = reader.number<uint64_t>();
    row.cursor = reader.id<JobId>();
    return row;
  }
};

struct GroupRow {
  std::string name;
  uint64_t jobs = 0;
  std::string encode() const { return RowWriter().text(name).number(jobs).take(); }
  static GroupRow decode(std::string_view bytes) {
    RowReader reader(bytes);
    GroupRow row;
    row.name = reader.text();
    row.jobs = reader.number<uint64_t>();
    return row;
  }
};

struct TurnRow {
  uint32_t group = 0;
  uint32_t credit = 0;
  std::string encode() const { return RowWriter().number(group).number(credit).take(); }
  static TurnRow decode(std::string_view bytes) {
    RowReader reader(bytes);
    TurnRow row;
    row.group = reader.number<uint32_t>();
    row.credit = reader.number<uint32_t>();
    return row;
  }
};

// `sessions` at sequence 0. `received`: answered sequences above `lowest` whose results were dropped, as ranges.
struct SessionRow {
  std::string name;
  uint64_t keepMs = 0;
  uint64_t dueMs = 0;
  uint64_t lowest = 1;
  uint32_t results = 0;
  uint64_t resultBytes = 0;
  std::vector<std::pair<uint64_t, uint64_t>> received;  // [from, to), ascending, apart

  std::string encode() const {
    RowWriter row;
    row.text(name).number(keepMs).number(dueMs).number(lowest).number(results).number(resultBytes);
    row.number(static_cast<uint32_t>(received.size()));
    for (const auto& [from, to] : received) row.number(from).number(to);
    return row.take();
  }
  static SessionRow decode(std::string_view bytes) {
    RowReader reader(bytes);
    SessionRow row;
    row.name = reader.text();
    row.keepMs = reader.number<uint64_t>();
    row.dueMs = reader.number<uint64_t>();
    row.lowest = reader.number<uint64_t>();
    row.results = reader.number<uint32_t>();
    row.resultBytes = reader.number<uint64_t>();
    row.received.resize(reader.count(16));
    for (auto& [from, to] : row.received) {
      from = reader.number<uint64_t>();
      to = reader.number<uint64_t>();
    }
    return row;
  }
};

// `requests`: the result of a request with an idempotency key.
struct KeyedResultRow {
  std::string digest;
  uint64_t untilMs = 0;
  std::string result;
  std::string encode() const { return RowWriter().text(digest).number(untilMs).text(result).take(); }
  static KeyedResultRow decode(std::string_view bytes) {
    RowReader reader(bytes);
    KeyedResultRow row;
    row.digest = reader.text();
    row.untilMs = reader.number<uint64_t>();
    row.result = reader.text();
    return row;
  }
};

enum class OperationKind : uint8_t { deleteQueue = 1, redriveDead = 2, deleteDead = 3 };
struct OperationRow {
  OperationKind kind = OperationKind::deleteQueue;
  uint32_t queue = 0;
  uint8_t phase = 0;     // deleteQueue: 0 jobs, 1 scheduled, 2 dead, 3 the rest
  uint64_t untilMs = 0;  // dead jobs: those that were dead before
  uint64_t done = 0;
  bool finished = false;
  std::string place;  // where the next step goes on
  std::string encode() const {
    RowWriter row;
    row.number(static_cast<uint8_t>(kind)).number(queue).number(phase).number(untilMs).number(done);
    return row.number<uint8_t>(finished).text(place).take();
  }
  static OperationRow decode(std::string_view bytes) {
    RowReader reader(bytes);
    OperationRow row;
    row.kind = static_cast<OperationKind>(reader.number<uint8_t>());
    row.queue = reader.number<uint32_t>();
    row.phase = reader.number<uint8_t>();
    row.untilMs = reader.number<uint64_t>();
    row.done = reader.number<uint64_t>();
    row.finished = reader.number<uint8_t>() != 0;
    row.place = reader.text();
    return row;
  }
};

// `places`: the family and the key of a record that is not where its id says.
inline std::string encodePlace(storage::Family family, std::string_view key) {
  return RowWriter().number(static_cast<uint8_t>(family)).text(key).take();
}
inline std::pair<storage::Family, std::string> decodePlace(std::string_view bytes) {
  RowReader reader(bytes);
  const auto family = static_cast<storage::Family>(reader.number<uint8_t>());
  return {family, reader.text()};
}

// `dead`: when it died, then its record.
inline std::string encodeDead(int64_t wallMs, std::string_view record) {
  return RowWriter().number(wallMs).text(record).take();
}
inline std::pair<int64_t, std::string> decodeDead(std::string_view bytes) {
  RowReader reader(bytes);
  const auto wallMs = reader.number<int64_t>();
  return {wallMs, reader.text()};
}

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
  uint64_t sessions = 0;  // how many were opened
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
