// Collects an entry's changes and overlays them over the database. Owns the knowledge of how a row of a family is
// removed. Called as transaction.h says.
#include "fsm/transaction.h"

#include "base/check.h"

namespace capstan::fsm {
namespace {

using storage::Family;

// Put and SingleDelete alternate strictly for each key of these: no overwrite, no Delete.
bool removedBySingleDelete(Family family) {
  return family == Family::jobs || family == Family::scheduled || family == Family::leases || family == Family::dead ||
         family == Family::done;
}

bool isOverlaid(Family family) {
  return family != Family::jobs && family != Family::lanes && family != Family::leases &&
         family != Family::leaseMarks && family != Family::queues && family != Family::groups && family != Family::meta;
}

rocksdb::Slice sliceOf(std::string_view text) { return {text.data(), text.size()}; }

}  // namespace

void Transaction::put(Family family, std::string_view key, std::string_view value) {
  const rocksdb::Status status = batch.Put(database.family(family), sliceOf(key), sliceOf(value));
  CAPSTAN_OS_CHECK(status.ok(), status.ToString());
  if (isOverlaid(family)) changed[static_cast<size_t>(family)].insert_or_assign(std::string(key), std::string(value));
}

void Transaction::remove(Family family, std::string_view key) {
  const rocksdb::Status status = removedBySingleDelete(family)
                                     ? batch.SingleDelete(database.family(family), sliceOf(key))
                                     : batch.Delete(database.family(family), sliceOf(key));
  CAPSTAN_OS_CHECK(status.ok(), status.ToString());
  if (isOverlaid(family)) changed[static_cast<size_t>(family)].insert_or_assign(std::string(key), std::nullopt);
}

std::optional<std::string> Transaction::get(Family family, const std::string& key) const {
  CAPSTAN_ASSERT(isOverlaid(family), static_cast<int>(family));
  const auto& rows = changed[static_cast<size_t>(family)];
  if (const auto found = rows.find(key); found != rows.end()) return found->second;
  return database.get(family, key);
}

ScannedRows Transaction::scan(Family family, const std::string& from, const std::string& to, size_t rowsMax) const {
  CAPSTAN_ASSERT(isOverlaid(family), static_cast<int>(family));
  const auto& rows = changed[static_cast<size_t>(family)];
  auto mine = rows.lower_bound(from);
  const auto iterator = database.iterate(family);
  iterator->Seek(from);
  ScannedRows found;
  uint64_t bytes = 0;
  for (;;) {
    const bool hasMine = mine != rows.end() && mine->first < to;
    const bool hasStored = iterator->Valid() && iterator->key().ToStringView() < to;
    if (!hasMine && !hasStored) break;
    if (found.rows.size() >= rowsMax || bytes >= stepBytesMax) {
      found.isAll = false;
      break;
    }
    if (hasMine && (!hasStored || mine->first <= iterator->key().ToStringView())) {
      if (hasStored && mine->first == iterator->key().ToStringView()) iterator->Next();
      if (mine->second) {
        found.rows.emplace_back(mine->first, *mine->second);
        bytes += mine->second->size();
      }
      ++mine;
    } else {
      found.rows.emplace_back(iterator->key().ToString(), iterator->value().ToString());
      bytes += iterator->value().size();
      iterator->Next();
    }
  }
  CAPSTAN_OS_CHECK(iterator->status().ok(), iterator->status().ToString());
  return found;
}

void Transaction::expect(uint64_t bytes) {
  CAPSTAN_ASSERT(batch.Count() == 0, batch.Count());
  if (bytes > batchBytesKept) batch = rocksdb::WriteBatch(bytes + bytes / 8);
}

void Transaction::commit() {
  database.write(batch);
  if (batch.Data().capacity() > batchBytesKept) {
    batch = rocksdb::WriteBatch();
  } else {
    batch.Clear();
  }
  for (auto& rows : changed) rows.clear();
}

std::string behindPrefix(std::string prefix) {
  while (!prefix.empty()) {
    if (static_cast<uint8_t>(prefix.back()) != 0xff) {
      prefix.back() = static_cast<char>(static_cast<uint8_t>(prefix.back()) + 1);
      return prefix;
    }
    prefix.pop_back();
  }
  return prefix;
}

}  // namespace capstan::fsm
