// Appends, syncs, recovers and cuts the segments of one shard's log; the format and its story are in segmented_log.h.
// Owns the open segment files. Never retries a failed write or fsync, never repairs anything but a torn tail. Called by
// the log thread of engine/, and by its opening.
#include "log/segmented_log.h"

#include <algorithm>
#include <cstdio>
#include <cstring>

#include "base/check.h"
#include "base/crc32c.h"

namespace capstan::log {
namespace {

constexpr char magic[8] = {'C', 'A', 'P', 'S', 'L', 'O', 'G', '1'};
constexpr uint32_t formatVersion = 1;
constexpr uint64_t headerBytes = 96;
constexpr uint64_t recordHeadBytes = 32;
constexpr uint64_t entryHeadBytes = 24;
constexpr uint64_t hardStateBytes = 24;
constexpr uint32_t flagReset = 1;
constexpr uint32_t flagHardState = 1;
constexpr uint64_t recordBytesMax = 1ull << 31;
constexpr uint64_t scanChunkBytes = 1 << 20;

constexpr uint64_t padded(uint64_t bytes) { return (bytes + 7) & ~uint64_t{7}; }

Error damage(const std::string& file, uint64_t offset, const std::string& what) {
  return Error{schema::ErrorCode::INTERNAL,
               "the log is damaged: " + file + " at byte " + std::to_string(offset) + ": " + what +
                   ". The node must not go on, since it may have lost what it promised; restore it from a backup, or "
                   "remove it from its cluster and add it empty",
               "damaged", 0};
}

// The head of a record and whether the rest is as it says.
struct RecordHead {
  uint32_t crc;
  uint32_t bodyBytes;
  uint64_t sequence;
  uint64_t syncedBytes;
  uint32_t entries;
  uint32_t flags;
};

RecordHead parseHead(const uint8_t* from) {
  return {getLittle<uint32_t>(from),      getLittle<uint32_t>(from + 4),  getLittle<uint64_t>(from + 8),
          getLittle<uint64_t>(from + 16), getLittle<uint32_t>(from + 24), getLittle<uint32_t>(from + 28)};
}

bool recordIsWhole(ByteSpan rest, RecordHead& head) {
  if (rest.size() < recordHeadBytes) return false;
  head = parseHead(rest.data());
  if (head.sequence == 0 || head.bodyBytes > rest.size() - recordHeadBytes) return false;
  return crc32c(0, rest.subspan(4, recordHeadBytes - 4 + head.bodyBytes)) == head.crc;
}

// Calls `visit(Entry)` for each entry of a record whose CRC is right; false when its inside does not add up.
template <class Visit>
bool forEachEntry(ByteSpan record, const RecordHead& head, Visit visit) {
  ByteSpan body = record.subspan(recordHeadBytes, head.bodyBytes);
  if ((head.flags & flagHardState) != 0) {
    if (body.size() < hardStateBytes) return false;
    body = body.subspan(hardStateBytes);
  }
  for (uint32_t count = 0; count < head.entries; ++count) {
    if (body.size() < entryHeadBytes) return false;
    Entry entry;
    entry.index = getLittle<uint64_t>(body.data());
    entry.term = getLittle<uint64_t>(body.data() + 8);
    entry.type = getLittle<uint32_t>(body.data() + 16);
    const uint64_t dataBytes = getLittle<uint32_t>(body.data() + 20);
    const uint64_t whole = padded(entryHeadBytes + dataBytes);
    if (body.size() < whole) return false;
    entry.data = body.subspan(entryHeadBytes, dataBytes);
    if (!visit(entry)) return true;
    body = body.subspan(whole);
  }
  return true;
}

}  // namespace

struct SegmentedLog::Segment {
  uint64_t sequence = 0;
  std::string path;
  std::unique_ptr<File> file;
  uint64_t allocatedBytes = 0;
  uint64_t writtenBytes = 0;
  uint64_t syncedBytes = 0;
  uint64_t provenBytes = 0;  // when it was opened: so much of it a record calls synced
  uint64_t baseIndex = 0;
  uint64_t baseTerm = 0;
  uint64_t firstRecord = 0;
  HardState hardState;                  // when it was begun
  uint64_t lastIndexMax = 0;            // the largest index that ever stood in it
  uint64_t firstIndexMin = UINT64_MAX;  // the smallest one
};

SegmentedLog::SegmentedLog(FileSystem& files, const Options& options) : files(files), options(options) {}

SegmentedLog::~SegmentedLog() = default;

Result<std::unique_ptr<SegmentedLog>> SegmentedLog::open(FileSystem& files, const Options& options) {
  std::unique_ptr<SegmentedLog> log(new SegmentedLog(files, options));
  if (Result<void> made = files.makeDirectory(options.directory); !made) return made.takeError();
  if (Result<void> done = log->recover(); !done) return done.takeError();
  return log;
}

std::string SegmentedLog::pathOf(uint64_t sequence) const {
  char name[32];
  std::snprintf(name, sizeof(name), "/%016llx.log", static_cast<unsigned long long>(sequence));
  return options.directory + name;
}

uint64_t SegmentedLog::bytes() const {
  uint64_t sum = 0;
  for (const auto& segment : segments) sum += segment->writtenBytes;
  return sum;
}

Result<void> SegmentedLog::append(const std::optional<HardState>& hardState, std::span<const Entry> entries) {
  uint64_t bodyBytes = hardState ? hardStateBytes : 0;
  for (const Entry& entry : entries) bodyBytes += padded(entryHeadBytes + entry.data.size());
  CAPSTAN_ASSERT(bodyBytes <= recordBytesMax, bodyBytes);
  const uint64_t recordBytes = recordHeadBytes + bodyBytes;
  if (segments.empty() || segments.back()->writtenBytes + recordBytes > segments.back()->allocatedBytes) {
    if (Result<void> begun = beginSegment(recordBytes, false); !begun) return begun;
  }
  Segment& segment = *segments.back();

  // Heads go into one scratch buffer; payloads are written from where they are.
  scratch.assign(recordHeadBytes + (hardState ? hardStateBytes : 0) + entries.size() * entryHeadBytes, 0);
  uint8_t* place = scratch.data() + recordHeadBytes;
  if (hardState) {
    putLittle<uint64_t>(place, hardState->term);
    putLittle<uint64_t>(place + 8, hardState->vote);
    putLittle<uint64_t>(place + 16, hardState->commit);
    place += hardStateBytes;
  }
  static constexpr uint8_t zeros[8] = {};
  std::vector<ByteSpan> parts;
  parts.reserve(1 + entries.size() * 3);
  parts.emplace_back(scratch.data(), static_cast<size_t>(place - scratch.data()));
  uint64_t expected = entries.empty() ? 0 : entries.front().index;
  CAPSTAN_ASSERT(entries.empty() || (expected >= base + 1 && expected <= last + 1), expected, base, last);
  for (const Entry& entry : entries) {
    CAPSTAN_ASSERT(entry.index == expected, entry.index, expected);
    ++expected;
    putLittle<uint64_t>(place, entry.index);
    putLittle<uint64_t>(place + 8, entry.term);
    putLittle<uint32_t>(place + 16, entry.type);
    putLittle<uint32_t>(place + 20, static_cast<uint32_t>(entry.data.size()));
    parts.emplace_back(place, entryHeadBytes);
    place += entryHeadBytes;
    if (!entry.data.empty()) parts.push_back(entry.data);
    const uint64_t fill = padded(entry.data.size()) - entry.data.size();
    if (fill != 0) parts.emplace_back(zeros, fill);
  }
  putLittle<uint32_t>(scratch.data() + 4, static_cast<uint32_t>(bodyBytes));
  putLittle<uint64_t>(scratch.data() + 8, nextRecord);
  putLittle<uint64_t>(scratch.data() + 16, segment.syncedBytes);
  putLittle<uint32_t>(scratch.data() + 24, static_cast<uint32_t>(entries.size()));
  putLittle<uint32_t>(scratch.data() + 28, hardState ? flagHardState : 0);
  uint32_t crc = crc32c(0, parts.front().subspan(4));
  for (size_t index = 1; index < parts.size(); ++index) crc = crc32c(crc, parts[index]);
  putLittle<uint32_t>(scratch.data(), crc);

  const uint64_t offset = segment.writtenBytes;
  if (Result<void> written = segment.file->write(offset, std::span<const ByteSpan>(parts)); !written) return written;
  segment.writtenBytes += recordBytes;
  ++nextRecord;
  if (hardState) state = *hardState;
  if (!entries.empty()) {
    truncateFrom(entries.front().index);
    last = entries.back().index;
    termOfLast = entries.back().term;
    segment.lastIndexMax = std::max(segment.lastIndexMax, last);
    segment.firstIndexMin = std::min(segment.firstIndexMin, entries.front().index);
    places.push_back({entries.front().index, last, segment.sequence, offset, recordBytes});
  }
  return {};
}

Result<void> SegmentedLog::sync() {
  if (segments.empty()) return {};
  Segment& segment = *segments.back();
  if (segment.syncedBytes == segment.writtenBytes) return {};
  if (options.syncAlways) {
    if (Result<void> synced = segment.file->sync(); !synced) return synced;
  }
  segment.syncedBytes = segment.writtenBytes;
  return {};
}

Result<void> SegmentedLog::beginSegment(uint64_t recordBytes, bool isReset) {
  // What is unsynced in the segment before would otherwise be forgotten by the next sync.
  if (!isReset) {
    if (Result<void> synced = sync(); !synced) return synced;
  }
  auto segment = std::make_unique<Segment>();
  segment->sequence = nextSegment;
  segment->path = pathOf(nextSegment);
  segment->allocatedBytes = padded(std::max(options.segmentBytes, headerBytes + recordBytes));
  segment->writtenBytes = headerBytes;
  segment->baseIndex = last;
  segment->baseTerm = termOfLast;
  segment->lastIndexMax = last;
  Result<std::unique_ptr<File>> file = files.open(segment->path, OpenMode::create);
  if (!file) return file.takeError();
  segment->file = file.take();
  if (Result<void> allocated = segment->file->allocate(segment->allocatedBytes); !allocated) return allocated;

  uint8_t header[headerBytes] = {};
  std::memcpy(header, magic, sizeof(magic));
  putLittle<uint32_t>(header + 8, formatVersion);
  putLittle<uint32_t>(header + 12, options.shard);
  putLittle<uint64_t>(header + 16, segment->sequence);
  putLittle<uint64_t>(header + 24, nextRecord);
  putLittle<uint64_t>(header + 32, segment->baseIndex);
  putLittle<uint64_t>(header + 40, segment->baseTerm);
  putLittle<uint64_t>(header + 48, state.term);
  putLittle<uint64_t>(header + 56, state.vote);
  putLittle<uint64_t>(header + 64, state.commit);
  putLittle<uint32_t>(header + 72, isReset ? flagReset : 0);
  putLittle<uint32_t>(header + 92, crc32c(0, ByteSpan(header, 92)));
  if (Result<void> written = segment->file->write(0, ByteSpan(header)); !written) return written;
  if (options.syncAlways) {
    if (Result<void> synced = segment->file->sync(); !synced) return synced;
    if (Result<void> synced = files.syncDirectory(options.directory); !synced) return synced;
  }
  segment->syncedBytes = headerBytes;
  ++nextSegment;
  if (segments.empty()) {
    base = last;
    termOfBase = termOfLast;
  }
  segments.push_back(std::move(segment));
  return {};
}

void SegmentedLog::truncateFrom(uint64_t index) {
  while (!places.empty() && places.back().firstIndex >= index) places.pop_back();
  if (!places.empty() && places.back().lastIndex >= index) places.back().lastIndex = index - 1;
  if (last >= index) last = index - 1;
}

// --- Opening ---------------------------------------------------------------------------------------------------------

Result<void> SegmentedLog::recover() {
  Result<std::vector<std::string>> listed = files.list(options.directory);
  if (!listed) return listed.takeError();
  std::vector<uint64_t> sequences;
  for (const std::string& name : listed.value()) {
    unsigned long long sequence = 0;
    int end = 0;
    if (name.size() == 20 && std::sscanf(name.c_str(), "%16llx.log%n", &sequence, &end) == 1 && end == 20) {
      sequences.push_back(sequence);
    } else {
      return damage(options.directory + "/" + name, 0, "this file does not belong to a log");
    }
  }

  std::vector<bool> resets;
  for (size_t at = 0; at < sequences.size(); ++at) {
    auto segment = std::make_unique<Segment>();
    segment->sequence = sequences[at];
    segment->path = pathOf(sequences[at]);
    Result<std::unique_ptr<File>> file = files.open(segment->path, OpenMode::readWrite);
    if (!file) return file.takeError();
    segment->file = file.take();
    Result<uint64_t> size = segment->file->size();
    if (!size) return size.takeError();
    segment->allocatedBytes = size.value();
    uint8_t header[headerBytes] = {};
    Result<size_t> got = segment->file->read(0, header);
    if (!got) return got.takeError();
    const bool isLast = at + 1 == sequences.size();
    if (got.value() < headerBytes || crc32c(0, ByteSpan(header, 92)) != getLittle<uint32_t>(header + 92)) {
      // Begun, and the machine stopped before the header was synced: then nothing was ever written behind it.
      bool empty = isLast;
      std::vector<uint8_t> chunk(scanChunkBytes);
      for (uint64_t offset = headerBytes; empty && offset < segment->allocatedBytes; offset += chunk.size()) {
        Result<size_t> piece = segment->file->read(offset, chunk);
        if (!piece) return piece.takeError();
        empty = std::all_of(chunk.begin(), chunk.begin() + static_cast<long>(piece.value()),
                            [](uint8_t byte) { return byte == 0; });
      }
      if (!empty) return damage(segment->path, 0, "its header is wrong");
      recovered.tornFile = segment->path;
      recovered.tornBytes += headerBytes;
      segment.reset();
      if (Result<void> removed = files.remove(pathOf(sequences[at])); !removed) return removed;
      if (Result<void> synced = files.syncDirectory(options.directory); !synced) return synced;
      break;
    }
    if (std::memcmp(header, magic, sizeof(magic)) != 0) return damage(segment->path, 0, "it is not a log segment");
    const uint32_t version = getLittle<uint32_t>(header + 8);
    if (version != formatVersion) {
      return Error{schema::ErrorCode::UNSUPPORTED,
                   segment->path + " has log format " + std::to_string(version) + "; this build understands " +
                       std::to_string(formatVersion) + ". Run the version that wrote it",
                   version > formatVersion ? "formatNewer" : "formatOlder", 0};
    }
    if (getLittle<uint32_t>(header + 12) != options.shard || getLittle<uint64_t>(header + 16) != segment->sequence) {
      return damage(segment->path, 12, "it belongs to another shard or has another file's name");
    }
    const bool isReset = (getLittle<uint32_t>(header + 72) & flagReset) != 0;
    if (!isReset && !segments.empty() && segment->sequence != segments.back()->sequence + 1) {
      return damage(segment->path, 16, "the segment before it is missing");
    }
    segment->baseIndex = getLittle<uint64_t>(header + 32);
    segment->baseTerm = getLittle<uint64_t>(header + 40);
    segment->lastIndexMax = segment->baseIndex;
    segment->writtenBytes = headerBytes;
    if (isReset) {
      // A kill between making it durable and removing what is older.
      for (auto& older : segments) {
        const std::string path = older->path;
        older.reset();
        if (Result<void> removed = files.remove(path); !removed) return removed;
      }
      segments.clear();
    }
    segment->firstRecord = getLittle<uint64_t>(header + 24);
    segment->hardState = {getLittle<uint64_t>(header + 48), getLittle<uint64_t>(header + 56),
                          getLittle<uint64_t>(header + 64)};
    segments.push_back(std::move(segment));
  }

  for (size_t at = 0; at < segments.size();) {
    Segment& segment = *segments[at];
    if (at == 0) beginAt(segment);
    if (at > 0 && segment.baseIndex != last) return damage(segment.path, 32, "it does not continue the one before it");
    const bool isLast = at + 1 == segments.size();
    if (Result<void> done = recoverRecords(segment, isLast); !done) return done;
    ++at;
    if (segment.firstIndexMin > base) continue;
    // A kill within a cut: the log cannot begin at a segment whose last entry before was replaced later.
    if (isLast) return damage(segment.path, headerBytes, "a record replaces what lies before the log");
    for (; at > 0; --at) {
      const std::string path = segments.front()->path;
      segments.pop_front();
      if (Result<void> removed = files.remove(path); !removed) return removed;
    }
    if (Result<void> synced = files.syncDirectory(options.directory); !synced) return synced;
  }
  if (!segments.empty() && options.syncAlways) {
    if (Result<void> settled = settleTail(*segments.back()); !settled) return settled;
  }
  nextSegment = segments.empty() ? (sequences.empty() ? 1 : sequences.back() + 1) : segments.back()->sequence + 1;
  return {};
}

// The log as the header of its first segment says.
void SegmentedLog::beginAt(const Segment& first) {
  places.clear();
  nextRecord = first.firstRecord;
  state = first.hardState;
  base = last = first.baseIndex;
  termOfBase = termOfLast = first.baseTerm;
}

Result<void> SegmentedLog::recoverRecords(Segment& segment, bool isLast) {
  // A segment is read whole: it is bounded by segmentBytes or by one larger record.
  std::vector<uint8_t> bytes(segment.allocatedBytes);
  Result<size_t> got = segment.file->read(0, bytes);
  if (!got) return got.takeError();
  bytes.resize(got.value());
  uint64_t offset = headerBytes;
  for (;;) {
    RecordHead head{};
    const ByteSpan rest = ByteSpan(bytes).subspan(std::min<uint64_t>(offset, bytes.size()));
    if (!recordIsWhole(rest, head) || head.sequence != nextRecord) break;
    const ByteSpan record = rest.first(recordHeadBytes + head.bodyBytes);
    uint64_t expected = 0;
    bool inOrder = true;
    const bool adds = forEachEntry(record, head, [&](const Entry& entry) {
      inOrder = expected == 0 ? entry.index <= last + 1 : entry.index == expected;
      expected = entry.index + 1;
      segment.firstIndexMin = std::min(segment.firstIndexMin, entry.index);
      return inOrder;
    });
    if (!adds || !inOrder) return damage(segment.path, offset, "a record's entries do not follow the log");
    if (head.syncedBytes > offset) return damage(segment.path, offset, "a record calls synced what came after it");
    takeRecord(segment, offset, record);
    segment.provenBytes = head.syncedBytes;
    segment.lastIndexMax = std::max(segment.lastIndexMax, last);
    offset += record.size();
    ++nextRecord;
    ++recovered.records;
  }
  segment.writtenBytes = offset;
  segment.syncedBytes = offset;

  const auto firstUsed = std::find_if(bytes.begin() + static_cast<long>(std::min<uint64_t>(offset, bytes.size())),
                                      bytes.end(), [](uint8_t byte) { return byte != 0; });
  if (firstUsed == bytes.end()) return {};
  if (!isLast) return damage(segment.path, offset, "a bad record, and there are later segments");
  // A later record that says this place was synced proves damage; without one, the tail was torn by a crash.
  for (uint64_t later = offset + 8; later + recordHeadBytes <= bytes.size(); later += 8) {
    RecordHead head{};
    // The sequence is looked at first: a checksum at every place of a large tail would take minutes.
    const uint64_t sequence = getLittle<uint64_t>(bytes.data() + later + 8);
    if (sequence <= nextRecord || sequence - nextRecord > bytes.size() / recordHeadBytes) continue;
    if (recordIsWhole(ByteSpan(bytes).subspan(later), head) && head.syncedBytes > offset) {
      return damage(segment.path, offset, "a bad record in front of later ones, in a part that was synced");
    }
  }
  return repairTail(segment, offset, bytes.size());
}

Result<void> SegmentedLog::repairTail(Segment& segment, uint64_t offset, uint64_t fileBytes) {
  recovered.tornFile = segment.path;
  recovered.tornBytes += fileBytes - offset;
  if (Result<void> cut = segment.file->truncate(offset); !cut) return cut;
  if (Result<void> grown = segment.file->allocate(segment.allocatedBytes); !grown) return grown;
  return segment.file->sync();
}

// What an ended process had written may be in the page cache only, and after a failed fsync the kernel takes such pages
// for clean: so it is written anew before anything calls it synced.
Result<void> SegmentedLog::settleTail(Segment& segment) {
  std::vector<uint8_t> bytes(segment.writtenBytes - segment.provenBytes);
  Result<size_t> got = segment.file->read(segment.provenBytes, bytes);
  if (!got) return got.takeError();
  bytes.resize(got.value());
  if (Result<void> written = segment.file->write(segment.provenBytes, ByteSpan(bytes)); !written) return written;
  if (Result<void> synced = segment.file->sync(); !synced) return synced;
  return files.syncDirectory(options.directory);
}

void SegmentedLog::takeRecord(const Segment& segment, uint64_t offset, ByteSpan record) {
  const RecordHead head = parseHead(record.data());
  if ((head.flags & flagHardState) != 0) {
    const uint8_t* from = record.data() + recordHeadBytes;
    state = {getLittle<uint64_t>(from), getLittle<uint64_t>(from + 8), getLittle<uint64_t>(from + 16)};
  }
  uint64_t first = 0;
  forEachEntry(record, head, [&](const Entry& entry) {
    if (first == 0) {
      first = entry.index;
      truncateFrom(first);
    }
    last = entry.index;
    termOfLast = entry.term;
    return true;
  });
  if (first != 0) places.push_back({first, last, segment.sequence, offset, record.size()});
}

// --- Reading and cutting ---------------------------------------------------------------------------------------------

Result<std::vector<OwnedEntry>> SegmentedLog::read(uint64_t from, uint64_t to, uint64_t bytesMax) const {
  CAPSTAN_ASSERT(from > base && from < to && to <= last + 1, from, to, base, last);
  std::vector<OwnedEntry> entries;
  uint64_t bytes = 0;
  auto place = std::partition_point(places.begin(), places.end(),
                                    [from](const Place& candidate) { return candidate.lastIndex < from; });
  std::vector<uint8_t> record;
  for (; place != places.end() && place->firstIndex < to; ++place) {
    const Segment& segment = *segments[place->segment - segments.front()->sequence];
    record.resize(place->bytes);
    Result<size_t> got = segment.file->read(place->offset, record);
    if (!got) return got.takeError();
    RecordHead head{};
    if (got.value() != record.size() || !recordIsWhole(record, head)) {
      return damage(segment.path, place->offset, "a record changed since it was written");
    }
    bool full = false;
    forEachEntry(record, head, [&](const Entry& entry) {
      if (entry.index < from || entry.index > place->lastIndex) return true;
      full = entry.index >= to || (!entries.empty() && bytes + entry.data.size() > bytesMax);
      if (full) return false;
      entries.push_back({entry.index, entry.term, entry.type, {entry.data.begin(), entry.data.end()}});
      bytes += entry.data.size();
      return true;
    });
    if (full) break;
  }
  CAPSTAN_ASSERT(!entries.empty() && entries.front().index == from, from, to);
  return entries;
}

Result<uint64_t> SegmentedLog::term(uint64_t index) const {
  CAPSTAN_ASSERT(index >= base && index <= last, index, base, last);
  if (index == base) return termOfBase;
  if (index == last) return termOfLast;
  Result<std::vector<OwnedEntry>> entries = read(index, index + 1, 0);
  if (!entries) return entries.takeError();
  return entries.value().front().term;
}

std::vector<SegmentedLog::Mark> SegmentedLog::marks(uint64_t everyBytes) const {
  std::vector<Mark> made;
  uint64_t bytes = 0;
  for (const Place& place : places) {
    bytes += place.bytes;
    const bool isDue = made.empty() || bytes - made.back().bytes >= everyBytes;
    if (isDue || place.lastIndex == last) made.push_back({place.lastIndex, bytes});
  }
  return made;
}

Result<void> SegmentedLog::cut(uint64_t index) {
  size_t removable = 0;
  while (removable + 1 < segments.size() && segments[removable]->lastIndexMax <= index) ++removable;
  // The log begins only at a segment whose header names the entry before it as it is now: one that a later record
  // replaced had another term, and that record would reach to before the beginning.
  uint64_t firstIndexMin = UINT64_MAX;
  size_t count = 0;
  for (size_t at = segments.size() - 1; at > 0 && count == 0 && removable > 0; --at) {
    firstIndexMin = std::min(firstIndexMin, segments[at]->firstIndexMin);
    if (at <= removable && firstIndexMin > segments[at]->baseIndex) count = at;
  }
  if (count == 0) return {};
  for (; count > 0; --count) {
    const std::string path = segments.front()->path;
    const uint64_t sequence = segments.front()->sequence;
    segments.pop_front();
    if (Result<void> removed = files.remove(path); !removed) return removed;
    while (!places.empty() && places.front().segment == sequence) places.pop_front();
    base = segments.front()->baseIndex;
    termOfBase = segments.front()->baseTerm;
  }
  return options.syncAlways ? files.syncDirectory(options.directory) : Result<void>();
}

Result<void> SegmentedLog::reset(uint64_t index, uint64_t term, const HardState& hardState) {
  std::deque<std::unique_ptr<Segment>> older;
  older.swap(segments);
  places.clear();
  last = index;
  termOfLast = term;
  state = hardState;
  if (Result<void> begun = beginSegment(0, true); !begun) return begun;
  while (!older.empty()) {
    const std::string path = older.front()->path;
    older.pop_front();
    if (Result<void> removed = files.remove(path); !removed) return removed;
  }
  if (options.syncAlways) return files.syncDirectory(options.directory);
  return {};
}

}  // namespace capstan::log
