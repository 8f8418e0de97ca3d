// Owns: the floor that every throughput is read against: what this machine gives to a bare loop that appends a batch to
// one file, calls fdatasync and Puts the same bytes into RocksDB, with nothing around it. It shares no code with the
// server, so that a slow path there cannot lower the floor too. Called by bench/floor.ts:
//
//     bench_floor DIRECTORY SECONDS      makes DIRECTORY/floor, removes it at the end, prints one JSON object
//
// Three loops of SECONDS each, by one thread, after the file and the database were warmed up by a tenth of that:
//
//     append     256 KiB appends, each with fdatasync              appendBytesPerSecond, syncMicroseconds (median)
//     put        write batches of sequential Puts, RocksDB's log off                     putsPerSecond
//     together   both, one after the other, for each batch                               jobsPerSecond
#include <fcntl.h>
#include <rocksdb/db.h>
#include <rocksdb/options.h>
#include <rocksdb/write_batch.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <memory>
#include <random>
#include <string>
#include <vector>

namespace {

constexpr size_t batchBytes = 256 << 10;
constexpr size_t payloadBytes = 256;
constexpr size_t jobsPerBatch = batchBytes / payloadBytes;
constexpr size_t keyBytes = 25;                    // queue, priority, group, id: as wide as the server's
constexpr uint64_t allocationBytes = 64ull << 20;  // the file grows by preallocated steps, as a log does
constexpr uint64_t fileBytesMax = 2ull << 30;      // then it begins anew
constexpr double secondsMax = 60;

using Clock = std::chrono::steady_clock;

[[noreturn]] void fail(const char* what, const std::string& detail) {
  std::fprintf(stderr, "bench_floor: %s: %s\n", what, detail.c_str());
  std::exit(1);
}

void require(bool isGood, const char* what) {
  if (!isGood) fail(what, std::strerror(errno));
}

void require(const rocksdb::Status& status, const char* what) {
  if (!status.ok()) fail(what, status.ToString());
}

double secondsSince(Clock::time_point start) { return std::chrono::duration<double>(Clock::now() - start).count(); }

// An append-only file whose every batch is synced.
class SyncedFile {
 public:
  explicit SyncedFile(const std::string& path) : descriptor(::open(path.c_str(), O_RDWR | O_CREAT | O_EXCL, 0600)) {
    require(descriptor >= 0, "open");
  }
  ~SyncedFile() { ::close(descriptor); }
  SyncedFile(const SyncedFile&) = delete;
  SyncedFile& operator=(const SyncedFile&) = delete;

  void append(const std::string& bytes) {
    if (offset + bytes.size() > fileBytesMax) {
      require(::ftruncate(descriptor, 0) == 0, "ftruncate");
      offset = 0;
      allocated = 0;
    }
    if (offset + bytes.size() > allocated) {
      require(::posix_fallocate(descriptor, static_cast<off_t>(allocated), allocationBytes) == 0, "posix_fallocate");
      allocated += allocationBytes;
    }
    for (size_t done = 0; done < bytes.size();) {
      ssize_t wrote = ::pwrite(descriptor, bytes.data() + done, bytes.size() - done, static_cast<off_t>(offset + done));
      require(wrote > 0, "pwrite");
      done += static_cast<size_t>(wrote);
    }
    offset += bytes.size();
    require(::fdatasync(descriptor) == 0, "fdatasync");
  }

 private:
  const int descriptor;
  uint64_t offset = 0;
  uint64_t allocated = 0;
};

// A RocksDB that takes sequential keys from one thread, as the server's apply thread writes it.
class Puts {
 public:
  explicit Puts(const std::string& directory) {
    rocksdb::Options options;
    options.create_if_missing = true;
    options.allow_concurrent_memtable_write = false;
    options.write_buffer_size = 64ull << 20;
    options.max_background_jobs = 2;
    options.compression = rocksdb::kNoCompression;
    rocksdb::DB* opened = nullptr;
    require(rocksdb::DB::Open(options, directory, &opened), "rocksdb");
    database.reset(opened);
    writeOptions.disableWAL = true;
  }

