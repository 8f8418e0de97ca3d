// The simulator's randomness and the hash of its trace: both the same on every machine, compiler and run. Owns nothing
// but a number each. Used everywhere in sim/; production never includes it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace capstan::sim {

// SplitMix64 (Steele, Lea, Flood 2014).
class Random {
 public:
  explicit Random(uint64_t seed) : state(seed) {}

  uint64_t next() {
    uint64_t mixed = state += 0x9e3779b97f4a7c15ull;
    mixed = (mixed ^ (mixed >> 30)) * 0xbf58476d1ce4e5b9ull;
    mixed = (mixed ^ (mixed >> 27)) * 0x94d049bb133111ebull;
    return mixed ^ (mixed >> 31);
  }
  uint64_t below(uint64_t bound) { return next() % bound; }                                 // bound > 0
  uint64_t from(uint64_t least, uint64_t most) { return least + below(most - least + 1); }  // both included
  bool oneIn(uint64_t count) { return below(count) == 0; }

 private:
  uint64_t state;
};

// Folds what happened into one number. The order counts.
class Trace {
 public:
  void add(uint64_t value) { hash = (hash ^ value) * 0x100000001b3ull + (hash >> 29); }
  void add(std::string_view text) {
    for (const char letter : text) add(static_cast<uint8_t>(letter));
    add(text.size());
  }
  uint64_t value() const { return hash; }

 private:
  uint64_t hash = 0xcbf29ce484222325ull;
};

}  // namespace capstan::sim
