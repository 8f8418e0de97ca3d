// Addresses to listen on: HOST:PORT, [HOST]:PORT or unix:PATH become bound, listening sockets. Owns no socket after it
// returns one. It chooses no address and has no default. Called by the acceptor.
#pragma once

#include <cstdint>
#include <string>

#include "base/result.h"

namespace capstan::engine {

struct BoundSocket {
  int fileDescriptor = -1;
  std::string address;   // as it was bound: with the port that the system picked
  std::string unixPath;  // to remove at the end; empty for TCP
};

// addressInvalid, addressInUse or addressForbidden in the Error's field. A socket file that nobody listens on any more
// is replaced; a taken port is an error, since a second server must not share it silently.
Result<BoundSocket> bindAndListen(const std::string& address, uint32_t backlog);

}  // namespace capstan::engine
