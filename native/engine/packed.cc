// The feeding of a worker with what packed connections send, in bounded pieces; see packed.h.
// Owns no state beside the class's. Called by the addon's functions.
#include "engine/packed.h"

#include "base/check.h"
#include "boundary.capnp.h"

namespace capstan::engine {
namespace {

constexpr size_t pieceBytes = 64u << 10;
// A buffer that was larger is given back.
constexpr size_t packedBytesKept = 1u << 20;

}  // namespace

uint32_t PackedConnections::receive(uint32_t connection, ByteSpan chunk, std::span<uint32_t> calls) {
  const auto found = peers.find(connection);
  CAPSTAN_ASSERT(found != peers.end(), connection);
  Peer& peer = found->second;
  const uint32_t recordsMax = static_cast<uint32_t>(calls.size() / schema::CALL_WORDS);
  CAPSTAN_ASSERT(recordsMax > 0, calls.size());
  // Behind what waits already; mostly nothing does, and the chunk is read where it lies.
  const bool isBehind = !peer.backlog.empty();
  if (isBehind) peer.backlog.insert(peer.backlog.end(), chunk.begin(), chunk.end());
  ByteSpan rest = isBehind ? ByteSpan(peer.backlog).subspan(peer.taken) : chunk;
  piece.resize(pieceBytes);
  uint32_t records = peer.isFull ? worker.receive(connection, {}, calls) : 0;
  peer.isDry = false;
  for (size_t bytes = 0; bytes < unpackedBytesMax && records < recordsMax && !peer.isDry; bytes += pieceBytes) {
    const size_t unpacked = peer.unpacker.unpack(rest, piece);
    peer.isDry = unpacked < pieceBytes;
    if (unpacked == 0) continue;
    records += worker.receive(connection, ByteSpan(piece).first(unpacked), calls.subspan(records * schema::CALL_WORDS));
  }
  peer.isFull = records == recordsMax;
  if (isBehind) peer.taken = peer.backlog.size() - rest.size();
  if (!isBehind && !rest.empty()) peer.backlog.assign(rest.begin(), rest.end());
  if (rest.empty()) {
    peer.backlog = {};
    peer.taken = 0;
  }
  return records;
}

bool PackedConnections::pending(uint32_t connection) const {
  const auto found = peers.find(connection);
  return found != peers.end() && (!found->second.isDry || found->second.isFull);
}

size_t PackedConnections::buffered(uint32_t connection) const {
  const auto found = peers.find(connection);
  return found == peers.end() ? 0 : found->second.backlog.size() - found->second.taken;
}

ByteSpan PackedConnections::pack(uint32_t connection, ByteSpan replies) {
  const auto found = peers.find(connection);
  CAPSTAN_ASSERT(found != peers.end(), connection);
  packed.clear();
  if (packed.capacity() > packedBytesKept) packed = {};
  found->second.packer.pack(replies, packed);
  return packed;
}

}  // namespace capstan::engine
