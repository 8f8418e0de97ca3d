// The disk of a node that was founded and stopped, made once in a process. Owns the image. Most runs begin with it.
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
