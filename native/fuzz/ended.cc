// The failing of checks in the programs of this folder; the story is in ended.h. Owns the flag of the thread. It is
// linked instead of base/check.cc, never beside it.
#include "fuzz/ended.h"

#include <kj/exception.h>

#include <cstdio>
#include <cstdlib>
#include <utility>

#include "base/check.h"

namespace capstan {
namespace fuzz {
namespace {

struct Ended {};

bool& endingIsProper() {
  thread_local bool isProper = false;
  return isProper;
}

}  // namespace

bool returns(void (*work)(void*), void* with) {
  endingIsProper() = true;
  bool isDone = true;
  try {
    work(with);
  } catch (const Ended&) {
    isDone = false;
  } catch (const kj::Exception&) {
    // Nothing catches it in production either: it ends the process.
    isDone = false;
  }
  endingIsProper() = false;
  return isDone;
}

}  // namespace fuzz

void endProcess(const char* file, int line, const std::string& what) {
  if (fuzz::endingIsProper()) throw fuzz::Ended();
  std::fprintf(stderr, "capstan: %s:%d: %s\n", file, line, what.c_str());
  std::abort();
}

void endForDamage(const std::string& what) { endProcess("", 0, what); }

}  // namespace capstan
