// What the log thread of a shard does with its mail: appends every record that is there, makes them durable with one
// fsync (one more before a large record), reports them in order, and cuts the log in front. Owns the log. A failed
// append or fsync ends the process: it is never retried, since the kernel may have dropped what it could not write.
//
// Threading: `run` by one thread; `read` and `bytes` by any.
#pragma once

#include <atomic>
#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <vector>

#include "engine/mail.h"
#include "log/segmented_log.h"

namespace capstan::engine {

// More than calls are gathered for: a single command, which is a record by itself.
inline constexpr uint64_t largeEntryBytes = 2ull << 20;

class LogSink {
 public:
  virtual void persisted(Persisted report) = 0;
  virtual void logBegins(LogBegins report) = 0;

 protected:
  ~LogSink() = default;
};

class LogStep {
 public:
  LogStep(std::unique_ptr<log::SegmentedLog> log, LogSink& sink, uint64_t trailingBytes, uint64_t segmentBytes);

  void run(std::vector<LogMail>& mail);  // takes all of it

  // Entries [from, to), at least one, for the core: aligned to 8 bytes, owned.
  Result<std::vector<raft::Entry>> read(uint64_t from, uint64_t to, uint64_t bytesMax);
  uint64_t bytes() const { return bytesNow.load(std::memory_order_relaxed); }
  uint64_t syncs() const { return syncCount.load(std::memory_order_relaxed); }

 private:
  struct Mark {  // the log had `bytes` written when `index` was its last entry
    uint64_t index = 0;
    uint64_t bytes = 0;
  };
  void append(const raft::LogWrite& write);
  void makeDurable();
  void cut(uint64_t indexMax);

  const std::unique_ptr<log::SegmentedLog> log;
  LogSink& sink;
  const uint64_t trailingBytes;
  const uint64_t markBytes;
  uint64_t writtenNumber = 0;   // of the last record appended …
  uint64_t reportedNumber = 0;  // … and of the last one reported as persisted
  bool mustSync = false;        // what was appended since the last sync asks for one
  // Appending and cutting change what `read` looks through; the fsync does not, and is done without it.
  std::mutex mutex;
  std::vector<log::Entry> entries;
  std::deque<Mark> marks;  // ascending
  uint64_t writtenBytes = 0;
  std::atomic<uint64_t> bytesNow = 0;
  std::atomic<uint64_t> syncCount = 0;
};

// Adapts what the log gives to what the core takes, without a copy.
std::vector<raft::Entry> shareEntries(std::vector<log::OwnedEntry> from);

}  // namespace capstan::engine
