// The one write batch of an entry, and what its earlier commands changed already: a point read or a scan while applying
// sees the batch over the database. Owns the batch. Called by every operation of fsm/; `commit` by the state machine.
//
// Rows of `jobs`, `lanes`, `leases`, `queues` and `groups` are not kept here: what is read of them while applying
// stands in memory (state.h), and a lane knows which of its rows the entry put and removed.
#pragma once

#include <rocksdb/write_batch.h>

#include <array>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "storage/database.h"

namespace capstan::fsm {

// A batch that has grown beyond it is given back rather than kept for the next entry.
inline constexpr uint64_t batchBytesKept = 4ull << 20;

// Work over many rows stops for this entry when their values have so many bytes, however many rows it might take.
inline constexpr uint64_t stepBytesMax = 16ull << 20;
// And all the commands of one entry together move at most so many bytes of records that are stored already, beyond the
// one that reaches it; what is left is refused with `busy`, or becomes work in steps.
inline constexpr uint64_t movedBytesMax = 64ull << 20;

struct ScannedRows {
  std::vector<std::pair<std::string, std::string>> rows;
  bool isAll = true;  // false: it ended early, and there may be more
};

class Transaction {
 public:
  explicit Transaction(storage::Database& database) : database(database) {}

  void put(storage::Family family, std::string_view key, std::string_view value);
  // By Delete or SingleDelete, as keys.h says of the family.
  void remove(storage::Family family, std::string_view key);

  std::optional<std::string> get(storage::Family family, const std::string& key) const;
  // The first rows of [from, to): at most `rowsMax`, and up to the one that reaches stepBytesMax.
  ScannedRows scan(storage::Family family, const std::string& from, const std::string& to, size_t rowsMax) const;

  // What comes has about so many bytes: a large batch is made at once, since growing would hold it twice and half
  // again.
  void expect(uint64_t bytes);
  std::string_view bytes() const { return batch.Data(); }
  void commit();  // writes the batch and becomes empty

 private:
  storage::Database& database;
  rocksdb::WriteBatch batch;
  std::array<std::map<std::string, std::optional<std::string>>, storage::familyCount> changed;
};

// The smallest key behind every key that begins with `prefix`; empty: none.
std::string behindPrefix(std::string prefix);

}  // namespace capstan::fsm
