// What many clients at once, and clients that wait, may expect of the Queueber interface: long polls, lost wake-ups,
// polls given up, and who gets which lease. Called by stock_client_main.cc with an empty queue.
#include <algorithm>
#include <set>

#include "stock_client.h"

namespace capstan::stock {
namespace {

constexpr int64_t promptMsMax = 700;

// Waits for the promise, but fails after `limitMs`: a poll without end must not hang the scenario.
Polled within(World& world, kj::Promise<Polled>&& promise, int64_t limitMs) {
  auto limit = world.after(limitMs).then([limitMs]() -> Polled { KJ_FAIL_ASSERT("nothing came in time", limitMs); });
  return promise.exclusiveJoin(kj::mv(limit)).wait(world.scope());
}

void longPollWithoutEnd(World& world) {
  auto waiting = world.connect();
  auto adding = world.connect();
  auto promise = startPoll(*waiting, 30, 1, 0).eagerlyEvaluate(nullptr);
  world.sleep(1500);
  int64_t addedMs = nowMs();
  auto ids = add(world, *adding, {"at last"});
  auto polled = within(world, kj::mv(promise), 5000);
  KJ_ASSERT(nowMs() - addedMs < promptMsMax, nowMs() - addedMs);
  KJ_ASSERT(polled.items.size() == 1 && polled.items[0].first == ids[0]);
  KJ_ASSERT(removeJob(world, *waiting, ids[0], polled.lease));
}

void lateOneServedWhileAFarDelayedWaits(World& world) {
  auto client = world.connect();
  auto adding = world.connect();
  add(world, *adding, {"in an hour"}, 3600);
  auto promise = startPoll(*client, 30, 1, 0).eagerlyEvaluate(nullptr);
  world.sleep(300);
  int64_t addedMs = nowMs();
  add(world, *adding, {"now"});
  auto polled = within(world, kj::mv(promise), 5000);
  KJ_ASSERT(nowMs() - addedMs < promptMsMax, nowMs() - addedMs);
  KJ_ASSERT(polled.items.size() == 1 && polled.items[0].second == "now");
}

void parkedOneServedByANearerDelay(World& world) {
  auto client = world.connect();
  auto adding = world.connect();
  auto promise = startPoll(*client, 30, 1, 0).eagerlyEvaluate(nullptr);
  world.sleep(100);
  add(world, *adding, {"in an hour"}, 3600);
  int64_t addedMs = nowMs();
  add(world, *adding, {"in a second"}, 1);
  auto polled = within(world, kj::mv(promise), 5000);
  int64_t tookMs = nowMs() - addedMs;
  KJ_ASSERT(polled.items.size() == 1 && polled.items[0].second == "in a second");
  KJ_ASSERT(tookMs >= 999 && tookMs < 1000 + promptMsMax, tookMs);
}

void parkedOneServedByAnEndedLease(World& world) {
  auto holder = world.connect();
  auto client = world.connect();
  add(world, *holder, {"held"});
  auto held = poll(world, *holder, 1, 1, 5);
  KJ_ASSERT(held.items.size() == 1);
  auto polled = within(world, startPoll(*client, 30, 1, 0), 5000);
  KJ_ASSERT(polled.items.size() == 1 && polled.items[0].first == held.items[0].first);
}

void twentyParkedServedByOneAdd(World& world) {
  constexpr size_t pollers = 20;
  std::vector<kj::Own<Connection>> connections;
  std::vector<kj::Promise<Polled>> promises;
  for (size_t i = 0; i < pollers; i++) {
    connections.push_back(world.connect());
    promises.push_back(startPoll(*connections.back(), 30, 1, 0).eagerlyEvaluate(nullptr));
  }
  world.sleep(500);
  auto adding = world.connect();
  int64_t addedMs = nowMs();
  add(world, *adding, std::vector<Bytes>(pollers, "one for each"));
  std::set<Bytes> ids;
  std::set<Bytes> leases;
  for (size_t i = 0; i < pollers; i++) {
    auto polled = within(world, kj::mv(promises[i]), 5000);
    KJ_ASSERT(polled.items.size() == 1, i, polled.items.size());
    ids.insert(polled.items[0].first);
    leases.insert(polled.lease);
  }
  KJ_ASSERT(nowMs() - addedMs < 2 * promptMsMax, nowMs() - addedMs);
  KJ_ASSERT(ids.size() == pollers, "no job twice", ids.size());
  KJ_ASSERT(leases.size() == pollers, "each poller has a lease of its own", leases.size());
}

void coalescedPollersCannotTouchEachOther(World& world) {
  auto one = world.connect();
  auto two = world.connect();
  auto adding = world.connect();
  auto first = startPoll(*one, 30, 1, 0).eagerlyEvaluate(nullptr);
  auto second = startPoll(*two, 30, 1, 0).eagerlyEvaluate(nullptr);
  world.sleep(300);
  add(world, *adding, {"a", "b"});
  auto polledOne = within(world, kj::mv(first), 5000);
  auto polledTwo = within(world, kj::mv(second), 5000);
  KJ_ASSERT(polledOne.lease != polledTwo.lease);
  KJ_ASSERT(!removeJob(world, *one, polledTwo.items[0].first, polledOne.lease));
  KJ_ASSERT(!removeJob(world, *two, polledOne.items[0].first, polledTwo.lease));
  KJ_ASSERT(removeJob(world, *one, polledOne.items[0].first, polledOne.lease));
  KJ_ASSERT(extend(world, *two, polledTwo.lease, 60));
  KJ_ASSERT(removeJob(world, *two, polledTwo.items[0].first, polledTwo.lease));
}

void canceledPollTakesNothing(World& world) {
  auto waiting = world.connect();
  auto other = world.connect();
  for (int round = 0; round < 5; round++) {
    {
      auto promise = startPoll(*waiting, 300, 1, 0).eagerlyEvaluate(nullptr);
      world.sleep(100);
      // Dropping the promise sends Finish before any Return.
    }
    world.flush();
    auto ids = add(world, *other, {"for somebody else"});
    auto polled = within(world, startPoll(*other, 30, 1, 5), 5500);
    KJ_ASSERT(polled.items.size() == 1 && polled.items[0].first == ids[0], round, polled.items.size());
    KJ_ASSERT(removeJob(world, *other, ids[0], polled.lease));
  }
  KJ_ASSERT(poll(world, *waiting, 30, 1, 1).items.empty(), "its connection goes on");
}

void closedConnectionTakesNothing(World& world) {
  auto other = world.connect();
  for (int round = 0; round < 5; round++) {
    {
      auto gone = world.connect();
      auto promise = startPoll(*gone, 300, 1, 0).eagerlyEvaluate(nullptr);
      world.sleep(100);
    }
    world.sleep(100);
    auto ids = add(world, *other, {"for somebody else"});
    auto polled = within(world, startPoll(*other, 30, 1, 5), 5500);
    KJ_ASSERT(polled.items.size() == 1 && polled.items[0].first == ids[0], round, polled.items.size());
    KJ_ASSERT(removeJob(world, *other, ids[0], polled.lease));
  }
}

// Adds, polls and removes until `open` is 0; returns when it is.
kj::Promise<void> work(Connection& connection, std::set<Bytes>& seen, size_t& open) {
  if (open == 0) return kj::READY_NOW;
  return startPoll(connection, 60, 7, 1).then([&connection, &seen, &open](Polled polled) -> kj::Promise<void> {
    kj::Vector<kj::Promise<void>> removals;
    for (auto& item : polled.items) {
      KJ_ASSERT(seen.insert(item.first).second, "a job was given out twice");
      auto request = connection.queueber.removeRequest();
      auto body = request.initReq();
      body.setId(dataOf(item.first));
      body.setLease(dataOf(polled.lease));
      removals.add(request.send().then([&open](auto&& response) {
        KJ_ASSERT(response.getResp().getRemoved());
        open--;
      }));
    }
    return kj::joinPromises(removals.releaseAsArray()).then([&connection, &seen, &open]() {
      return work(connection, seen, open);
    });
  });
}

void sixtyFourClientsAtOnce(World& world) {
  constexpr size_t clients = 64;
  constexpr size_t jobsEach = 100;
  std::vector<kj::Own<Connection>> connections;
  for (size_t i = 0; i < clients; i++) connections.push_back(world.connect());
  std::set<Bytes> added;
  std::set<Bytes> seen;
  size_t open = clients * jobsEach;
  kj::Vector<kj::Promise<void>> tasks;
  for (size_t i = 0; i < clients; i++) {
    for (size_t batch = 0; batch < jobsEach / 10; batch++) {
      auto request = connections[i]->queueber.addRequest();
      auto items = request.initReq().initItems(10);
      for (auto item : items) item.setContents(dataOf("client " + std::to_string(i)));
      tasks.add(request.send().then([&added](auto&& response) {
        for (auto id : response.getResp().getIds()) {
          KJ_ASSERT(added.insert(bytesOf(id)).second, "an id was given out twice");
        }
      }));
    }
    tasks.add(work(*connections[i], seen, open));
  }
  kj::joinPromises(tasks.releaseAsArray()).wait(world.scope());
  KJ_ASSERT(added.size() == clients * jobsEach, added.size());
  KJ_ASSERT(seen == added, "each job went to exactly one client", seen.size());
}

void manyCallsOutstandingOnOneConnection(World& world) {
  auto client = world.connect();
  constexpr size_t calls = 500;
  kj::Vector<kj::Promise<void>> adds;
  size_t ids = 0;
  for (size_t i = 0; i < calls; i++) {
    auto request = client->queueber.addRequest();
    request.initReq().initItems(1)[0].setContents(dataOf(std::to_string(i)));
    adds.add(request.send().then([&ids](auto&& response) { ids += response.getResp().getIds().size(); }));
  }
  kj::joinPromises(adds.releaseAsArray()).wait(world.scope());
  KJ_ASSERT(ids == calls, ids);
  std::vector<Bytes> found;
  while (found.size() < calls) {
    auto polled = poll(world, *client, 30, 200, 5);
    KJ_ASSERT(!polled.items.empty(), found.size());
    for (auto& item : polled.items) found.push_back(item.second);
  }
  for (size_t i = 0; i < calls; i++) KJ_ASSERT(found[i] == std::to_string(i), "in the order of adding", i);
}

}  // namespace

const std::vector<Scenario>& queueberCrowdScenarios() {
  static const std::vector<Scenario> scenarios{
      {"longPollWithoutEnd", longPollWithoutEnd},
      {"lateOneServedWhileAFarDelayedWaits", lateOneServedWhileAFarDelayedWaits},
      {"parkedOneServedByANearerDelay", parkedOneServedByANearerDelay},
      {"parkedOneServedByAnEndedLease", parkedOneServedByAnEndedLease},
      {"twentyParkedServedByOneAdd", twentyParkedServedByOneAdd},
      {"coalescedPollersCannotTouchEachOther", coalescedPollersCannotTouchEachOther},
      {"canceledPollTakesNothing", canceledPollTakesNothing},
      {"closedConnectionTakesNothing", closedConnectionTakesNothing},
      {"sixtyFourClientsAtOnce", sixtyFourClientsAtOnce},
      {"manyCallsOutstandingOnOneConnection", manyCallsOutstandingOnOneConnection},
  };
  return scenarios;
}

}  // namespace capstan::stock
