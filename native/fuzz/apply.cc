// Fuzz target `apply`: whatever clients may make of valid requests, in any order, number and time, applied by two
// nodes that must not differ: one with the usual windows, one whose windows hold a single key and which restarts. Owns
// both states, in memory. No request that validation lets pass may end the process, and digests stay equal.
//
//   input: steps, each one byte: below 25 a request of that method (a piece: its message), 25 the end of an entry,
//   26 a tick (byte: rows), 27 time passes (u32 ms, i32 ms of the wall clock), 28 a restart, 29 an unsend of a lease.
//   In a message, 15 bytes 0xEE and a number stand for a lease that was granted, 15 bytes 0xDD for a job's id.
#include <rocksdb/env.h>

#include <algorithm>
#include <memory>
#include <string>

#include "base/check.h"
#include "codec/entry.h"
#include "codec/read_request.h"
#include "fsm/state_machine.h"
#include "fuzz/input.h"
#include "fuzz/targets.h"

namespace capstan::fuzz {
namespace {

using codec::Method;

constexpr size_t commandsMax = 8;  // of one entry
constexpr size_t stepsMax = 64;

class Node {
 public:
  explicit Node(uint32_t windowJobsMax) : env(rocksdb::NewMemEnv(rocksdb::Env::Default())) {
    options.directory = "/state";
    options.env = env.get();
    options.windowJobsMax = windowJobsMax;
    options.blockCacheBytes = options.writeBufferBytes = 1 << 20;
    open();
    fsm::Founding founding;
    founding.clusterSecret.fill(9);
    machine->found(founding);
  }
  void open() { machine = fsm::StateMachine::open(options).take(); }
  void restart() {
    machine->flush(true, true);
    machine = nullptr;
    open();
  }

  const std::unique_ptr<rocksdb::Env> env;
  fsm::Options options;
  std::unique_ptr<fsm::StateMachine> machine;
  fsm::Applied applied;
};

class Pair {
 public:
  void step(Input& input) {
    const uint32_t kind = input.byte() % 30;
    switch (kind) {
      case 25:
        return finishEntry();
      case 26:
        return applyBoth(codec::buildTickEntry(1 + input.byte()));
      case 27:
        stamp.elapsedMs += input.number<uint32_t>();
        stamp.wallMs += input.number<int32_t>();
        return;
      case 28:
        finishEntry();
        return other.restart();
      case 29: {
        if (leases.empty()) return;
        const LeaseId lease = leases[input.byte() % leases.size()];
        return applyBoth(codec::buildUnsendEntry(std::span(&lease, 1)));
      }
      default:
        return addRequest(kind < 21 ? static_cast<Method>(kind) : static_cast<Method>(kind - 21 + 0x100),
                          input.piece());
    }
  }

  void finish() {
    finishEntry();
    stamp.elapsedMs += 60'000;
    applyBoth(codec::buildTickEntry(1000));
    const auto digest = usual.machine->meta().digest;
    usual.restart();
    CAPSTAN_ASSERT(usual.machine->meta().digest == digest);
  }

 private:
  void addRequest(Method method, ByteSpan message) {
    std::vector<uint8_t> bytes(message.begin(), message.end());
    putKnown(bytes);
    Result<std::unique_ptr<codec::PinnedMessage>> pinned = codec::pinMessage(bytes);
    if (!pinned) return;
    const codec::Locate root = [](capnp::MessageReader& reader) {
      return capnp::AnyPointer::Reader(reader.getRoot<capnp::AnyPointer>());
    };
    Result<std::unique_ptr<codec::Request>> request = codec::validate(method, pinned.take(), root, limits);
    if (!request) return;
    const auto callClass = request.value()->callClass;
    if (callClass == schema::CallClass::READ) return readBoth(*request.value());
    if (callClass == schema::CallClass::INFO) return;
    waiting.push_back(request.take());
    if (waiting.size() == commandsMax) finishEntry();
  }

