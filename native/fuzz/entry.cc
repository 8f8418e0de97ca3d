// Fuzz target `entry`: the bytes of a log entry, which a checksum covers but nobody validated. Owns nothing. Opening
// one refuses or succeeds, without an exception; a stamp changes nothing but the header; an operation that this build
// does not know is refused before anything is done.
//
//   input: how to make the header fit (bit 0: the version, bit 1: the count of commands), the entry
#include <kj/exception.h>

#include <vector>

#include "base/check.h"
#include "codec/entry.h"
#include "fsm/commands.h"
#include "fuzz/input.h"
#include "fuzz/targets.h"

namespace capstan::fuzz {
namespace {

using schema::ErrorCode;

void checkStamp(const std::vector<uint8_t>& entry) {
  if (entry.size() < schema::ENTRY_HEADER_BYTES) return;
  const Result<codec::EntryHeader> before = codec::readEntryHeader(entry);
  if (!before) return;
  std::vector<uint8_t> stamped = entry;
  codec::Stamp stamp{~before.value().stamp.elapsedMs, ~before.value().stamp.wallMs, {}};
  codec::stampEntry(stamped, stamp);
  const Result<codec::EntryHeader> after = codec::readEntryHeader(stamped);
  CAPSTAN_ASSERT(after.ok() && after.value().stamp.elapsedMs == stamp.elapsedMs);
  CAPSTAN_ASSERT(after.value().commands == before.value().commands);
  codec::stampEntry(stamped, before.value().stamp);
  CAPSTAN_ASSERT(stamped == entry);
}

// The count that the message itself states, so that a changed list is not refused for its header alone.
void fitCount(std::vector<uint8_t>& entry) {
  for (uint32_t count = 1; count <= 8; ++count) {
    putLittle<uint32_t>(entry.data() + 4, count);
    if (codec::openEntry(entry).ok()) return;
  }
}

}  // namespace

void entry(ByteSpan bytes) {
  Input input(bytes);
  const uint8_t fit = input.byte();
  const ByteSpan rest = input.all();
  std::vector<uint8_t> copy(rest.begin(), rest.end());
  if (copy.size() >= schema::ENTRY_HEADER_BYTES) {
    if ((fit & 1) != 0) putLittle<uint16_t>(copy.data(), 1);
    if ((fit & 2) != 0) fitCount(copy);
  }
  checkStamp(copy);
  const Result<codec::OpenEntry> opened = codec::openEntry(copy);
  if (!opened) {
    const ErrorCode code = opened.error().code;
    CAPSTAN_ASSERT(code == ErrorCode::INTERNAL || code == ErrorCode::UNSUPPORTED, static_cast<int>(code));
    return;
  }
  if (!opened.value().message) return;
  const Result<void> known = fsm::checkOperations(opened.value());
  CAPSTAN_ASSERT(known.ok() || known.error().code == ErrorCode::UNSUPPORTED);
  try {
    const auto root = opened.value().root();
    CAPSTAN_ASSERT(root.totalSize().capCount < UINT32_MAX);
  } catch (const kj::Exception&) {
    // A pointer that leads nowhere, deeper than opening looks: applying it ends the process.
  }
}

}  // namespace capstan::fuzz
