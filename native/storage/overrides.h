// Options of RocksDB that a benchmark sets otherwise than the server does, in RocksDB's own spelling:
// "compression=kSnappyCompression;bytes_per_sync=0;block_based_table_factory={block_size=4096}". Owns the sorting of
// each into those of the database and those of a family. It knows no option by name: RocksDB does. Called by
// database.cc.
//
// Threading: none. Errors: an option that RocksDB does not know, or a value it cannot read, is refused by name.
#pragma once

#include <rocksdb/options.h>

#include <string>
#include <unordered_map>

#include "base/result.h"

namespace capstan::storage {

class Overrides {
 public:
  static Result<Overrides> parse(const std::string& text);

  // Changes what is named and leaves the rest.
  void apply(rocksdb::DBOptions& options) const;
  void apply(rocksdb::ColumnFamilyOptions& options) const;

 private:
  using Map = std::unordered_map<std::string, std::string>;

  Map ofDatabase;
  Map ofFamilies;
};

}  // namespace capstan::storage
