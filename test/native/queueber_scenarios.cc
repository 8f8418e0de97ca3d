// What one client at a time may expect of the Queueber interface: adding, delays, leases, their end, extension, and
// refusals. Called by stock_client_main.cc with an empty queue. Crowds of clients are in queueber_crowd_scenarios.cc.
#include <algorithm>

#include "stock_client.h"

namespace capstan::stock {
namespace {

// How much later than its exact moment an answer may come on a machine that is busy.
constexpr int64_t lateMsMax = 700;

const Bytes strangeLease(16, '\x5a');

void addPollRemove(World& world) {
  auto client = world.connect();
  auto ids = add(world, *client, {"one", "two", "three"});
  auto polled = poll(world, *client, 30, 10, 5);
  KJ_ASSERT(polled.items.size() == 3, polled.items.size());
  for (size_t i = 0; i < 3; i++) KJ_ASSERT(polled.items[i].first == ids[i], "in the order of adding, with its id", i);
  KJ_ASSERT(polled.items[0].second == "one" && polled.items[2].second == "three");
  for (auto& item : polled.items) KJ_ASSERT(removeJob(world, *client, item.first, polled.lease));
  KJ_ASSERT(!removeJob(world, *client, ids[0], polled.lease), "a job is removed once");
  auto empty = poll(world, *client, 30, 1, 1);
  KJ_ASSERT(empty.items.empty());
}

void emptyPollEndsInTime(World& world) {
  auto client = world.connect();
  int64_t startMs = nowMs();
  auto empty = poll(world, *client, 30, 1, 1);
  int64_t tookMs = nowMs() - startMs;
  KJ_ASSERT(empty.items.empty() && empty.lease.empty());
  KJ_ASSERT(tookMs >= 999 && tookMs < 1000 + lateMsMax, tookMs);
}

void delayHidesTheJob(World& world) {
  auto client = world.connect();
  int64_t sentMs = nowMs();
  add(world, *client, {"later"}, 2);
  KJ_ASSERT(poll(world, *client, 30, 1, 1).items.empty(), "not before its delay");
  auto polled = poll(world, *client, 30, 1, 5);
  int64_t tookMs = nowMs() - sentMs;
  KJ_ASSERT(polled.items.size() == 1 && polled.items[0].second == "later");
  KJ_ASSERT(tookMs >= 1999 && tookMs < 2000 + lateMsMax, tookMs);
  KJ_ASSERT(removeJob(world, *client, polled.items[0].first, polled.lease));
}

void delayOfEachItemCounts(World& world) {
  auto client = world.connect();
  auto request = client->queueber.addRequest();
  auto items = request.initReq().initItems(2);
  items[0].setContents(dataOf("slow"));
  items[0].setVisibilityTimeoutSecs(1);
  items[1].setContents(dataOf("fast"));
  request.send().wait(world.scope());
  auto first = poll(world, *client, 30, 2, 5);
  KJ_ASSERT(first.items.size() == 1 && first.items[0].second == "fast");
  auto second = poll(world, *client, 30, 2, 5);
  KJ_ASSERT(second.items.size() == 1 && second.items[0].second == "slow");
}

void leaseEndsAndTheJobComesBack(World& world) {
  auto client = world.connect();
  auto ids = add(world, *client, {"again"});
  int64_t sentMs = nowMs();
  auto first = poll(world, *client, 1, 1, 5);
  KJ_ASSERT(first.items.size() == 1);
  auto second = poll(world, *client, 30, 1, 5);
  int64_t tookMs = nowMs() - sentMs;
  KJ_ASSERT(second.items.size() == 1 && second.items[0].first == ids[0], "the same job");
  KJ_ASSERT(second.lease != first.lease, "under a lease of its own");
  KJ_ASSERT(tookMs >= 999 && tookMs < 1000 + lateMsMax, tookMs);
  KJ_ASSERT(!removeJob(world, *client, ids[0], first.lease), "the old lease removes nothing");
  KJ_ASSERT(!extend(world, *client, first.lease, 30), "the old lease extends nothing");
  KJ_ASSERT(removeJob(world, *client, ids[0], second.lease));
}

// A lease is over from its deadline on, whether or not anything has swept it: asked right behind the deadline, many
// times, so that some come before any sweep.
void leaseIsOverBeforeAnySweep(World& world) {
  auto client = world.connect();
  for (int round = 0; round < 3; round++) {
    std::vector<Bytes> contents(40, "due");
    auto ids = add(world, *client, contents);
    auto polled = poll(world, *client, 1, 40, 5);
    int64_t grantedMs = nowMs();
    KJ_ASSERT(polled.items.size() == 40, polled.items.size());
    world.sleep(grantedMs + 1001 - nowMs());
    while (nowMs() < grantedMs + 1001) world.sleep(1);
    KJ_ASSERT(!extend(world, *client, polled.lease, 30), "over is over for extend");
    for (auto& item : polled.items) {
      KJ_ASSERT(!removeJob(world, *client, item.first, polled.lease), "over is over for remove");
    }
    auto again = poll(world, *client, 30, 40, 5);
    while (again.items.size() < 40) {
      auto more = poll(world, *client, 30, 40, 5);
      KJ_ASSERT(!more.items.empty());
      for (auto& item : more.items) KJ_ASSERT(removeJob(world, *client, item.first, more.lease));
      again.items.insert(again.items.end(), more.items.begin(), more.items.end());
    }
    for (auto& item : again.items) removeJob(world, *client, item.first, again.lease);
    std::vector<Bytes> found;
    for (auto& item : again.items) found.push_back(item.first);
    std::sort(found.begin(), found.end());
    std::sort(ids.begin(), ids.end());
    KJ_ASSERT(found == ids, "every job came back once");
  }
}

void wrongLeaseAndOddIds(World& world) {
  auto client = world.connect();
  add(world, *client, {"kept"});
  auto polled = poll(world, *client, 30, 1, 5);
  KJ_ASSERT(polled.items.size() == 1);
  const Bytes& id = polled.items[0].first;
  KJ_ASSERT(!removeJob(world, *client, id, strangeLease), "a lease that was never granted");
  KJ_ASSERT(!extend(world, *client, strangeLease, 30));
  for (size_t size : {size_t{0}, size_t{1}, size_t{15}, size_t{17}, size_t{200}}) {
    KJ_ASSERT(!removeJob(world, *client, Bytes(size, 'x'), polled.lease), "an id of any odd size is just unknown",
              size);
  }
  KJ_ASSERT(!removeJob(world, *client, Bytes(16, 'x'), polled.lease), "an unknown id");
  for (size_t size : {size_t{0}, size_t{15}, size_t{17}}) {
    auto request = client->queueber.removeRequest();
    request.initReq().setId(dataOf(id));
    request.getReq().setLease(dataOf(Bytes(size, 'l')));
    expectMessage(failureOf(world, request.send().ignoreResult()), {"lease"});
    auto extension = client->queueber.extendRequest();
    extension.initReq().setLease(dataOf(Bytes(size, 'l')));
    extension.getReq().setLeaseValiditySecs(5);
    expectMessage(failureOf(world, extension.send().ignoreResult()), {"lease"});
  }
  KJ_ASSERT(removeJob(world, *client, id, polled.lease), "the right one still works");
}

void extendMovesTheDeadline(World& world) {
  auto client = world.connect();
  auto ids = add(world, *client, {"long work"});
  auto polled = poll(world, *client, 1, 1, 5);
  KJ_ASSERT(extend(world, *client, polled.lease, 4));
  KJ_ASSERT(poll(world, *client, 30, 1, 2).items.empty(), "still held after the first deadline");
  int64_t shortenedMs = nowMs();
  KJ_ASSERT(extend(world, *client, polled.lease, 1), "may shorten");
  auto again = poll(world, *client, 30, 1, 5);
  int64_t tookMs = nowMs() - shortenedMs;
  KJ_ASSERT(again.items.size() == 1 && again.items[0].first == ids[0]);
  KJ_ASSERT(tookMs >= 999 && tookMs < 1000 + lateMsMax, tookMs);
  KJ_ASSERT(removeJob(world, *client, ids[0], again.lease));
  KJ_ASSERT(!extend(world, *client, again.lease, 30), "nothing is open in it any more");
}

void extendCoversEveryOpenJob(World& world) {
  auto client = world.connect();
  add(world, *client, {"a", "b", "c"});
  auto polled = poll(world, *client, 1, 3, 5);
  KJ_ASSERT(polled.items.size() == 3);
  KJ_ASSERT(removeJob(world, *client, polled.items[1].first, polled.lease));
  KJ_ASSERT(extend(world, *client, polled.lease, 3));
  KJ_ASSERT(poll(world, *client, 30, 3, 2).items.empty(), "both open jobs are held");
  KJ_ASSERT(removeJob(world, *client, polled.items[0].first, polled.lease));
  KJ_ASSERT(removeJob(world, *client, polled.items[2].first, polled.lease));
}

void refusalsNameTheField(World& world) {
  auto client = world.connect();
  auto polling = client->queueber.pollRequest();
  polling.initReq().setNumItems(1);
  expectMessage(failureOf(world, polling.send().ignoreResult()), {"leaseValiditySecs"});
  auto extension = client->queueber.extendRequest();
  extension.initReq().setLease(dataOf(strangeLease));
  expectMessage(failureOf(world, extension.send().ignoreResult()), {"leaseValiditySecs"});
  // Without its request struct a call reads as one with an empty struct.
  KJ_ASSERT(client->queueber.addRequest().send().wait(world.scope()).getResp().getIds().size() == 0);
  expectMessage(failureOf(world, client->queueber.pollRequest().send().ignoreResult()), {"leaseValiditySecs"});
  expectMessage(failureOf(world, client->queueber.removeRequest().send().ignoreResult()), {"lease"});
  add(world, *client, {"after refusals"});
  KJ_ASSERT(poll(world, *client, 30, 1, 5).items.size() == 1, "the connection goes on");
}

void unknownCallsAreUnimplemented(World& world) {
  auto client = world.connect();
  auto method = client->bootstrap().typelessRequest(0x8323a518d3254563ull, 99, capnp::MessageSize{4, 0});
  auto unknownMethod = failureOf(world, method.send().ignoreResult());
  KJ_ASSERT(unknownMethod.getType() == kj::Exception::Type::UNIMPLEMENTED, unknownMethod);
  auto interface = client->bootstrap().typelessRequest(0xfedcba9876543210ull, 0, capnp::MessageSize{4, 0});
  auto unknownInterface = failureOf(world, interface.send().ignoreResult());
  KJ_ASSERT(unknownInterface.getType() == kj::Exception::Type::UNIMPLEMENTED, unknownInterface);
  add(world, *client, {"goes on"});
}

void addIsAllOrNothing(World& world) {
  auto client = world.connect();
  auto request = client->queueber.addRequest();
  auto items = request.initReq().initItems(3);
  items[0].setContents(dataOf("small"));
  items[1].initContents((1u << 20) + 1);
  items[2].setContents(dataOf("small"));
  expectMessage(failureOf(world, request.send().ignoreResult()), {"contents"});
  KJ_ASSERT(poll(world, *client, 30, 10, 1).items.empty(), "nothing of a refused call is there");
}

void numbersNearTheirEnds(World& world) {
  auto client = world.connect();
  add(world, *client, {"in the far future"}, UINT64_MAX);
  add(world, *client, {"zero means one", "second"});
  auto first = poll(world, *client, UINT64_MAX, 0, UINT64_MAX);
  KJ_ASSERT(first.items.size() == 1, "numItems 0 means 1", first.items.size());
  KJ_ASSERT(extend(world, *client, first.lease, UINT64_MAX));
  auto second = poll(world, *client, UINT64_MAX, UINT32_MAX, UINT64_MAX);
  KJ_ASSERT(second.items.size() == 1 && second.items[0].second == "second");
  KJ_ASSERT(removeJob(world, *client, first.items[0].first, first.lease));
  KJ_ASSERT(removeJob(world, *client, second.items[0].first, second.lease));
}

void payloadsOfAllSizes(World& world) {
  auto client = world.connect();
  std::vector<Bytes> contents;
  for (size_t size : {size_t{0}, size_t{1}, size_t{7}, size_t{8}, size_t{4096}, size_t{65537}, size_t{1} << 20}) {
    Bytes bytes(size, '\0');
    for (size_t i = 0; i < size; i++) bytes[i] = static_cast<char>(i * 131 + size);
    contents.push_back(bytes);
  }
  add(world, *client, contents);
  std::vector<Bytes> found;
  while (found.size() < contents.size()) {
    auto polled = poll(world, *client, 30, 10, 5);
    KJ_ASSERT(!polled.items.empty(), found.size());
    for (auto& item : polled.items) {
      found.push_back(item.second);
      KJ_ASSERT(removeJob(world, *client, item.first, polled.lease));
    }
  }
  KJ_ASSERT(found == contents, "byte for byte, in order");
}

}  // namespace

const std::vector<Scenario>& queueberScenarios() {
  static const std::vector<Scenario> scenarios{
      {"addPollRemove", addPollRemove},
      {"emptyPollEndsInTime", emptyPollEndsInTime},
      {"delayHidesTheJob", delayHidesTheJob},
      {"delayOfEachItemCounts", delayOfEachItemCounts},
      {"leaseEndsAndTheJobComesBack", leaseEndsAndTheJobComesBack},
      {"leaseIsOverBeforeAnySweep", leaseIsOverBeforeAnySweep},
      {"wrongLeaseAndOddIds", wrongLeaseAndOddIds},
      {"extendMovesTheDeadline", extendMovesTheDeadline},
      {"extendCoversEveryOpenJob", extendCoversEveryOpenJob},
      {"refusalsNameTheField", refusalsNameTheField},
      {"unknownCallsAreUnimplemented", unknownCallsAreUnimplemented},
      {"addIsAllOrNothing", addIsAllOrNothing},
      {"numbersNearTheirEnds", numbersNearTheirEnds},
      {"payloadsOfAllSizes", payloadsOfAllSizes},
  };
  return scenarios;
}

}  // namespace capstan::stock
