// Writing and reading of the small checksummed text files of text_file.h. Owns nothing. It never repairs: what does not
// add up is damage. Called by data_directory.
#include "engine/text_file.h"

#include <charconv>
#include <cstdio>

#include "base/crc32c.h"

namespace capstan::engine {
namespace {

constexpr uint64_t bytesMax = 1 << 20;
constexpr std::string_view checksumName = "checksum ";

std::string checksumLine(std::string_view before) {
  char hex[9];
  std::snprintf(hex, sizeof(hex), "%08x", crc32c(0, asBytes(before)));
  return std::string(checksumName) + hex + "\n";
}

}  // namespace

Error damagedFile(const std::string& path, const std::string& what) {
  return Error{schema::ErrorCode::INTERNAL, path + " is damaged: " + what, "damaged", 0};
}

std::optional<std::string> TextFile::text(std::string_view name) const {
  for (const auto& [known, value] : fields) {
    if (known == name) return value;
  }
  return std::nullopt;
}

std::optional<uint64_t> TextFile::number(std::string_view name) const {
  const std::optional<std::string> value = text(name);
  if (!value) return std::nullopt;
  uint64_t number = 0;
  const auto [end, code] = std::from_chars(value->data(), value->data() + value->size(), number);
  if (code != std::errc() || end != value->data() + value->size()) return std::nullopt;
  return number;
}

std::string TextFile::encode() const {
  std::string bytes = "capstan " + kind + "\n";
  for (const auto& [name, value] : fields) {
    bytes += name;
    bytes += ' ';
    bytes += value;
    bytes += '\n';
  }
  return bytes + checksumLine(bytes);
}

Result<TextFile> TextFile::decode(const std::string& kind, const std::string& path, std::string_view bytes) {
  const std::string first = "capstan " + kind + "\n";
  if (!bytes.starts_with(first)) return damagedFile(path, "it does not begin as a " + kind + " file of Capstan does");
  const size_t last = bytes.rfind(std::string("\n") + std::string(checksumName));
  if (last == std::string_view::npos) return damagedFile(path, "its checksum is missing");
  if (bytes.substr(last + 1) != checksumLine(bytes.substr(0, last + 1))) {
    return damagedFile(path, "its checksum is wrong");
  }
  TextFile file(kind);
  std::string_view rest = bytes.substr(0, last + 1);
  rest.remove_prefix(first.size());
  while (!rest.empty()) {
    const std::string_view line = rest.substr(0, rest.find('\n'));
    rest.remove_prefix(line.size() + 1);
    const size_t blank = line.find(' ');
    if (blank == std::string_view::npos || blank == 0) return damagedFile(path, "a line has no value");
    file.set(std::string(line.substr(0, blank)), std::string(line.substr(blank + 1)));
  }
  return file;
}

Result<TextFile> TextFile::read(FileSystem& files, const std::string& kind, const std::string& path) {
  Result<std::unique_ptr<File>> file = files.open(path, OpenMode::read);
  if (!file) return file.takeError();
  Result<uint64_t> size = file.value()->size();
  if (!size) return size.takeError();
  if (size.value() > bytesMax) return damagedFile(path, "it is too large");
  std::vector<uint8_t> bytes(size.value());
  Result<size_t> got = file.value()->read(0, bytes);
  if (!got) return got.takeError();
  bytes.resize(got.value());
  return decode(kind, path, asText(bytes));
}

Result<void> TextFile::write(FileSystem& files, const std::string& directory, const std::string& name) const {
  const std::string path = directory + "/" + name;
  const std::string fresh = path + ".new";
  Result<bool> isLeft = files.exists(fresh);
  if (!isLeft) return isLeft.takeError();
  if (isLeft.value()) {
    if (Result<void> removed = files.remove(fresh); !removed) return removed;
  }
  {
    Result<std::unique_ptr<File>> file = files.open(fresh, OpenMode::create);
    if (!file) return file.takeError();
    const std::string bytes = encode();
    if (Result<void> written = file.value()->write(0, asBytes(bytes)); !written) return written;
    if (Result<void> synced = file.value()->sync(); !synced) return synced;
  }
  if (Result<void> renamed = files.rename(fresh, path); !renamed) return renamed;
  return files.syncDirectory(directory);
}

}  // namespace capstan::engine
