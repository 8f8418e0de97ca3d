// The entry of libFuzzer's own main. Owns nothing. Which target runs is named by the environment, so that one program
// serves all of them; scripts/fuzz.mjs builds it with clang and sets CAPSTAN_FUZZ_TARGET.
#include <cstdlib>

#include "base/check.h"
#include "fuzz/targets.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const capstan::fuzz::Target& target = []() -> const capstan::fuzz::Target& {
    const char* name = std::getenv("CAPSTAN_FUZZ_TARGET");
    CAPSTAN_ASSERT(name != nullptr);
    return capstan::fuzz::targetNamed(name);
  }();
  target.run({data, size});
  return 0;
}
