// Ends the process with the operands of a failed check on stderr. Owns nothing. Called by the macros of check.h.
// Writes with one system call, so that two threads' messages do not mix.
#include "base/check.h"

#include <unistd.h>

#include <cstdlib>

namespace capstan {

void endProcess(const char* file, int line, const std::string& what) {
  const std::string text = std::string("capstan: ") + file + ":" + std::to_string(line) + ": " + what + "\n";
  [[maybe_unused]] const ssize_t written = ::write(STDERR_FILENO, text.data(), text.size());
  std::abort();
}

void endForDamage(const std::string& what) {
  const std::string text = "capstan: " + what + "\n";
  [[maybe_unused]] const ssize_t written = ::write(STDERR_FILENO, text.data(), text.size());
  ::_exit(damagedExitCode);
}

}  // namespace capstan
