// The disk of a node that was founded and killed, made once in a process, and what the state was founded with. Owns the
// image. Most runs begin with a copy of it, since founding takes as long as some hundred steps. Called by the world.
// Nothing changes it.
#pragma once

#include "fsm/state_machine.h"
#include "sim/disk.h"

namespace capstan::sim {

struct Founded {
  Disk::Image image;
  fsm::Founding founding;
};
const Founded& founded();

}  // namespace capstan::sim
