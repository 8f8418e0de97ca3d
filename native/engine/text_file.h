// Small files of "name value" lines that end with a checksum: the format, identity and manifest of a data directory.
// Owns their grammar and their atomic replacement. Called by data_directory.
//
//     capstan manifest        the kind
//     state 1                 one field a line: a name, a blank, a value without line ends
//     checksum 89abcdef       CRC-32C of all bytes before this line, hex
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/files.h"
#include "base/result.h"

namespace capstan::engine {

class TextFile {
 public:
  explicit TextFile(std::string kind) : kind(std::move(kind)) {}

  void set(std::string name, std::string value) { fields.emplace_back(std::move(name), std::move(value)); }
  void set(std::string name, uint64_t value) { set(std::move(name), std::to_string(value)); }
  std::optional<std::string> text(std::string_view name) const;
  std::optional<uint64_t> number(std::string_view name) const;

  std::string encode() const;
  // damaged: another kind, a wrong checksum, a line that is none.
  static Result<TextFile> decode(const std::string& kind, const std::string& path, std::string_view bytes);

  static Result<TextFile> read(FileSystem& files, const std::string& kind, const std::string& path);
  // Atomic and durable; `directory` is the one that holds it.
  Result<void> write(FileSystem& files, const std::string& directory, const std::string& name) const;

 private:
  std::string kind;
  std::vector<std::pair<std::string, std::string>> fields;
};

// An Error with the word `damaged`.
Error damagedFile(const std::string& path, const std::string& what);

}  // namespace capstan::engine
