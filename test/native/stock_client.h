// What the scenarios of the stock client share: a connection made of nothing but the stock Cap'n Proto RPC library, and
// short forms of the calls. Owns no rule of Capstan: what the server must do is said in the scenarios.
//
// Threading: one thread with one event loop. Errors: an unmet expectation or an exception of the server is a
// kj::Exception; main prints it and ends with 1.
#pragma once

#include <capnp/rpc-twoparty.h>
#include <kj/async-io.h>
#include <kj/debug.h>

#include <chrono>
#include <cstdint>
#include <initializer_list>
#include <string>
#include <utility>
#include <vector>

#include "capstan.capnp.h"
#include "compat.capnp.h"
#include "packed_bridge.h"

namespace capstan::stock {

using schema::JobQueue;
using schema::compat::Queueber;
using Bytes = std::string;

inline Bytes bytesOf(capnp::Data::Reader data) {
  return Bytes(reinterpret_cast<const char*>(data.begin()), data.size());
}

inline capnp::Data::Reader dataOf(const Bytes& bytes) {
  return capnp::Data::Reader(reinterpret_cast<const kj::byte*>(bytes.data()), bytes.size());
}

// Whole milliseconds of a clock that never jumps.
int64_t nowMs();

// One TCP or Unix connection. Its bootstrap object answers both interfaces.
class Connection {
 public:
  // `bridge`: what carries its frames in the packed form; null where they go as they are.
  Connection(kj::Own<kj::AsyncIoStream> stream, kj::Own<PackedBridge> bridge);
  KJ_DISALLOW_COPY(Connection);

 private:
  kj::Own<PackedBridge> bridge_;
  kj::Own<kj::AsyncIoStream> stream_;
  capnp::TwoPartyClient client_;
  capnp::Capability::Client bootstrap_;

 public:
  Queueber::Client queueber;
  JobQueue::Client jobs;
  capnp::Capability::Client& bootstrap() { return bootstrap_; }
};

class World {
 public:
  World(kj::AsyncIoContext& io, kj::StringPtr address);

  kj::Own<Connection> connect();
  kj::Promise<void> after(int64_t durationMs);
  void sleep(int64_t durationMs);
  template <typename T>
  T wait(kj::Promise<T>&& promise) {
    return promise.wait(io_.waitScope);
  }
  kj::WaitScope& scope() { return io_.waitScope; }
  // Lets the loop run until nothing is left to do, so that what was called has been sent.
  void flush();

 private:
  kj::AsyncIoContext& io_;
  kj::String packedAddress_;  // empty: frames go as they are, to `address_`
  kj::Own<kj::NetworkAddress> address_;
};

struct Polled {
  Bytes lease;
  std::vector<std::pair<Bytes, Bytes>> items;  // id, contents
};

// Short forms of the Queueber calls. `secs` are seconds, as that interface has them.
std::vector<Bytes> add(World& world, Connection& connection, const std::vector<Bytes>& contents,
                       uint64_t delaySecs = 0);
kj::Promise<Polled> startPoll(Connection& connection, uint64_t leaseSecs, uint32_t items, uint64_t timeoutSecs);
Polled poll(World& world, Connection& connection, uint64_t leaseSecs, uint32_t items, uint64_t timeoutSecs);
bool removeJob(World& world, Connection& connection, const Bytes& id, const Bytes& lease);
bool extend(World& world, Connection& connection, const Bytes& lease, uint64_t leaseSecs);

// The exception that the call ends with; fails when it succeeds.
kj::Exception failureOf(World& world, kj::Promise<void> promise);
void expectMessage(const kj::Exception& exception, std::initializer_list<const char*> words);

struct Scenario {
  const char* name;
  void (*run)(World& world);
};

const std::vector<Scenario>& queueberScenarios();
const std::vector<Scenario>& queueberCrowdScenarios();
const std::vector<Scenario>& jobQueueScenarios();

}  // namespace capstan::stock
