// Reads of the state as plain values. Owns nothing and changes nothing. Called by the state machine under its shared
// lock, so that memory and rows are of one applied index; bounded in rows looked at and in bytes.
#pragma once

#include "codec/read_request.h"
#include "codec/read_results.h"
#include "fsm/state.h"

namespace capstan::fsm {

ReadResult readState(State& state, const storage::Database& database, const ReadCommand& command);

}  // namespace capstan::fsm