  void write(const std::string& bytes) {
    rocksdb::WriteBatch batch;
    for (size_t at = 0; at + payloadBytes <= bytes.size(); at += payloadBytes) {
      uint64_t number = __builtin_bswap64(next++);
      std::memcpy(key + keyBytes - sizeof(number), &number, sizeof(number));
      require(batch.Put(rocksdb::Slice(key, keyBytes), rocksdb::Slice(bytes.data() + at, payloadBytes)), "Put");
    }
    require(database->Write(writeOptions, &batch), "Write");
  }

 private:
  std::unique_ptr<rocksdb::DB> database;
  rocksdb::WriteOptions writeOptions;
  char key[keyBytes] = {};
  uint64_t next = 0;
};

// Runs `step` for about `seconds`; returns how often in a second. `took` receives the microseconds of each.
template <typename Step>
double ratePerSecond(double seconds, Step step, std::vector<double>* took = nullptr) {
  uint64_t count = 0;
  const Clock::time_point start = Clock::now();
  Clock::time_point last = start;
  do {
    step();
    count++;
    Clock::time_point now = Clock::now();
    if (took != nullptr) took->push_back(std::chrono::duration<double, std::micro>(now - last).count());
    last = now;
  } while (secondsSince(start) < seconds);
  return static_cast<double>(count) / secondsSince(start);
}

std::string incompressibleBytes(size_t count) {
  std::mt19937_64 random(1);
  std::string bytes(count, '\0');
  for (char& byte : bytes) byte = static_cast<char>(random());
  return bytes;
}

double median(std::vector<double>& values) {
  auto middle = values.begin() + static_cast<ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  return *middle;
}

void measure(const std::string& directory, double seconds) {
  const std::string batch = incompressibleBytes(batchBytes);
  const std::string small = batch.substr(0, payloadBytes);
  SyncedFile file(directory + "/append");
  SyncedFile single(directory + "/single");
  Puts puts(directory + "/rocksdb");
  auto append = [&file, &batch] { file.append(batch); };
  auto put = [&puts, &batch] { puts.write(batch); };
  auto together = [&append, &put] {
    append();
    put();
  };
  ratePerSecond(seconds / 10, together);

  std::vector<double> syncs;
  ratePerSecond(
      seconds / 4, [&single, &small] { single.append(small); }, &syncs);
  double appends = ratePerSecond(seconds, append);
  double writes = ratePerSecond(seconds, put);
  double both = ratePerSecond(seconds, together);
  std::printf(
      "{\"jobsPerSecond\":%.0f,\"putsPerSecond\":%.0f,\"appendBytesPerSecond\":%.0f,\"appendJobsPerSecond\":%.0f,"
      "\"syncMicroseconds\":%.0f,\"batchBytes\":%zu,\"payloadBytes\":%zu,\"seconds\":%g}\n",
      both * jobsPerBatch, writes * jobsPerBatch, appends * batchBytes, appends * jobsPerBatch, median(syncs),
      batchBytes, payloadBytes, seconds);
}

}  // namespace

int main(int count, char** words) {
  double seconds = count == 3 ? std::strtod(words[2], nullptr) : 0;
  if (!(seconds > 0 && seconds <= secondsMax)) {
    std::fprintf(stderr, "usage: bench_floor DIRECTORY SECONDS   (more than 0, at most %g)\n", secondsMax);
    return 2;
  }
  const std::string directory = std::string(words[1]) + "/floor";
  require(::mkdir(directory.c_str(), 0700) == 0, "mkdir");
  measure(directory, seconds);
  std::error_code ignored;  // what could not be removed goes with the caller's directory
  std::filesystem::remove_all(directory, ignored);
  return 0;
}
