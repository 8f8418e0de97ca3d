// The ends of base/check.h for this program: the linker takes these, since base/ is a library. Owns the flag
// whether an end can be caught. Called by the assertions of the code under test.
#include "sim/ending.h"

#include <unistd.h>

#include <cstdlib>
#include <string>

#include "base/check.h"

namespace {

thread_local bool endable = false;

}  // namespace

namespace capstan {

void endProcess(const char* file, int line, const std::string& what) {
  const std::string text = std::string(file) + ":" + std::to_string(line) + ": " + what;
  if (endable) throw sim::ProcessEnded{text, what.starts_with("assertion failed")};
  const std::string shown = "sim: " + text + "\n";
  [[maybe_unused]] const ssize_t written = ::write(STDERR_FILENO, shown.data(), shown.size());
  std::abort();
}

void endForDamage(const std::string& what) { endProcess("the state", 0, what); }

namespace sim {

void setEndable(bool isEndable) { endable = isEndable; }

}  // namespace sim
}  // namespace capstan