  // Nobody can guess a lease: those that were granted are put in where the input asks for one.
  void putKnown(std::vector<uint8_t>& bytes) const {
    for (size_t at = 0; at + 16 <= bytes.size(); at += 8) {
      const uint8_t mark = bytes[at];
      if (mark != 0xEE && mark != 0xDD) continue;
      if (!std::all_of(bytes.begin() + at, bytes.begin() + at + 15, [&](uint8_t byte) { return byte == mark; }))
        continue;
      const uint8_t number = bytes[at + 15];
      if (mark == 0xEE && !leases.empty()) {
        std::copy_n(leases[number % leases.size()].bytes.begin(), 16, bytes.begin() + at);
      } else if (mark == 0xDD && !ids.empty()) {
        std::copy_n(ids[number % ids.size()].bytes.begin(), 16, bytes.begin() + at);
      }
    }
  }

  void readBoth(const codec::Request& request) {
    finishEntry();
    const ReadCommand command = codec::makeRead(request, codec::defaultTenant, limits);
    const ReadResult one = usual.machine->read(command);
    const ReadResult two = other.machine->read(command);
    CAPSTAN_ASSERT(one.code == two.code && one.jobs.size() == two.jobs.size() && one.next == two.next);
  }

  void finishEntry() {
    if (waiting.empty()) return;
    std::vector<const codec::Request*> requests;
    for (const auto& request : waiting) requests.push_back(request.get());
    const auto entry = codec::buildEntry(requests, codec::defaultTenant, limits);
    waiting.clear();
    applyBoth(entry);
  }

  void applyBoth(std::vector<uint8_t> entry) {
    finishEntry();
    stamp.seed.fill(static_cast<uint8_t>(index));
    codec::stampEntry(entry, stamp);
    ++index;
    for (Node* node : {&usual, &other}) {
      const Result<void> done = node->machine->apply(index, 1, entry, node->applied);
      CAPSTAN_ASSERT(done.ok(), done.ok() ? "" : done.error().message);
    }
    CAPSTAN_ASSERT(usual.machine->meta().digest == other.machine->meta().digest, index);
    CAPSTAN_ASSERT(usual.applied.results.size() == other.applied.results.size());
    for (size_t at = 0; at < usual.applied.results.size(); ++at)
      note(usual.applied.results[at], other.applied.results[at]);
  }

  void note(CommandResult& one, CommandResult& two) {
    CAPSTAN_ASSERT(one.code == two.code, static_cast<int>(one.code), static_cast<int>(two.code));
    CAPSTAN_ASSERT(one.ids == two.ids && one.lease == two.lease && one.jobs.size() == two.jobs.size());
    CAPSTAN_ASSERT(one.parts.size() == two.parts.size());
    usual.machine->fillRecords(one.jobs);
    other.machine->fillRecords(two.jobs);
    CAPSTAN_ASSERT(one.jobs.size() == two.jobs.size());
    for (size_t at = 0; at < one.jobs.size(); ++at) {
      CAPSTAN_ASSERT(one.jobs[at].id == two.jobs[at].id);
      ids.push_back(one.jobs[at].id);
    }
    ids.insert(ids.end(), one.ids.begin(), one.ids.end());
    if (!one.lease.isZero()) leases.push_back(one.lease);
    for (size_t at = 0; at < one.parts.size(); ++at) note(one.parts[at], two.parts[at]);
  }

  codec::Limits limits;
  Node usual{4096};
  Node other{1};
  codec::Stamp stamp{1000, 1'700'000'000'000, {}};
  uint64_t index = 1;
  std::vector<std::unique_ptr<codec::Request>> waiting;
  std::vector<LeaseId> leases;
  std::vector<JobId> ids;
};

}  // namespace

void apply(ByteSpan bytes) {
  Input input(bytes);
  Pair pair;
  for (size_t steps = 0; steps < stepsMax && !input.empty(); ++steps) pair.step(input);
  pair.finish();
}

}  // namespace capstan::fuzz
