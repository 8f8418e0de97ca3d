// How a process ends in the simulator: as an exception that unwinds to the node, which is then closed and opened anew.
// Owns the text of it. Thrown by this program's own `endProcess` (ending.cc) in place of that of base/, caught by the
// node alone.
#pragma once

#include <string>

namespace capstan::sim {

struct ProcessEnded {
  std::string why;
  bool isAssertion = false;  // a bug of ours, not the operating system's failure
};

// True while a node's code runs, whose end can be caught. Elsewhere an end is the simulator's own and aborts.
void setEndable(bool isEndable);

}  // namespace capstan::sim
