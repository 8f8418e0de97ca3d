// The first step of untrusted bytes: the segment table, then one aligned copy with a limited reader over it. Owns the
// rules of frames; reads no pointer of the message. Called by the connection layer through request.h.
#include <cstring>

#include "base/check.h"
#include "codec/request.h"
#include "codec/segments.h"

namespace capstan::codec {
namespace {

// A validated request is read again each time an entry is made of it, also after a `busy`. Validation refuses
// overlapping parts, so that one pass reads each word about once: this many passes are possible before the reader would
// refuse.
constexpr uint64_t traversalsMax = 64;
constexpr uint64_t traversalWordsMin = 8192;

Error badFrame(std::string message) {
  return Error{schema::ErrorCode::INVALID_ARGUMENT, std::move(message), "frame", 0};
}

std::unique_ptr<PinnedMessage> pinned(const SegmentTable& table, const capnp::word* first, uint32_t nestingMax) {
  auto message = std::make_unique<PinnedMessage>();
  message->first = first;
  message->wordCount = table.words;
  message->segmentWords = table.segmentWords;
  capnp::ReaderOptions options;
  options.traversalLimitInWords = table.words * traversalsMax + traversalWordsMin;
  options.nestingLimit = static_cast<int>(nestingMax);
  message->reader = std::make_unique<SegmentReader>(first, table.segmentWords, options);
  return message;
}

}  // namespace

Result<SegmentTable> readSegmentTable(ByteSpan frame) {
  if (frame.size() < 8) return badFrame("frame: shorter than the smallest segment table of 8 bytes");
  const uint64_t count = uint64_t{getLittle<uint32_t>(frame.data())} + 1;
  if (count > segmentsMax) return badFrame("frame: more than 512 segments");
  SegmentTable table;
  table.tableBytes = (4 + 4 * count + 7) & ~size_t{7};
  if (frame.size() < table.tableBytes) return badFrame("frame: ends within its segment table");
  table.segmentWords.reserve(count);
  for (uint64_t i = 0; i < count; i++) {
    table.segmentWords.push_back(getLittle<uint32_t>(frame.data() + 4 + 4 * i));
    table.words += table.segmentWords.back();  // at most 512 × 2^32: no overflow
  }
  if (table.segmentWords[0] == 0) return badFrame("frame: the first segment is empty, so there is no root");
  const uint64_t bytes = frame.size() - table.tableBytes;
  if (table.words > bytes / 8) return badFrame("frame: its segments claim more bytes than it has");
  if (table.words * 8 != bytes) return badFrame("frame: has more bytes than its segments claim");
  return table;
}

Result<std::unique_ptr<PinnedMessage>> pinMessage(ByteSpan frame, uint32_t nestingMax) {
  auto read = readSegmentTable(frame);
  if (!read) return read.takeError();
  const SegmentTable& table = read.value();
  auto words = std::make_unique_for_overwrite<uint64_t[]>(table.words);
  std::memcpy(words.get(), frame.data() + table.tableBytes, table.words * 8);
  auto message = pinned(table, reinterpret_cast<const capnp::word*>(words.get()), nestingMax);
  message->words = std::move(words);
  return message;
}

Result<std::unique_ptr<PinnedMessage>> adoptMessage(std::vector<uint8_t> frame, uint32_t nestingMax) {
  auto read = readSegmentTable(frame);
  if (!read) return read.takeError();
  const SegmentTable& table = read.value();
  CAPSTAN_ASSERT(reinterpret_cast<uintptr_t>(frame.data()) % 8 == 0, frame.size());
  auto message = pinned(table, reinterpret_cast<const capnp::word*>(frame.data() + table.tableBytes), nestingMax);
  message->frame = std::move(frame);
  return message;
}

}  // namespace capstan::codec
