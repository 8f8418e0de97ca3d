// The scheduler and its steps, recovery after a crash, and the draining at the end; see world.h. The faults that it
// brings are in faults.cc. Owns the order of things in a run. Called by sim_main.cc.
#include "sim/world.h"

#include <algorithm>
#include <cstdio>
#include <utility>

#include "base/check.h"
#include "sim/founded.h"

namespace capstan::sim {
namespace {

constexpr uint32_t clientCount = 5;
constexpr uint64_t lookEvery = 250;  // steps
constexpr uint64_t drainStepsMax = 8000;
constexpr uint64_t drainLookEvery = 50;
constexpr uint64_t openingsMax = 60;  // after one crash
constexpr uint64_t hourMs = 3'600'000;

constexpr const char* stepNames[] = {"raft",  "log",     "apply",   "fill", "job",  "reserve",
                                     "issue", "propose", "deliver", "time", "fault"};

}  // namespace

World::World(const RunOptions& options)
    : options(options),
      random(options.seed * 0x9e3779b97f4a7c15ull + 1),
      clocks(random.next()),
      disk(random.next(), trace),
      checker(clocks, trace, failure, random.oneIn(2) ? 1 : 3),
      clients(random.next(), clocks, checker, clientCount),
      engineNow(engineOptions()) {}

World::~World() {
  if (node) node->close();
}

// Everything small, so that each limit is met within some hundred steps.
engine::EngineOptions World::engineOptions() {
  engine::EngineOptions made;
  made.logSegmentBytes = random.from(4, 24) << 10;
  made.logTrailingBytes = random.from(1, 32) << 10;
  made.diskReserveBytes = 2 << 20;
  made.diskReservePercent = 0;
  made.blockCacheBytes = 1 << 20;
  made.writeBufferBytes = random.from(8, 64) << 10;
  made.windowBytesMax = random.from(200, 4000);
  made.windowJobsMax = static_cast<uint32_t>(random.from(1, 8));
  made.payloadCacheBytes = random.oneIn(3) ? 0 : random.from(100, 20'000);
  made.proposalsMax = static_cast<uint32_t>(random.from(2, 32));
  made.tickRowsMax = static_cast<uint32_t>(random.oneIn(3) ? random.from(1, 5) : 1000);
  made.parkedMax = static_cast<uint32_t>(random.from(1, 8));
  return made;
}

RunResult World::run() {
  begin();
  runSteps();
  if (!failure.get()) drain();
  collect();
  RunResult result;
  result.broken = failure.get();
  result.brokenStep = step;
  result.traceHash = trace.value();
  result.counters = counters;
  return result;
}

void World::begin() {
  // Founding takes as long as many steps: every eighth seed does it, under faults, and the others begin behind it.
  if (options.seed % 8 != 0) {
    disk.load(founded().image);
    checker.founded(founded().founding);
  } else {
    ++counters[Count::foundings];
  }
  node = std::make_unique<Node>(disk, clocks, engineNow, checker, clients);
  nextReserveMs = clocks.nowMs();
  recover(CrashKind::none);
}

void World::runSteps() {
  while (step < options.steps && !failure.get()) stepOnce(true);
}

// --- One step --------------------------------------------------------------------------------------------------------

std::array<uint64_t, static_cast<size_t>(World::Step::count)> World::weights(bool withFaults) {
  std::array<uint64_t, static_cast<size_t>(Step::count)> made{};
  const auto set = [&made](Step which, uint64_t weight) { made[static_cast<size_t>(which)] = weight; };
  set(Step::raft, node->raftMailCount() > 0 || node->raftWaitMs() == 0 ? 60 : 0);
  set(Step::log, node->logMailCount() > 0 ? 60 : 0);
  set(Step::apply, node->applyMailCount() > 0 ? 60 : 0);
  set(Step::fill, node->fillCount() > 0 ? 30 : 0);
  set(Step::job, node->jobCount() > 0 ? 20 : 0);
  set(Step::reserve, clocks.nowMs() >= nextReserveMs ? 10 : 0);
  set(Step::issue, clients.canIssue() ? 50 : 0);
  set(Step::propose, clients.canPropose() ? 40 : 0);
  set(Step::deliver, clients.canDeliver() ? 60 : 0);
  set(Step::time, 25);
  set(Step::fault, withFaults ? 2 : 0);
  return made;
}

void World::stepOnce(bool withFaults) {
  const auto weight = weights(withFaults);
  uint64_t sum = 0;
  for (const uint64_t one : weight) sum += one;
  uint64_t draw = random.below(sum);
  size_t which = 0;
  while (draw >= weight[which]) draw -= weight[which++];
  ++step;
  ++counters[Count::steps];
  trace.add(which);
  tell(stepNames[which]);
  runStep(static_cast<Step>(which));
  afterStep();
}

void World::runStep(Step which) {
  const auto part = [this](size_t count) { return random.oneIn(2) ? count : 1 + random.below(count); };
  switch (which) {
    case Step::raft:
      return node->runRaft(node->raftMailCount() == 0 ? 0 : part(node->raftMailCount()));
    case Step::log:
      return node->runLog(part(node->logMailCount()));
    case Step::apply:
      return node->runApply(part(node->applyMailCount()));
    case Step::fill:
      return node->runFill();
    case Step::job:
      return node->runJob();
    case Step::reserve:
      nextReserveMs = clocks.nowMs() + 1000;
      return node->checkReserve();
    case Step::issue:
      return clients.issue();
    case Step::propose:
      return clients.propose();
    case Step::deliver:
      return clients.deliver();
    case Step::time:
      return passTime();
    case Step::fault:
      return fault();
    case Step::count:
      return;
  }
}

void World::passTime() {
  // Now and then everybody sleeps until the node has something to do, as an idle server would.
  const uint64_t ms = isDraining         ? random.from(50, 500)
                      : random.oneIn(20) ? std::min<uint64_t>(node->raftWaitMs() + random.below(3), 60'000)
                                         : random.from(1, 40);
  clocks.pass(ms);
  clients.endWaits();
}

void World::afterStep() {
  if (node->ended() || disk.isFrozen()) return judgeEnd();
  failure.expect(disk.failedPath().find("/log/") == std::string::npos, "failedSyncEnds",
                 "the node goes on after a failure of " + disk.failedPath());
  if (node->hasStopped()) {
    ++counters[Count::gracefulStops];
    disk.crashNow(CrashKind::kill);
    return recover(CrashKind::kill);
  }
  if (fullUntilStep != 0 && step >= fullUntilStep) {
    fullUntilStep = 0;
    disk.setCapacity(UINT64_MAX);
  }
  if (step % 16 == 0) checker.durable(node->machine().durableIndex());
  if (mustLook || step % lookEvery == 0) look();
}

void World::look() {
  mustLook = node->machine().meta().appliedIndex <= checker.entries();
  if (!mustLook) checker.checkStored(node->machine());
}

// --- Crashes and recovery --------------------------------------------------------------------------------------------

// Whether the node had a reason to end; then it is opened again.
void World::judgeEnd() {
  const std::optional<ProcessEnded> end = node->ended();
  const bool wasHurt = disk.hasFailed() || disk.counters.fullWrites > fullWritesSeen;
  if (end && (end->isAssertion || (!wasHurt && !disk.isFrozen()))) {
    failure.set("processEnded", end->why);
  }
  CrashKind kind = armed;
  if (!disk.isFrozen()) {
    tell("ended: " + end->why);
    kind = random.oneIn(2) ? CrashKind::kill : CrashKind::power;
    disk.crashNow(kind);
  }
  recover(kind);
}

// The disk is frozen, but at the very start.
void World::recover(CrashKind kind) {
  for (uint64_t opening = 0; !failure.get(); ++opening) {
    if (opening > openingsMax) return failure.set("opensAfterCrash", "it does not open in many tries");
    if (disk.isFrozen()) {
      ++counters[Count::crashes];
      ++counters[kind == CrashKind::power ? Count::powerCuts : Count::kills];
      node->close();
      disk.restart();
      if (kind == CrashKind::power) {
        clocks.reboot(random.from(1, 30'000));
      } else {
        clocks.pass(random.from(1, 2000));
      }
      tell(kind == CrashKind::power ? "power cut" : "killed");
    }
    clients.crashed();
    fullWritesSeen = disk.counters.fullWrites;
    armed = kind = random.oneIn(2) ? CrashKind::power : CrashKind::kill;
    if (!isDraining && opening < openingsMax / 2 && random.oneIn(4)) disk.crashAt(random.from(1, 150), kind);
    if (!isDraining && opening < openingsMax / 2 && random.oneIn(12)) disk.failAt(random.from(1, 100));
    ++step;
    ++counters[Count::steps];
    if (openOnce()) break;
  }
  clients.attach(node.get());
  mustLook = true;
  nextReserveMs = clocks.nowMs();
}

bool World::openOnce() {
  const Result<void> opened = node->open();
  const bool wasHurt = disk.hasFailed() || disk.counters.fullWrites > fullWritesSeen;
  if (node->ended() && (node->ended()->isAssertion || (!wasHurt && !disk.isFrozen()))) {
    failure.set("processEnded", node->ended()->why);
    return false;
  }
  if (opened.ok() && !node->ended() && !disk.isFrozen()) {
    disk.clearFaults();
    return true;
  }
  ++counters[Count::crashesInOpening];
  if (disk.isFrozen()) return false;
  const bool isFull = !opened.ok() && opened.error().code == schema::ErrorCode::DISK_FULL;
  if (!isFull && !wasHurt) failure.set("opensAfterCrash", opened.ok() ? "" : opened.error().message);
  if (isFull || disk.counters.fullWrites > fullWritesSeen) {
    // Somebody makes room in the end.
    ++counters[Count::refusedFull];
    if (random.oneIn(2)) disk.setCapacity(UINT64_MAX);
  }
  disk.crashNow(CrashKind::kill);
  armed = CrashKind::kill;
  return false;
}

// --- The end ---------------------------------------------------------------------------------------------------------

void World::drain() {
  isDraining = true;
  disk.clearFaults();
  disk.setCapacity(UINT64_MAX);
  fullUntilStep = 0;
  // What is due at an instant of the wall clock must not wait for a year that a jump took away.
  int64_t wallMs = checker.jobs().wallMaxMs();
  for (const auto& [id, job] : checker.jobs().jobs()) wallMs = std::max(wallMs, job.dueWallMs);
  clocks.jump(std::max<int64_t>(0, wallMs - clocks.wallMs()) + static_cast<int64_t>(hourMs));
  clocks.pass(10'000);
  clients.beginDraining();
  nextReserveMs = clocks.nowMs();
  std::optional<std::string> left;
  for (uint64_t count = 1; count <= drainStepsMax && !failure.get(); ++count) {
    stepOnce(false);
    if (count % drainLookEvery != 0) continue;
    left = checker.isDrained(node->machine());
    if (!left) return checker.checkStored(node->machine());
  }
  if (!failure.get()) failure.set("everythingIsDelivered", left.value_or("") + " is left");
}

void World::collect() {
  const auto set = [this](Count name, uint64_t value) { counters[name] = value; };
  set(Count::failedWrites, disk.counters.failedWrites);
  set(Count::failedSyncs, disk.counters.failedSyncs);
  set(Count::fullWrites, disk.counters.fullWrites);
  set(Count::tornFiles, disk.counters.tornFiles);
  set(Count::lostNames, disk.counters.lostNames);
  set(Count::entries, checker.entries());
  set(Count::replays, checker.replays());
  set(Count::expiries, checker.jobs().expiries());
  node->close();
  const NodeCounters& of = node->counters;
  set(Count::tornTails, of.tornTails);
  set(Count::logCuts, of.logCuts);
  set(Count::checkpoints, of.checkpoints);
  set(Count::flushJobs, of.jobs);
  set(Count::refills, of.refills);
  set(Count::fills, of.fills);
  set(Count::reserveReached, of.reserveReached);
  const ClientCounters& seen = clients.counters;
  set(Count::requests, seen.requests);
  set(Count::answers, seen.answers);
  set(Count::unknown, seen.unknown);
  set(Count::repeated, seen.repeated);
  set(Count::parked, seen.parked);
  set(Count::woken, seen.woken);
  set(Count::diskFullAnswers, seen.diskFull);
  set(Count::enqueued, seen.enqueued);
  set(Count::granted, seen.granted);
  set(Count::acked, seen.acked);
  set(Count::leaseLost, seen.leaseLost);
  set(Count::exchanges, seen.exchanges);
  set(Count::unsent, seen.unsent);
}

void World::tell(const std::string& text) {
  if (!options.isTold) return;
  std::printf("%6llu  %10llu ms  %s\n", static_cast<unsigned long long>(step),
              static_cast<unsigned long long>(clocks.nowMs()), text.c_str());
}

}  // namespace capstan::sim
