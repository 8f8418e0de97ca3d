// The steps of a shard's log thread; their story is in log_step.h. Owns the log. Called by shard.cc's thread, and
// `read` by the consensus core within the raft thread's.
#include "engine/log_step.h"

#include <algorithm>
#include <utility>

#include "base/check.h"

namespace capstan::engine {
namespace {

// Bytes of a record that are not payload, a little rounded up; only the choice of where to cut needs them.
constexpr uint64_t recordOverheadBytes = 64;
constexpr uint64_t entryOverheadBytes = 32;

uint64_t bytesOf(const raft::LogWrite& write) {
  uint64_t bytes = 0;
  for (const raft::Entry& entry : write.entries) bytes += entry.data.size();
  return bytes;
}

}  // namespace

std::vector<raft::Entry> shareEntries(std::vector<log::OwnedEntry> from) {
  std::vector<raft::Entry> shared;
  shared.reserve(from.size());
  for (log::OwnedEntry& entry : from) {
    const auto owner = std::make_shared<std::vector<uint8_t>>(std::move(entry.data));
    shared.push_back({entry.index, entry.term, static_cast<raft::EntryType>(entry.type), ByteSpan(*owner), owner});
  }
  return shared;
}

LogStep::LogStep(std::unique_ptr<log::SegmentedLog> log, LogSink& sink, uint64_t trailingBytes, uint64_t segmentBytes)
    : log(std::move(log)),
      sink(sink),
      trailingBytes(trailingBytes),
      markBytes(std::max<uint64_t>(segmentBytes / 8, 1)) {
  for (const auto& [index, bytes] : this->log->marks(markBytes)) {
    marks.push_back({index, bytes});
    writtenBytes = bytes;
  }
  bytesNow.store(this->log->bytes(), std::memory_order_relaxed);
}

void LogStep::run(std::vector<LogMail>& mail) {
  uint64_t cutIndex = 0;
  for (LogMail& one : mail) {
    if (const auto* request = std::get_if<CutLog>(&one)) {
      cutIndex = std::max(cutIndex, request->index);
      continue;
    }
    const auto& write = std::get<raft::LogWrite>(one);
    CAPSTAN_ASSERT(write.number > writtenNumber, write.number, writtenNumber);
    // What takes as long as many syncs does not keep those waiting who stand before it.
    if (bytesOf(write) > largeEntryBytes) makeDurable();
    append(write);
    mustSync |= write.mustSync;
    writtenNumber = write.number;
  }
  makeDurable();
  mail.clear();
  if (cutIndex != 0) cut(cutIndex);
  bytesNow.store(log->bytes(), std::memory_order_relaxed);
}

void LogStep::makeDurable() {
  if (mustSync) {
    const Result<void> synced = log->sync();
    CAPSTAN_OS_CHECK(synced.ok(), synced.error().message);
    syncCount.fetch_add(1, std::memory_order_relaxed);
    mustSync = false;
  }
  if (writtenNumber == reportedNumber) return;
  reportedNumber = writtenNumber;
  sink.persisted({reportedNumber});
}

void LogStep::append(const raft::LogWrite& write) {
  const std::lock_guard guard(mutex);
  // A Ready without effect on the log still has its number reported.
  if (!write.hardState && write.entries.empty()) return;
  std::optional<log::HardState> hardState;
  if (write.hardState) hardState = {write.hardState->term, write.hardState->vote, write.hardState->commit};
  entries.clear();
  writtenBytes += recordOverheadBytes;
  for (const raft::Entry& entry : write.entries) {
    entries.push_back({entry.index, entry.term, static_cast<uint32_t>(entry.type), entry.data});
    writtenBytes += entry.data.size() + entryOverheadBytes;
  }
  const Result<void> appended = log->append(hardState, entries);
  CAPSTAN_OS_CHECK(appended.ok(), appended.error().message);
  if (entries.empty()) return;
  // What a new leader replaced is not there any more.
  while (!marks.empty() && marks.back().index >= entries.front().index) marks.pop_back();
  if (marks.empty() || writtenBytes - marks.back().bytes >= markBytes)
    marks.push_back({log->lastIndex(), writtenBytes});
}

void LogStep::cut(uint64_t indexMax) {
  uint64_t index = 0;
  while (!marks.empty() && marks.front().index <= indexMax && writtenBytes - marks.front().bytes >= trailingBytes) {
    index = marks.front().index;
    marks.pop_front();
  }
  if (index == 0) return;
  const uint64_t before = log->baseIndex();
  {
    const std::lock_guard guard(mutex);
    const Result<void> done = log->cut(index);
    CAPSTAN_OS_CHECK(done.ok(), done.error().message);
  }
  // Whole segments only, so it may begin earlier than it was allowed to.
  if (log->baseIndex() != before) sink.logBegins({log->baseIndex(), log->baseTerm()});
}

Result<std::vector<raft::Entry>> LogStep::read(uint64_t from, uint64_t to, uint64_t bytesMax) {
  const std::lock_guard guard(mutex);
  Result<std::vector<log::OwnedEntry>> read = log->read(from, to, bytesMax);
  if (!read) return read.takeError();
  return shareEntries(read.take());
}

}  // namespace capstan::engine
