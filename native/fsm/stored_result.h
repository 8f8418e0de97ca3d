// The result of a command as the rows of `sessions` and `requests` keep it, for a retry. A grant is kept as its lease:
// its jobs are what is still open when it is asked for again. Owns no state. Used within fsm/ only.
#pragma once

#include <string>
#include <string_view>

#include "codec/results.h"

namespace capstan::fsm {

std::string encodeResult(const CommandResult& result);
CommandResult decodeResult(std::string_view bytes);

}  // namespace capstan::fsm
