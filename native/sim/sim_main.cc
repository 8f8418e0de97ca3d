// The simulator's command line: runs ranges of seeds, in several processes when asked to, prints what they met, and
// keeps in a file which ranges are done. Owns arguments, processes and output. `npm run sim -- --seeds A..B` calls it.
//
//     --seeds A..B          from A to B, both included
//     --steps N             scheduler steps of each seed, 2000 by default
//     --jobs N              processes, 1 by default
//     --resume FILE         ranges that it names are not run again; each finished one is added
//     --check-determinism   each seed twice; another trace hash is a failure
//     --trace               tells every step; for one seed
//     --no-shrink           a failure is not tried with fewer steps
//
// Ends with 1 when an invariant was broken, or a counter stayed zero over 100 seeds or more; with 2 for bad arguments.
#include <poll.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cinttypes>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <map>
#include <sstream>
#include <string>
#include <vector>

#include "sim/world.h"

namespace capstan::sim {
namespace {

constexpr uint64_t chunkSeeds = 10;
constexpr uint64_t seedsForCoverage = 100;
constexpr uint64_t jobsMax = 256;

struct Arguments {
  uint64_t from = 0;
  uint64_t to = 0;
  bool hasSeeds = false;
  uint64_t steps = 2000;
  uint64_t jobs = 1;
  std::string resume;
  bool twice = false;
  bool tells = false;
  bool shrinks = true;
};

struct Chunk {
  uint64_t from = 0;
  uint64_t to = 0;
};

bool parseNumber(const char* text, uint64_t& value) {
  char* end = nullptr;
  value = std::strtoull(text, &end, 10);
  return end != text && *end == '\0';
}

bool parse(int count, char** words, Arguments& made) {
  for (int at = 1; at < count; ++at) {
    const std::string word = words[at];
    const char* value = at + 1 < count ? words[at + 1] : "";
    if (word == "--seeds") {
      int end = 0;
      made.hasSeeds = std::sscanf(value, "%" SCNu64 "..%" SCNu64 "%n", &made.from, &made.to, &end) == 2 &&
                      static_cast<size_t>(end) == std::strlen(value) && made.from <= made.to;
      if (!made.hasSeeds) return false;
      ++at;
    } else if (word == "--steps") {
      if (!parseNumber(value, made.steps)) return false;
      ++at;
    } else if (word == "--jobs") {
      if (!parseNumber(value, made.jobs) || made.jobs == 0 || made.jobs > jobsMax) return false;
      ++at;
    } else if (word == "--resume") {
      made.resume = value;
      if (made.resume.empty()) return false;
      ++at;
    } else if (word == "--check-determinism") {
      made.twice = true;
    } else if (word == "--trace") {
      made.tells = true;
    } else if (word == "--no-shrink") {
      made.shrinks = false;
    } else {
      return false;
    }
  }
  return made.hasSeeds;
}

RunResult runSeed(uint64_t seed, uint64_t steps, bool tells) { return World({seed, steps, tells}).run(); }

// The same invariant with fewer steps, by halving what is left in between. A run's first steps do not depend on how
// many follow, but its draining does.
uint64_t shrink(uint64_t seed, const RunResult& first, uint64_t steps) {
  uint64_t enough = std::min(first.brokenStep, steps);
  uint64_t tooFew = 0;
  while (enough - tooFew > 1) {
    const uint64_t middle = tooFew + (enough - tooFew) / 2;
    const RunResult tried = runSeed(seed, middle, false);
    if (tried.broken && tried.broken->invariant == first.broken->invariant) {
      enough = middle;
    } else {
      tooFew = middle;
    }
  }
  return enough;
}

void report(uint64_t seed, const RunResult& result, const Arguments& arguments) {
  std::string replay = "npm run sim -- --seeds " + std::to_string(seed) + ".." + std::to_string(seed);
  std::fprintf(stderr,
               "\nseed %" PRIu64 ", step %" PRIu64 ": %s is broken: %s\n  again:  %s --steps %" PRIu64 " --trace\n",
               seed, result.brokenStep, result.broken->invariant.c_str(), result.broken->what.c_str(), replay.c_str(),
               arguments.steps);
  if (!arguments.shrinks) return;
  const uint64_t steps = shrink(seed, result, arguments.steps);
  std::fprintf(stderr, "  sooner: %s --steps %" PRIu64 " --trace\n", replay.c_str(), steps);
}

// One line for the parent: what was met in a chunk.
std::string lineOf(const Chunk& chunk, const Counters& counters) {
  std::string line = "done " + std::to_string(chunk.from) + ".." + std::to_string(chunk.to);
  for (size_t at = 0; at < countNames; ++at) {
    line += std::string(" ") + countName[at] + "=" + std::to_string(counters.values[at]);
  }
  return line + " end\n";
}

bool readLine(const std::string& line, Chunk& chunk, Counters& counters) {
  std::istringstream words(line);
  std::string word;
  if (!(words >> word) || word != "done" || !(words >> word)) return false;
  if (std::sscanf(word.c_str(), "%" SCNu64 "..%" SCNu64, &chunk.from, &chunk.to) != 2) return false;
  bool isWhole = false;
  while (words >> word) {
    isWhole = word == "end";
    if (isWhole) break;
    const size_t sign = word.find('=');
    if (sign == std::string::npos) return false;
    const auto name = std::find(countName.begin(), countName.end(), word.substr(0, sign));
    // A counter of another version is nobody's business.
    if (name == countName.end()) continue;
    counters.values[static_cast<size_t>(name - countName.begin())] +=
        std::strtoull(word.c_str() + sign + 1, nullptr, 10);
  }
  return isWhole && chunk.from <= chunk.to;
}

// A child process: every `jobs`th chunk, each told to the parent when it is done.
int runChunks(const std::vector<Chunk>& chunks, size_t first, const Arguments& arguments, int out) {
  for (size_t at = first; at < chunks.size(); at += arguments.jobs) {
    Counters counters;
    for (uint64_t seed = chunks[at].from; seed <= chunks[at].to; ++seed) {
      RunResult result = runSeed(seed, arguments.steps, arguments.tells);
      if (!result.broken && arguments.twice) {
        const RunResult again = runSeed(seed, arguments.steps, false);
        if (again.traceHash != result.traceHash) {
          result.broken = Broken{"determinism", "the second run has another trace hash"};
        }
      }
      if (arguments.tells) std::printf("trace hash %016" PRIx64 "\n", result.traceHash);
      if (result.broken) {
        report(seed, result, arguments);
        return 1;
      }
      counters.add(result.counters);
    }
    const std::string line = lineOf(chunks[at], counters);
    if (::write(out, line.data(), line.size()) != static_cast<ssize_t>(line.size())) return 1;
  }
  return 0;
}

// Seeds that are not yet in the file, in chunks; what is there is added to `counters`.
std::vector<Chunk> plan(const Arguments& arguments, Counters& counters, uint64_t& done) {
  std::map<uint64_t, uint64_t> finished;
  if (!arguments.resume.empty()) {
    std::ifstream file(arguments.resume);
    for (std::string line; std::getline(file, line);) {
      Chunk chunk;
      Counters of;
      if (!readLine(line, chunk, of)) continue;  // a line that a kill cut short
      if (chunk.from < arguments.from || chunk.to > arguments.to) continue;
      if (!finished.emplace(chunk.from, chunk.to).second) continue;
      counters.add(of);
      done += chunk.to - chunk.from + 1;
    }
  }
  std::vector<Chunk> chunks;
  for (uint64_t seed = arguments.from; seed <= arguments.to;) {
    if (const auto found = finished.find(seed); found != finished.end()) {
      seed = found->second + 1;
      continue;
    }
    uint64_t to = std::min(arguments.to, seed + chunkSeeds - 1);
    const auto next = finished.upper_bound(seed);
    if (next != finished.end()) to = std::min(to, next->first - 1);
    chunks.push_back({seed, to});
    seed = to + 1;
  }
  return chunks;
}

// Runs the chunks and reads the children's lines. False: one of them failed.
bool runAll(const Arguments& arguments, const std::vector<Chunk>& chunks, Counters& counters, uint64_t& done) {
  std::ofstream file;
  if (!arguments.resume.empty()) {
    file.open(arguments.resume, std::ios::app);
    file << "\n";  // behind a line that a kill cut short
  }
  std::vector<pollfd> pipes;
  std::vector<std::string> texts;
  std::vector<pid_t> children;
  for (size_t job = 0; job < std::min<size_t>(arguments.jobs, chunks.size()); ++job) {
    int ends[2];
    if (::pipe(ends) != 0) return false;
    std::fflush(nullptr);
    const pid_t child = ::fork();
    if (child < 0) return false;
    if (child == 0) {
      ::close(ends[0]);
      const int code = runChunks(chunks, job, arguments, ends[1]);
      std::fflush(nullptr);
      ::_exit(code);
    }
    ::close(ends[1]);
    pipes.push_back({ends[0], POLLIN, 0});
    texts.emplace_back();
    children.push_back(child);
  }
  const uint64_t total = arguments.to - arguments.from + 1;
  for (size_t open = pipes.size(); open > 0;) {
    if (::poll(pipes.data(), pipes.size(), -1) < 0) continue;
    for (size_t at = 0; at < pipes.size(); ++at) {
      if (pipes[at].fd < 0 || pipes[at].revents == 0) continue;
      char buffer[4096];
      const ssize_t got = ::read(pipes[at].fd, buffer, sizeof(buffer));
      if (got <= 0) {
        ::close(pipes[at].fd);
        pipes[at].fd = -1;
        --open;
        continue;
      }
      texts[at].append(buffer, static_cast<size_t>(got));
      for (size_t end; (end = texts[at].find('\n')) != std::string::npos; texts[at].erase(0, end + 1)) {
        const std::string line = texts[at].substr(0, end);
        Chunk chunk;
        Counters of;
        if (!readLine(line, chunk, of)) continue;
        counters.add(of);
        done += chunk.to - chunk.from + 1;
        if (file.is_open()) file << line << std::endl;
        if (::isatty(STDERR_FILENO) != 0) std::fprintf(stderr, "\r%" PRIu64 " of %" PRIu64 " seeds", done, total);
      }
    }
  }
  bool isGood = true;
  for (const pid_t child : children) {
    int status = 0;
    ::waitpid(child, &status, 0);
    if (WIFSIGNALED(status)) std::fprintf(stderr, "a process of the simulator ended by signal %d\n", WTERMSIG(status));
    isGood = isGood && WIFEXITED(status) && WEXITSTATUS(status) == 0;
  }
  return isGood;
}

int run(const Arguments& arguments) {
  Counters counters;
  uint64_t done = 0;
  const std::vector<Chunk> chunks = plan(arguments, counters, done);
  const bool isGood = runAll(arguments, chunks, counters, done);
  std::printf("\n%" PRIu64 " seeds, %" PRIu64 " steps, %" PRIu64 " crashes, %" PRIu64 " faults\n", done,
              counters[Count::steps], counters[Count::crashes],
              counters[Count::failedWrites] + counters[Count::failedSyncs] + counters[Count::fullWrites] +
                  counters[Count::wallJumps]);
  bool isMissing = false;
  for (size_t at = 0; at < countNames; ++at) {
    std::printf("  %-18s %" PRIu64 "\n", countName[at], counters.values[at]);
    isMissing = isMissing || counters.values[at] == 0;
  }
  if (!isGood) return 1;
  if (isMissing && done >= seedsForCoverage) {
    std::fprintf(stderr, "a counter is zero: the run met less than it should\n");
    return 1;
  }
  return 0;
}

}  // namespace
}  // namespace capstan::sim

int main(int count, char** words) {
  capstan::sim::Arguments arguments;
  if (!capstan::sim::parse(count, words, arguments)) {
    std::fprintf(stderr,
                 "sim --seeds A..B [--steps N] [--jobs N] [--resume FILE] [--check-determinism] [--trace] "
                 "[--no-shrink]\n");
    return 2;
  }
  return capstan::sim::run(arguments);
}
