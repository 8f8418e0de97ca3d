// Applies the commands of one entry: dispatch, request ids around it, and the fetches of all commands dealt together at
// the end. Owns nothing. Called by the state machine.
#pragma once

#include <vector>

#include "base/result.h"
#include "codec/entry.h"
#include "fsm/change.h"

namespace capstan::fsm {

// unsupported: the entry has an operation that this build does not know. Asked before anything is changed.
Result<void> checkOperations(const codec::OpenEntry& entry);
std::vector<CommandResult> applyCommands(Change& change, const codec::OpenEntry& entry);

}  // namespace capstan::fsm
