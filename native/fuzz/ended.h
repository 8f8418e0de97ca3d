// What takes the place of base/check.cc in the programs of this folder: a failed check still ends the process, except
// while a target says that ending is a proper answer to its bytes (a damaged stored row). Owns that one flag of each
// thread. Used within fuzz/ only.
#pragma once

namespace capstan::fuzz {

// Runs `work`. False: it ended the process, or would have, had this not been a test.
bool returns(void (*work)(void*), void* with);

template <class Work>
bool returns(Work work) {
  return returns([](void* with) { (*static_cast<Work*>(with))(); }, &work);
}

}  // namespace capstan::fuzz
