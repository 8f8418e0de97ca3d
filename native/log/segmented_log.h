// The write-ahead log of one shard: what consensus must not forget. Owns the segment files of its directory. Step
// functions only (append, sync, cut, reset): no threads and no clock in here; the log thread of engine/ calls them, and
// only one thread may. Everything goes through the FileSystem seam.
//
// Files: `<sequence, 16 hex digits>.log`, one sequence after another without a gap. A segment is preallocated with
// zeros, so that fdatasync need not write metadata, and is followed by the next one when a record does not fit any
// more.
//
//     segment header, 96 bytes, little-endian
//        0  8 B  "CAPSLOG1"            32  u64  baseIndex   last index of the log when the segment was begun
//        8  u32  format version        40  u64  baseTerm    its term
//       12  u32  shard                 48  u64  term  ┐
//       16  u64  segment sequence      56  u64  vote  ├ hard state when the segment was begun
//       24  u64  first record sequence 64  u64  commit┘
//       72  u32  flags, bit 0: a reset, nothing before this segment counts any more
//       76  16 B zero                  92  u32  CRC-32C of bytes 0 … 91
//
//     record, at a multiple of 8, one for each Ready of consensus, all or nothing after a crash
//        0  u32  CRC-32C of all that follows, padding left out
//        4  u32  bytes of all that follows the 32 bytes of this head, padding left out
//        8  u64  record sequence, one more than the record before, over all segments
//       16  u64  bytes of this segment that were reported synced when the record was written
//       24  u32  how many entries      28  u32  flags, bit 0: a hard state follows
//       32  [u64 term, u64 vote, u64 commit]
//           entries: u64 index, u64 term, u32 type, u32 data bytes, data, zeros to a multiple of 8
//
// An entry at or below the log's last index first truncates the log from that index on, within the same record.
//
// Crash windows. A torn tail: the bad record was never reported synced; it is cut, with all behind it, by truncating
// the file and allocating it anew, so that no remnant can ever look like a continuation. Damage: a bad record anywhere
// but in the last segment, or one in front of a valid record that says the place was synced: the log refuses to open,
// naming file and offset, since a node that drops what it promised must not vote. What no record calls synced is
// written and synced anew when the log is opened, since a killed process may have left it in the page cache alone. A
// segment file that was created but whose header did not reach the disk is removed when it is the last one and the one
// before it ends cleanly. `cut` removes whole segments from the front, oldest first, so a kill leaves a gapless rest;
// if that begins where the log cannot (see `cut`), opening goes on with the removing. `reset` makes a new segment
// durable whose header says so, and only then removes the older ones.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/files.h"
#include "base/result.h"

namespace capstan::log {

struct HardState {
  uint64_t term = 0;
  uint64_t vote = 0;
  uint64_t commit = 0;
  friend bool operator==(const HardState&, const HardState&) = default;
};

struct Entry {
  uint64_t index = 0;
  uint64_t term = 0;
  uint32_t type = 0;  // of the consensus core; opaque here
  ByteSpan data;
};

struct OwnedEntry {
  uint64_t index = 0;
  uint64_t term = 0;
  uint32_t type = 0;
  std::vector<uint8_t> data;
};

struct Options {
  std::string directory;
  uint32_t shard = 0;
  uint64_t segmentBytes = 64ull << 20;
  bool syncAlways = true;  // false: benchmarks only, nothing is durable
};

// What opening found and did, for the server's log.
struct Recovery {
  uint64_t records = 0;
  uint64_t tornBytes = 0;  // of a tail that was cut
  std::string tornFile;
};

class SegmentedLog {
 public:
  // Reads every record. An empty directory is an empty log: baseIndex 0, baseTerm 0.
  static Result<std::unique_ptr<SegmentedLog>> open(FileSystem& files, const Options& options);
  ~SegmentedLog();

  const HardState& hardState() const { return state; }
  // Entries firstIndex … lastIndex are here; firstIndex = baseIndex + 1.
  uint64_t baseIndex() const { return base; }
  uint64_t baseTerm() const { return termOfBase; }
  uint64_t lastIndex() const { return last; }
  uint64_t bytes() const;
  // How many bytes of records that hold entries lie up to certain entries, ascending: one about every `everyBytes`, and
  // the last one. For the choice of where to cut.
  struct Mark {
    uint64_t index = 0;
    uint64_t bytes = 0;
  };
  std::vector<Mark> marks(uint64_t everyBytes) const;
  const Recovery& recovery() const { return recovered; }

  // Writes one record; not durable before `sync`. An error is final: the process ends.
  Result<void> append(const std::optional<HardState>& hardState, std::span<const Entry> entries);
  // Makes everything appended durable. An error is final and is never retried.
  Result<void> sync();

  // The entries [from, to), at least one, at most about `bytesMax`. From the page cache or the disk; checks the CRC.
  Result<std::vector<OwnedEntry>> read(uint64_t from, uint64_t to, uint64_t bytesMax) const;
  // Of an entry that is here or at baseIndex.
  Result<uint64_t> term(uint64_t index) const;

  // Removes whole segments all of whose entries are at or below `index`. The last segment stays, and so does one whose
  // last entry a later record replaced, until a later segment can be the first.
  Result<void> cut(uint64_t index);
  // An empty log after (index, term), durable when it returns: for an installed snapshot.
  Result<void> reset(uint64_t index, uint64_t term, const HardState& hardState);

 private:
  struct Segment;
  struct Place {  // of one record that holds entries
    uint64_t firstIndex;
    uint64_t lastIndex;  // lowered when a later record truncates
    uint64_t segment;
    uint64_t offset;
    uint64_t bytes;
  };

  SegmentedLog(FileSystem& files, const Options& options);
  Result<void> recover();
  void beginAt(const Segment& first);
  Result<void> recoverRecords(Segment& segment, bool isLast);
  Result<void> repairTail(Segment& segment, uint64_t offset, uint64_t fileBytes);
  Result<void> beginSegment(uint64_t recordBytes, bool isReset);
  Result<void> settleTail(Segment& segment);
  void takeRecord(const Segment& segment, uint64_t offset, ByteSpan record);
  void truncateFrom(uint64_t index);
  std::string pathOf(uint64_t sequence) const;

  FileSystem& files;
  const Options options;
  std::deque<std::unique_ptr<Segment>> segments;
  std::deque<Place> places;  // ascending, gapless
  HardState state;
  uint64_t base = 0;
  uint64_t termOfBase = 0;
  uint64_t last = 0;
  uint64_t termOfLast = 0;
  uint64_t nextRecord = 1;
  uint64_t nextSegment = 1;
  std::vector<uint8_t> scratch;  // head and entry heads of the record being written
  Recovery recovered;
};

}  // namespace capstan::log
