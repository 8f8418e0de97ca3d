// One run of the simulator: a seeded scheduler over one node, its disk, its clocks and its clients. Owns all of them.
// In each step it lets one of them do one thing: a step of the raft, log or apply thread with a part of its mail, a
// background job of RocksDB, a client's request, the delivery of an answer, the passing of time, or a fault. A crash
// can lie between any two steps and at every operation on the disk, within opening too.
//
// After its steps a run is drained: no more faults, and everything that was enqueued must reach its end.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "sim/checker.h"
#include "sim/clients.h"
#include "sim/counters.h"
#include "sim/node.h"

namespace capstan::sim {

struct RunOptions {
  uint64_t seed = 0;
  uint64_t steps = 2000;
  bool isTold = false;  // every step on stdout
};

struct RunResult {
  std::optional<Broken> broken;
  uint64_t brokenStep = 0;
  uint64_t traceHash = 0;
  Counters counters;
};

class World {
 public:
  explicit World(const RunOptions& options);
  ~World();
  RunResult run();

 private:
  enum class Step : uint8_t { raft, log, apply, fill, job, reserve, issue, propose, deliver, time, fault, count };

  void runSteps();
  void drain();
  void stepOnce(bool withFaults);
  void runStep(Step step);
  std::array<uint64_t, static_cast<size_t>(Step::count)> weights(bool withFaults);
  void passTime();
  void fault();
  void fillDisk();
  void look();
  void afterStep();
  void judgeEnd();
  void recover(CrashKind kind);
  bool openOnce();
  void graceful();
  void tell(const std::string& text);
  engine::EngineOptions engineOptions();
  void begin();
  void collect();

  const RunOptions options;
  Random random;
  Trace trace;
  Failure failure;
  Clocks clocks;
  Disk disk;
  Checker checker;
  Clients clients;
  engine::EngineOptions engineNow;
  std::unique_ptr<Node> node;
  CrashKind armed = CrashKind::none;
  Counters counters;
  uint64_t step = 0;
  uint64_t nextReserveMs = 0;
  uint64_t fullUntilStep = 0;  // the disk is filled by somebody else until then
  uint64_t fullWritesSeen = 0;
  bool mustLook = false;
  bool isDraining = false;
};

}  // namespace capstan::sim
