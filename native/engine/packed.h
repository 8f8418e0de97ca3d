// The connections of one worker that speak the packed form: between their sockets and the worker, which sees unpacked
// bytes only. Owns what was received and is not unpacked yet, at most a socket's chunk or two for each connection, and
// the state of both directions; never a frame. Called by the addon's functions for the worker's connections.
//
// What a client packs may unpack to 1,024 times as much. So it is unpacked in pieces into one buffer, of which the
// worker takes whole frames at once and keeps at most one that is not whole, with the bounds and the counting of any
// other connection; and in one call no more than `unpackedBytesMax`, so that one client cannot hold up the others: what
// is left is `pending`.
//
// Threading: the worker's thread.
#pragma once

#include <cstdint>
#include <span>
#include <unordered_map>
#include <vector>

#include "base/bytes.h"
#include "engine/worker.h"
#include "rpc/packing.h"

namespace capstan::engine {

// How much one call of `receive` unpacks.
inline constexpr size_t unpackedBytesMax = 1u << 20;

class PackedConnections {
 public:
  explicit PackedConnections(Worker& worker) : worker(worker) {}

  void open(uint32_t connection) { peers.try_emplace(connection); }
  void close(uint32_t connection) { peers.erase(connection); }
  bool contains(uint32_t connection) const { return peers.contains(connection); }

  // As Worker::receive: when all records are used, or `pending`, call again with no bytes.
  uint32_t receive(uint32_t connection, ByteSpan chunk, std::span<uint32_t> calls);
  bool pending(uint32_t connection) const;
  // Bytes held that are not unpacked.
  size_t buffered(uint32_t connection) const;
  // The packed form of reply bytes, which go to the socket in this order. Valid until the next call.
  ByteSpan pack(uint32_t connection, ByteSpan replies);

 private:
  struct Peer {
    rpc::Unpacker unpacker;
    rpc::Packer packer;
    std::vector<uint8_t> backlog;  // packed bytes, from `taken` on
    size_t taken = 0;
    bool isDry = true;    // all that came is unpacked
    bool isFull = false;  // the worker may hold more calls
  };

  Worker& worker;
  std::unordered_map<uint32_t, Peer> peers;
  std::vector<uint8_t> piece;   // reused
  std::vector<uint8_t> packed;  // reused
};

}  // namespace capstan::engine
