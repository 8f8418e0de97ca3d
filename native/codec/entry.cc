// The header of a log entry and the opening of one in place. Owns no state; the bytes are our own, but what they claim
// is checked all the same, since a log can be damaged. Called as entry.h says.
#include "codec/entry.h"

#include <kj/exception.h>

#include <string>

#include "base/check.h"
#include "codec/segments.h"

namespace capstan::codec {
namespace {

// Offsets of schemas/entry.capnp.
constexpr size_t commandsAt = 4;
constexpr size_t elapsedAt = 8;
constexpr size_t wallAt = 16;
constexpr size_t seedAt = 24;

Error noEntry(const std::string& why) { return Error{schema::ErrorCode::INTERNAL, "not a log entry: " + why, "", 0}; }

}  // namespace

void stampEntry(std::span<uint8_t> entry, const Stamp& stamp) {
  CAPSTAN_ASSERT(entry.size() >= schema::ENTRY_HEADER_BYTES, entry.size());
  putLittle<uint64_t>(entry.data() + elapsedAt, stamp.elapsedMs);
  putLittle<int64_t>(entry.data() + wallAt, stamp.wallMs);
  std::copy(stamp.seed.begin(), stamp.seed.end(), entry.data() + seedAt);
}

Result<EntryHeader> readEntryHeader(ByteSpan entry) {
  if (entry.size() < schema::ENTRY_HEADER_BYTES) return noEntry(std::to_string(entry.size()) + " bytes");
  EntryHeader header;
  header.version = getLittle<uint16_t>(entry.data());
  if (header.version == 0 || header.version > schema::ENTRY_VERSION) {
    return Error{schema::ErrorCode::UNSUPPORTED,
                 "the log has an entry of version " + std::to_string(header.version) +
                     "; this build understands up to " + std::to_string(schema::ENTRY_VERSION),
                 "", 0};
  }
  header.commands = getLittle<uint32_t>(entry.data() + commandsAt);
  header.stamp.elapsedMs = getLittle<uint64_t>(entry.data() + elapsedAt);
  header.stamp.wallMs = getLittle<int64_t>(entry.data() + wallAt);
  std::copy_n(entry.data() + seedAt, header.stamp.seed.size(), header.stamp.seed.begin());
  return header;
}

Result<OpenEntry> openEntry(ByteSpan entry) {
  CAPSTAN_ASSERT(reinterpret_cast<uintptr_t>(entry.data()) % 8 == 0, entry.data());
  Result<EntryHeader> header = readEntryHeader(entry);
  if (!header) return header.takeError();
  OpenEntry opened{header.value(), nullptr};
  if (opened.header.commands == 0) return opened;
  const ByteSpan frame = entry.subspan(schema::ENTRY_HEADER_BYTES);
  Result<SegmentTable> table = readSegmentTable(frame);
  if (!table) return noEntry(table.error().message);
  capnp::ReaderOptions options;
  options.traversalLimitInWords = UINT64_MAX;
  opened.message =
      std::make_unique<SegmentReader>(reinterpret_cast<const capnp::word*>(frame.data() + table.value().tableBytes),
                                      table.value().segmentWords, options);
  uint32_t commands = 0;
  try {
    commands = opened.root().getCommands().size();
  } catch (const kj::Exception& exception) {
    return noEntry(exception.getDescription().cStr());
  }
  if (commands != opened.header.commands) {
    return noEntry("its header says " + std::to_string(opened.header.commands) + " commands, its message has " +
                   std::to_string(commands));
  }
  return opened;
}

}  // namespace capstan::codec
