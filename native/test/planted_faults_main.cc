// Owns: faults that are planted on purpose, so that a sanitizer build can show that it catches them: a run that finds
// nothing must mean that nothing is there. Built only in sanitizer builds; called by scripts/sanitize.mjs with the name
// of one fault. It ends with 0 when the fault went unnoticed, which the script takes for a failure.
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string_view>
#include <thread>

namespace {

uint64_t unguarded = 0;

// Two threads add to one plain number without a lock.
void race() {
  auto add = [] {
    for (int i = 0; i < 100'000; i++) unguarded = unguarded + 1;
  };
  std::thread one(add);
  std::thread two(add);
  one.join();
  two.join();
}

// Reads memory that was given back.
uint8_t useAfterFree() {
  volatile uint8_t* memory = new uint8_t[16]();
  delete[] memory;
  return memory[7];
}

// Writes one byte behind a block.
uint8_t overrun() {
  volatile uint8_t* memory = new uint8_t[16]();
  volatile size_t end = 16;
  memory[end] = 1;
  uint8_t first = memory[0];
  delete[] memory;
  return first;
}

// Adds one to the largest signed number.
int32_t undefined() {
  volatile int32_t largest = INT32_MAX;
  return largest + 1;
}

// Forgets a block.
void leak() {
  uint8_t* volatile memory = new uint8_t[1024]();
  memory = nullptr;
  (void)memory;
}

}  // namespace

int main(int count, char** words) {
  std::string_view fault = count == 2 ? words[1] : "";
  if (fault == "race") {
    race();
  } else if (fault == "use-after-free") {
    std::printf("%d\n", useAfterFree());
  } else if (fault == "overrun") {
    std::printf("%d\n", overrun());
  } else if (fault == "undefined") {
    std::printf("%d\n", undefined());
  } else if (fault == "leak") {
    leak();
  } else if (fault != "none") {
    std::fprintf(stderr, "usage: planted_faults race|use-after-free|overrun|undefined|leak|none\n");
    return 2;
  }
  return 0;
}
