// The seam of base/files.h over the simulated disk: what the log and the data directory of a simulated node read and
// write. Owns nothing but the open handles. One thread.
#pragma once

#include <string>
#include <vector>

#include "base/files.h"
#include "sim/disk.h"

namespace capstan::sim {

class DiskFiles final : public FileSystem {
 public:
  explicit DiskFiles(Disk& disk) : disk(disk) {}

  Result<std::unique_ptr<File>> open(const std::string& path, OpenMode mode) override;
  Result<std::unique_ptr<File>> lock(const std::string& path) override;
  Result<void> makeDirectory(const std::string& path) override;
  Result<void> syncDirectory(const std::string& path) override;
  Result<void> rename(const std::string& from, const std::string& to) override;
  Result<void> remove(const std::string& path) override;
  Result<void> removeTree(const std::string& path) override;
  Result<std::vector<std::string>> list(const std::string& path) override;
  Result<bool> exists(const std::string& path) override;
  Result<DiskSpace> space(const std::string& path) override;
  std::string kind(const std::string& path) override { return "simulated"; }

 private:
  Disk& disk;
};

}  // namespace capstan::sim
