// The result of a command as the rows of `sessions` and `requests` keep it, for a retry. A grant is kept as its lease:
// its jobs are what is still open when it is asked for again. Owns no state. Used within fsm/ only.
#pragma once

#include <string>
#include <string_view>

#include "codec/results.h"

namespace capstan::fsm {

std::string encodeResult(const CommandResult& result);
CommandResult decodeResult(std::string_view bytes);

// A row of `sessions`: the result, then the digest of the request it answers. A row that was written before digests
// were kept has none.
struct SessionResult {
  CommandResult result;
  std::string digest;
};
std::string encodeSessionResult(std::string_view encodedResult, std::string_view digest);
SessionResult decodeSessionResult(std::string_view bytes);

}  // namespace capstan::fsm
