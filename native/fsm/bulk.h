// Bulk operations: work over many rows in bounded steps, each step a part of some entry. Owns no data; the progress is
// a row of `operations`. Called by the operation that begins one and by tick.
#pragma once

#include "fsm/change.h"

namespace capstan::fsm {

// Begins an operation and takes its first step, of at most `rowsMax` rows. The result says how far it is.
CommandResult beginBulk(Change& change, OperationRow operation, uint32_t rowsMax);
// Goes on with the running operations, in the order of their numbers; returns how many rows it looked at.
uint32_t stepBulk(Change& change, uint32_t rowsMax);

// How many rows a request does itself before the rest is left to ticks.
inline constexpr uint32_t rowsInRequestMax = 1000;
// `phase` of an operation on dead jobs that names them: `place` has their ids.
inline constexpr uint8_t phaseOfIds = 1;
// The key of the job's row in `dead` of this queue, if it is there.
std::optional<std::string> findDeadRow(Change& change, const Queue& queue, const JobId& id);

// Finished operations stay known until this many newer ones have begun.
inline constexpr uint64_t finishedKept = 1000;

}  // namespace capstan::fsm
