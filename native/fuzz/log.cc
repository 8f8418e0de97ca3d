// Fuzz target `log`: segment files of any bytes, with checksums made right where the input asks for it, so that what
// lies behind them is reached. Owns the files, in memory. A log refuses to open, or it opens: then each entry it
// claims can be read, one more can be appended, and opening again gives the same; what was cut as a torn tail is not
// found a second time.
//
//   input: bit 0 checksums of headers, bit 1 of records; then files: sequence (byte), zeros behind it in units of
//   64 bytes (byte), a piece
#include <cstdio>
#include <string>

#include "base/check.h"
#include "base/crc32c.h"
#include "fuzz/input.h"
#include "fuzz/targets.h"
#include "log/segmented_log.h"
#include "test/memory_files.h"

namespace capstan::fuzz {
namespace {

using capstan::log::Entry;
using capstan::log::HardState;
using capstan::log::Options;
using capstan::log::SegmentedLog;

constexpr size_t headerBytes = 96;
constexpr size_t recordHeadBytes = 32;
constexpr size_t filesMax = 8;
constexpr const char* directory = "log";

void mendHeader(std::vector<uint8_t>& bytes) {
  if (bytes.size() < headerBytes) return;
  putLittle<uint32_t>(bytes.data() + 92, crc32c(0, ByteSpan(bytes).first(92)));
}

void mendRecords(std::vector<uint8_t>& bytes) {
  size_t offset = headerBytes;
  while (offset + recordHeadBytes <= bytes.size()) {
    const uint64_t body = getLittle<uint32_t>(bytes.data() + offset + 4);
    if (body > bytes.size() - offset - recordHeadBytes) return;
    const ByteSpan covered = ByteSpan(bytes).subspan(offset + 4, recordHeadBytes - 4 + body);
    putLittle<uint32_t>(bytes.data() + offset, crc32c(0, covered));
    offset += recordHeadBytes + (body + 7) / 8 * 8;
  }
}

void makeFiles(Input& input, MemoryFiles& files) {
  const uint8_t mends = input.byte();
  for (size_t count = 0; count < filesMax && !input.empty(); ++count) {
    char name[32];
    std::snprintf(name, sizeof(name), "/%016x.log", input.byte());
    const size_t zeros = input.byte() * size_t{64};
    const ByteSpan piece = input.piece();
    MemoryFiles::Bytes bytes(piece.begin(), piece.end());
    if ((mends & 1) != 0) mendHeader(bytes);
    if ((mends & 2) != 0) mendRecords(bytes);
    bytes.resize(bytes.size() + zeros);
    files.put(std::string(directory) + name, std::move(bytes));
  }
}

Options optionsOf() {
  Options options;
  options.directory = directory;
  options.segmentBytes = 1024;
  return options;
}

// Of everything that opening again must give back.
struct Contents {
  uint64_t base = 0;
  uint64_t last = 0;
  HardState state;
  std::vector<std::vector<uint8_t>> entries;
  bool operator==(const Contents&) const = default;
};

Contents contentsOf(const SegmentedLog& log) {
  Contents contents{log.baseIndex(), log.lastIndex(), log.hardState(), {}};
  CAPSTAN_ASSERT(contents.last >= contents.base, contents.last, contents.base);
  CAPSTAN_ASSERT(log.term(contents.base).ok());
  CAPSTAN_ASSERT(log.term(contents.last).ok());
  uint64_t next = contents.base + 1;
  while (next <= contents.last) {
    auto read = log.read(next, contents.last + 1, 200);
    CAPSTAN_ASSERT(read.ok(), read.ok() ? "" : read.error().message);
    for (auto& entry : read.value()) {
      CAPSTAN_ASSERT(entry.index == next, entry.index, next);
      contents.entries.push_back(std::move(entry.data));
      ++next;
    }
  }
  return contents;
}

std::unique_ptr<SegmentedLog> openOrRefuse(MemoryFiles& files) {
  Result<std::unique_ptr<SegmentedLog>> opened = SegmentedLog::open(files, optionsOf());
  if (opened) return opened.take();
  CAPSTAN_ASSERT(opened.error().message.find(directory) != std::string::npos, opened.error().message);
  return nullptr;
}

}  // namespace

void log(ByteSpan bytes) {
  Input input(bytes);
  MemoryFiles files;
  makeFiles(input, files);
  Contents before;
  {
    const auto opened = openOrRefuse(files);
    // Indices that nothing can follow are no log that any node wrote.
    if (!opened || opened->lastIndex() >= UINT64_MAX - 2) return;
    before = contentsOf(*opened);
  }
  const auto again = openOrRefuse(files);
  CAPSTAN_ASSERT(again != nullptr);
  CAPSTAN_ASSERT(again->recovery().tornBytes == 0, again->recovery().tornBytes);
  CAPSTAN_ASSERT(contentsOf(*again) == before);

  const Entry entry{before.last + 1, 9, 0, asBytes("one more")};
  CAPSTAN_ASSERT(again->append(HardState{9, 1, 0}, std::span(&entry, 1)).ok());
  CAPSTAN_ASSERT(again->sync().ok());
  const Contents appended = contentsOf(*again);
  CAPSTAN_ASSERT(appended.entries.size() == before.entries.size() + 1);
  const auto third = openOrRefuse(files);
  CAPSTAN_ASSERT(third != nullptr);
  CAPSTAN_ASSERT(contentsOf(*third) == appended);
  CAPSTAN_ASSERT(third->cut(appended.last).ok());
  CAPSTAN_ASSERT(third->lastIndex() == appended.last);
  const auto fourth = openOrRefuse(files);
  CAPSTAN_ASSERT(fourth != nullptr && contentsOf(*fourth) == contentsOf(*third));
}

}  // namespace capstan::fuzz
