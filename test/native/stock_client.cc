// The stock client's connection and the short forms of its calls. Owns no expectation about the server.
// Called by the scenarios in this folder.
#include "stock_client.h"

#include <cstring>

namespace capstan::stock {

int64_t nowMs() {
  auto now = std::chrono::steady_clock::now().time_since_epoch();
  return std::chrono::duration_cast<std::chrono::milliseconds>(now).count();
}

Connection::Connection(kj::Own<kj::AsyncIoStream> stream, kj::Own<PackedBridge> bridge)
    : bridge_(kj::mv(bridge)),
      stream_(kj::mv(stream)),
      client_(*stream_),
      bootstrap_(client_.bootstrap()),
      queueber(bootstrap_.castAs<Queueber>()),
      jobs(bootstrap_.castAs<JobQueue>()) {}

World::World(kj::AsyncIoContext& io, kj::StringPtr address) : io_(io) {
  constexpr size_t prefixBytes = 7;
  if (address.startsWith("packed:")) {
    packedAddress_ = kj::str(address.slice(prefixBytes));
    return;
  }
  address_ = io_.provider->getNetwork().parseAddress(address, 9090).wait(io_.waitScope);
}

kj::Own<Connection> World::connect() {
  if (packedAddress_.size() == 0)
    return kj::heap<Connection>(address_->connect().wait(io_.waitScope), kj::Own<PackedBridge>());
  auto bridge = kj::heap<PackedBridge>(packedAddress_);
  auto stream =
      io_.lowLevelProvider->wrapSocketFd(bridge->takeClientEnd(), kj::LowLevelAsyncIoProvider::TAKE_OWNERSHIP |
                                                                      kj::LowLevelAsyncIoProvider::ALREADY_CLOEXEC);
  return kj::heap<Connection>(kj::mv(stream), kj::mv(bridge));
}

void World::sleep(int64_t durationMs) {
  if (durationMs > 0) after(durationMs).wait(io_.waitScope);
}

kj::Promise<void> World::after(int64_t durationMs) {
  return io_.provider->getTimer().afterDelay(durationMs * kj::MILLISECONDS);
}

void World::flush() {
  // A turn of the loop, including what the sockets have to do.
  for (int turn = 0; turn < 10; turn++) sleep(1);
}

std::vector<Bytes> add(World& world, Connection& connection, const std::vector<Bytes>& contents, uint64_t delaySecs) {
  auto request = connection.queueber.addRequest();
  auto items = request.initReq().initItems(contents.size());
  for (size_t i = 0; i < contents.size(); i++) {
    items[i].setContents(dataOf(contents[i]));
    items[i].setVisibilityTimeoutSecs(delaySecs);
  }
  auto response = request.send().wait(world.scope());
  std::vector<Bytes> ids;
  for (auto id : response.getResp().getIds()) ids.push_back(bytesOf(id));
  KJ_ASSERT(ids.size() == contents.size(), "one id for each item", ids.size(), contents.size());
  for (auto& id : ids) KJ_ASSERT(id.size() == 16, "an id has 16 bytes", id.size());
  return ids;
}

kj::Promise<Polled> startPoll(Connection& connection, uint64_t leaseSecs, uint32_t items, uint64_t timeoutSecs) {
  auto request = connection.queueber.pollRequest();
  auto body = request.initReq();
  body.setLeaseValiditySecs(leaseSecs);
  body.setNumItems(items);
  body.setTimeoutSecs(timeoutSecs);
  return request.send().then([](auto&& response) {
    Polled polled;
    polled.lease = bytesOf(response.getResp().getLease());
    for (auto item : response.getResp().getItems()) {
      polled.items.emplace_back(bytesOf(item.getId()), bytesOf(item.getContents()));
    }
    KJ_ASSERT(polled.lease.size() == (polled.items.empty() ? 0 : 16), "a lease only with jobs", polled.lease.size(),
              polled.items.size());
    return polled;
  });
}

Polled poll(World& world, Connection& connection, uint64_t leaseSecs, uint32_t items, uint64_t timeoutSecs) {
  return startPoll(connection, leaseSecs, items, timeoutSecs).wait(world.scope());
}

bool removeJob(World& world, Connection& connection, const Bytes& id, const Bytes& lease) {
  auto request = connection.queueber.removeRequest();
  auto body = request.initReq();
  body.setId(dataOf(id));
  body.setLease(dataOf(lease));
  return request.send().wait(world.scope()).getResp().getRemoved();
}

bool extend(World& world, Connection& connection, const Bytes& lease, uint64_t leaseSecs) {
  auto request = connection.queueber.extendRequest();
  auto body = request.initReq();
  body.setLease(dataOf(lease));
  body.setLeaseValiditySecs(leaseSecs);
  return request.send().wait(world.scope()).getResp().getExtended();
}

kj::Exception failureOf(World& world, kj::Promise<void> promise) {
  kj::Maybe<kj::Exception> failure;
  promise.then([]() {}, [&](kj::Exception&& exception) { failure = kj::mv(exception); }).wait(world.scope());
  KJ_IF_MAYBE (exception, failure) return kj::mv(*exception);
  KJ_FAIL_ASSERT("the call succeeded, though it must be refused");
}

void expectMessage(const kj::Exception& exception, std::initializer_list<const char*> words) {
  for (const char* word : words) {
    KJ_ASSERT(std::strstr(exception.getDescription().cStr(), word) != nullptr, "the message must name it", word,
              exception.getDescription());
  }
}

}  // namespace capstan::stock
