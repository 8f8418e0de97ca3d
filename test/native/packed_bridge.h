// A bridge from a stock client, whose two-party network knows no packed form, to an address that speaks it: one
// connection, packed and unpacked by the stock library's own serializer in two threads. Owns both sockets of the bridge
// and the threads; shares no code with the server. Made by the stock client for addresses that begin with `packed:`.
#pragma once

#include <kj/common.h>
#include <kj/string.h>

#include <thread>

namespace capstan::stock {

class PackedBridge {
 public:
  // HOST:PORT of IPv4, without the prefix.
  explicit PackedBridge(kj::StringPtr address);
  // The client's end must be closed by then.
  ~PackedBridge();
  KJ_DISALLOW_COPY(PackedBridge);

  // For the client: unpacked frames; its own to close.
  int takeClientEnd();

 private:
  int server_;  // packed
  int inner_;   // unpacked
  int client_;
  std::thread toServer_;
  std::thread toClient_;
};

}  // namespace capstan::stock
