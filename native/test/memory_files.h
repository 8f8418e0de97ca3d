// A file system in memory that can lose what was not synced, as a power cut does: files keep what was synced beside
// what was written, the directory too. Owns the bytes; there is one directory, whatever the paths say. Used by one
// thread: by native/test/log_*_test.cc and by the fuzz targets.
#pragma once

#include <algorithm>
#include <cstring>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/check.h"
#include "base/files.h"

namespace capstan {

class MemoryFiles final : public FileSystem {
 public:
  using Bytes = std::vector<uint8_t>;
  struct Content {
    Bytes written;
    Bytes synced;
  };

  // A copy that a power cut leaves: of what was not synced, each file keeps the first `keptBytes` bytes that differ,
  // and whether unsynced changes of the directory happened is up to `keepsNames`.
  std::unique_ptr<MemoryFiles> afterPowerCut(size_t keptBytes = 0, bool keepsNames = false) const {
    auto left = std::make_unique<MemoryFiles>();
    for (const auto& [path, content] : keepsNames ? files : durableFiles) {
      auto copy = std::make_shared<Content>(Content{torn(*content, keptBytes), {}});
      copy->synced = copy->written;
      left->files[path] = copy;
    }
    left->durableFiles = left->files;
    return left;
  }
  void put(const std::string& path, Bytes bytes) {
    files[path] = durableFiles[path] = std::make_shared<Content>(Content{bytes, bytes});
  }
  const std::map<std::string, std::shared_ptr<Content>>& all() const { return files; }

  Result<std::unique_ptr<File>> open(const std::string& path, OpenMode mode) override {
    const auto found = files.find(path);
    if (mode == OpenMode::create) {
      if (found != files.end()) return failure(path, "is there already");
      return std::unique_ptr<File>(new Open(*this, files[path] = std::make_shared<Content>()));
    }
    if (found == files.end()) return failure(path, "no such file");
    return std::unique_ptr<File>(new Open(*this, found->second));
  }
  Result<std::unique_ptr<File>> lock(const std::string& path) override { return open(path, OpenMode::create); }
  Result<void> makeDirectory(const std::string&) override { return {}; }
  Result<void> syncDirectory(const std::string&) override {
    durableFiles = files;
    return {};
  }
  Result<void> rename(const std::string& from, const std::string& to) override {
    const auto found = files.find(from);
    if (found == files.end()) return failure(from, "no such file");
    auto moved = std::move(found->second);
    files.erase(found);
    files[to] = std::move(moved);
    return {};
  }
  Result<void> remove(const std::string& path) override {
    return files.erase(path) == 0 ? Result<void>(failure(path, "no such file")) : Result<void>();
  }
  Result<void> removeTree(const std::string& path) override { return remove(path); }
  Result<std::vector<std::string>> list(const std::string& path) override {
    std::vector<std::string> names;
    for (const auto& [name, content] : files) names.push_back(name.substr(path.size() + 1));
    return names;
  }
  Result<bool> exists(const std::string& path) override { return files.contains(path); }
  Result<DiskSpace> space(const std::string&) override { return DiskSpace{1ull << 40, 1ull << 40}; }
  std::string kind(const std::string&) override { return {}; }

  size_t syncsToFail = 0;  // the next ones

 private:
  // No test writes as much: a size beyond it came out of hostile bytes.
  static constexpr uint64_t fileBytesMax = 16u << 20;

  class Open final : public File {
   public:
    Open(MemoryFiles& owner, std::shared_ptr<Content> content) : owner(owner), content(std::move(content)) {}

    Result<size_t> read(uint64_t offset, std::span<uint8_t> into) override {
      const Bytes& bytes = content->written;
      if (offset >= bytes.size()) return size_t{0};
      const size_t count = std::min<uint64_t>(into.size(), bytes.size() - offset);
      std::memcpy(into.data(), bytes.data() + offset, count);
      return count;
    }
    Result<void> write(uint64_t offset, ByteSpan from) override {
      resize(std::max<uint64_t>(content->written.size(), offset + from.size()));
      if (!from.empty()) std::memcpy(content->written.data() + offset, from.data(), from.size());
      return {};
    }
    Result<void> write(uint64_t offset, std::span<const ByteSpan> parts) override {
      for (const ByteSpan part : parts) {
        if (Result<void> written = write(offset, part); !written) return written;
        offset += part.size();
      }
      return {};
    }
    Result<void> sync() override {
      if (owner.syncsToFail > 0) {
        --owner.syncsToFail;
        return failure("a file", "its sync fails");
      }
      content->synced = content->written;
      return {};
    }
    Result<void> allocate(uint64_t wanted) override {
      resize(std::max<uint64_t>(content->written.size(), wanted));
      return {};
    }
    Result<void> truncate(uint64_t wanted) override {
      resize(wanted);
      return {};
    }
    Result<uint64_t> size() override { return uint64_t{content->written.size()}; }

   private:
    void resize(uint64_t wanted) {
      CAPSTAN_ASSERT(wanted <= fileBytesMax, wanted);
      content->written.resize(wanted);
    }

    MemoryFiles& owner;
    const std::shared_ptr<Content> content;
  };

  static Error failure(const std::string& path, const char* what) {
    return Error{schema::ErrorCode::INTERNAL, path + ": " + what, "", 0};
  }
  static Bytes torn(const Content& content, size_t keptBytes) {
    Bytes bytes = content.synced;
    if (keptBytes == 0) return bytes;
    bytes.resize(std::max(bytes.size(), content.written.size()));
    for (size_t at = 0; at < content.written.size() && keptBytes > 0; ++at) {
      if (bytes[at] == content.written[at]) continue;
      bytes[at] = content.written[at];
      --keptBytes;
    }
    return bytes;
  }

  std::map<std::string, std::shared_ptr<Content>> files;
  std::map<std::string, std::shared_ptr<Content>> durableFiles;
};

}  // namespace capstan
