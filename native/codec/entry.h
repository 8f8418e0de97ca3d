// The fixed header of a log entry (schemas/entry.capnp describes the bytes) and the making of entries. Owns no state.
// `buildEntry` is called by a listener worker, `stampEntry` by the raft thread, `openEntry` by the apply thread.
#pragma once

#include <capnp/message.h>

#include <array>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "base/bytes.h"
#include "base/ids.h"
#include "base/result.h"
#include "codec/limits.h"
#include "codec/request.h"
#include "entry.capnp.h"

namespace capstan::codec {

struct Stamp {
  uint64_t elapsedMs = 0;
  int64_t wallMs = 0;
  std::array<uint8_t, 16> seed{};
};

struct EntryHeader {
  uint16_t version = 0;
  uint32_t commands = 0;
  Stamp stamp;
};

// One entry of these requests, in order: defaults filled in, payload bytes copied once, everything in one segment. The
// stamp is zero. Every request is of class write or fetch; `parks[i]` says that fetch i waits when it comes out empty.
// `tenant` is of all of them.
std::vector<uint8_t> buildEntry(std::span<const Request* const> requests, std::string_view tenant,
                                const Limits& limits);

// What the leader proposes itself.
std::vector<uint8_t> buildStampEntry();  // no command: carries time only
std::vector<uint8_t> buildTickEntry(uint32_t rowsMax);
std::vector<uint8_t> buildUnsendEntry(std::span<const LeaseId> leases);  // one command each

// Writes the stamp into the header; touches nothing else.
void stampEntry(std::span<uint8_t> entry, const Stamp& stamp);

// unsupported: a version that this build does not know (`message` names both). INTERNAL: bytes that are no entry.
Result<EntryHeader> readEntryHeader(ByteSpan entry);

// The message of an entry, read in place: `entry` must be 8-byte aligned and outlive it. Traversal is not limited,
// since the bytes are our own, checked by the log.
struct OpenEntry {
  EntryHeader header;
  std::unique_ptr<capnp::MessageReader> message;  // null when commands is 0
  schema::Entry::Reader root() const { return message->getRoot<schema::Entry>(); }
};
Result<OpenEntry> openEntry(ByteSpan entry);

}  // namespace capstan::codec
