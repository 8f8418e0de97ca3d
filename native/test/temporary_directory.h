// A directory for one test: made empty, removed with everything in it at the end. Owns it. Used by native/test/*;
// declare it before what keeps files open in it, so that those go first.
#pragma once

#include <cstdlib>
#include <filesystem>
#include <string>

#include "base/check.h"

namespace capstan {

class TemporaryDirectory {
 public:
  explicit TemporaryDirectory(const std::string& below = "/tmp") : path(below + "/capstan-test-XXXXXX") {
    CAPSTAN_OS_CHECK(::mkdtemp(path.data()) != nullptr, path);
  }
  ~TemporaryDirectory() { std::filesystem::remove_all(path); }
  TemporaryDirectory(const TemporaryDirectory&) = delete;
  TemporaryDirectory& operator=(const TemporaryDirectory&) = delete;

  std::string path;
};

}  // namespace capstan
