// Each option is tried as one of a family, then as one of the database; RocksDB's own parser says whether it is. Owns
// that order. Called as overrides.h says.
#include "storage/overrides.h"

#include <rocksdb/convenience.h>

#include "base/check.h"

namespace capstan::storage {

Result<Overrides> Overrides::parse(const std::string& text) {
  Map all;
  rocksdb::Status status = rocksdb::StringToMap(text, &all);
  if (!status.ok()) {
    return Error{schema::ErrorCode::INVALID_ARGUMENT, "RocksDB options: " + status.ToString(), "rocksdbOptions", 0};
  }
  Overrides found;
  for (const auto& [name, value] : all) {
    const Map one{{name, value}};
    rocksdb::ColumnFamilyOptions family;
    if (rocksdb::GetColumnFamilyOptionsFromMap(rocksdb::ConfigOptions(), {}, one, &family).ok()) {
      found.ofFamilies.insert({name, value});
      continue;
    }
    rocksdb::DBOptions database;
    status = rocksdb::GetDBOptionsFromMap(rocksdb::ConfigOptions(), {}, one, &database);
    if (!status.ok()) {
      return Error{schema::ErrorCode::INVALID_ARGUMENT,
                   "RocksDB option " + name + "=" + value + ": " + status.ToString(), "rocksdbOptions", 0};
    }
    found.ofDatabase.insert({name, value});
  }
  return found;
}

void Overrides::apply(rocksdb::DBOptions& options) const {
  const rocksdb::DBOptions base = options;
  const rocksdb::Status status = rocksdb::GetDBOptionsFromMap(rocksdb::ConfigOptions(), base, ofDatabase, &options);
  CAPSTAN_ASSERT(status.ok(), status.ToString());
}

void Overrides::apply(rocksdb::ColumnFamilyOptions& options) const {
  const rocksdb::ColumnFamilyOptions base = options;
  const rocksdb::Status status =
      rocksdb::GetColumnFamilyOptionsFromMap(rocksdb::ConfigOptions(), base, ofFamilies, &options);
  CAPSTAN_ASSERT(status.ok(), status.ToString());
}

}  // namespace capstan::storage
