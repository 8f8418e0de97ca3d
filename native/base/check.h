// Assertions that stay on in production. Owns the ways of ending the process on purpose: a bug of ours, a failure of
// the operating system that may not be survived (a failed fsync), and files that turn out to be damaged. Never used on
// what a client sent: that is validation and yields an Error. Called everywhere.
#pragma once

#include <sstream>
#include <string>

namespace capstan {

// Prints `what` to stderr in one write and aborts. Thread-safe.
[[noreturn]] void endProcess(const char* file, int line, const std::string& what);

// For damage that is met while serving: the process can neither answer nor apply. Prints `what`, which names the file,
// in one write, and exits with the code of an unusable data directory, which supervisors do not answer by a restart. No
// core is left, since the program is not at fault. Thread-safe.
constexpr int damagedExitCode = 3;
[[noreturn]] void endForDamage(const std::string& what);

template <class... Operands>
std::string describeOperands(const char* names, const Operands&... operands) {
  if constexpr (sizeof...(operands) == 0) {
    return std::string();
  } else {
    std::ostringstream out;
    out << " (" << names << " =";
    ((out << ' ' << operands), ...);
    out << ')';
    return out.str();
  }
}

}  // namespace capstan

// Our bug: CAPSTAN_ASSERT(index <= lastIndex, index, lastIndex).
#define CAPSTAN_ASSERT(condition, ...)                                                                 \
  do {                                                                                                 \
    if (!(condition)) [[unlikely]] {                                                                   \
      ::capstan::endProcess(__FILE__, __LINE__,                                                        \
                            std::string("assertion failed: " #condition) +                             \
                                ::capstan::describeOperands(#__VA_ARGS__ __VA_OPT__(, ) __VA_ARGS__)); \
    }                                                                                                  \
  } while (false)

// The operating system's failure that ends the process: CAPSTAN_OS_CHECK(ok, "fdatasync", path).
#define CAPSTAN_OS_CHECK(condition, ...)                                                               \
  do {                                                                                                 \
    if (!(condition)) [[unlikely]] {                                                                   \
      ::capstan::endProcess(__FILE__, __LINE__,                                                        \
                            std::string("the operating system failed: " #condition) +                  \
                                ::capstan::describeOperands(#__VA_ARGS__ __VA_OPT__(, ) __VA_ARGS__)); \
    }                                                                                                  \
  } while (false)
