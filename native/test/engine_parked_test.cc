// Parked fetches: no wake-up is lost, none too many, the oldest first, and a place is kept. Owns nothing. Run by the
// native test program.
#include <gtest/gtest.h>

#include <random>

#include "engine/parked.h"

namespace capstan::engine {
namespace {

ParkRequest at(uint32_t worker, uint32_t slot, uint64_t emptyAt, std::vector<uint64_t> queues, uint64_t arrival = 0) {
  return {worker, slot, arrival, emptyAt, std::move(queues)};
}

class EngineParked : public ::testing::Test {
 protected:
  std::vector<CallerSlot> apply(uint64_t index, std::vector<fsm::QueueReady> queues,
                                std::vector<Fetched> fetched = {}) {
    std::vector<CallerSlot> wakes;
    parked.applied(index, fetched, queues, wakes);
    return wakes;
  }
  std::vector<CallerSlot> wakeEarly(uint32_t worker, std::vector<QueueArrivals> arrivals) {
    std::vector<CallerSlot> wakes;
    parked.wakeEarly(worker, arrivals, wakes);
    return wakes;
  }
  ParkedFetches parked{100};
};

TEST_F(EngineParked, doesNotSleepThroughWhatCameMeanwhile) {
  apply(5, {{1, 1, true}});
  EXPECT_EQ(parked.park(at(0, 1, 4, {1})).value(), 0u);
  EXPECT_GT(parked.park(at(0, 1, 5, {1})).value(), 0u);
  EXPECT_EQ(parked.parkedCount(), 1u);
}

TEST_F(EngineParked, refusesTooMany) {
  ParkedFetches small(2);
  ASSERT_TRUE(small.park(at(0, 1, 1, {1})).ok());
  ASSERT_TRUE(small.park(at(0, 2, 1, {1})).ok());
  const Result<uint64_t> third = small.park(at(0, 3, 1, {1}));
  ASSERT_FALSE(third.ok());
  EXPECT_EQ(third.error().code, schema::ErrorCode::BUSY);
  EXPECT_GT(third.error().retryAfterMs, 0u);
  EXPECT_TRUE(small.park(at(1, 3, 1, {1})).ok()) << "another worker has room";
  EXPECT_TRUE(small.unpark({0, 1}));
  EXPECT_TRUE(small.park(at(0, 3, 1, {1})).ok());
}

TEST_F(EngineParked, wakesAsManyAsCanBeServedTheOldestFirst) {
  for (uint32_t slot = 1; slot <= 20; ++slot) ASSERT_TRUE(parked.park(at(slot % 3, slot, 1, {7})).ok());
  std::vector<CallerSlot> wakes = apply(2, {{7, 3, true}});
  ASSERT_EQ(wakes.size(), 3u);
  for (uint32_t slot = 1; slot <= 3; ++slot) EXPECT_EQ(wakes[slot - 1].slot, slot);
  EXPECT_TRUE(apply(3, {{7, 3, true}}).empty()) << "those three are on their way";
  EXPECT_EQ(apply(4, {{7, 20, true}}).size(), 17u);
}

TEST_F(EngineParked, aSettledWakeMakesRoomForTheNext) {
  for (uint32_t slot = 1; slot <= 3; ++slot) ASSERT_TRUE(parked.park(at(0, slot, 1, {7})).ok());
  ASSERT_EQ(apply(2, {{7, 1, true}}).size(), 1u);
  // A job came while the first caller was on its way, and that caller took only one of the two.
  std::vector<CallerSlot> wakes = apply(3, {{7, 1, false}}, {{0, 1}});
  ASSERT_EQ(wakes.size(), 1u);
  EXPECT_EQ(wakes[0].slot, 2u);
}

TEST_F(EngineParked, aWakeThatItsCallerCannotUseIsPassedOn) {
  ASSERT_TRUE(parked.park(at(0, 1, 1, {7})).ok());
  ASSERT_TRUE(parked.park(at(1, 2, 1, {7})).ok());
  ASSERT_EQ(apply(2, {{7, 1, true}}).size(), 1u);
  EXPECT_FALSE(parked.unpark({0, 1})) << "its wake is under way";
  std::vector<CallerSlot> wakes;
  parked.endWake({0, 1}, wakes);
  ASSERT_EQ(wakes.size(), 1u);
  EXPECT_EQ(wakes[0], (CallerSlot{1, 2}));
  wakes.clear();
  parked.endWake({0, 1}, wakes);
  EXPECT_TRUE(wakes.empty()) << "once";
}

TEST_F(EngineParked, whoComesOutEmptyKeepsItsPlace) {
  const uint64_t arrival = parked.park(at(0, 1, 1, {7})).value();
  ASSERT_TRUE(parked.park(at(0, 2, 1, {7})).ok());
  ASSERT_EQ(apply(2, {{7, 1, true}}).size(), 1u);
  EXPECT_TRUE(apply(3, {{7, 0, false}}, {{0, 1}}).empty());
  EXPECT_EQ(parked.park(at(0, 1, 3, {7}, arrival)).value(), arrival);
  std::vector<CallerSlot> wakes = apply(4, {{7, 1, true}});
  ASSERT_EQ(wakes.size(), 1u);
  EXPECT_EQ(wakes[0].slot, 1u);
}

TEST_F(EngineParked, aCallerOfSeveralQueuesIsWokenOnce) {
  ASSERT_TRUE(parked.park(at(0, 1, 1, {7, 8, 7})).ok());
  EXPECT_EQ(apply(2, {{8, 5, true}, {7, 5, true}}).size(), 1u);
  EXPECT_TRUE(apply(3, {{7, 5, true}}).empty());
  EXPECT_EQ(parked.parkedCount(), 0u);
}

TEST_F(EngineParked, aWorkerThatEndsGivesItsWakesOn) {
  ASSERT_TRUE(parked.park(at(0, 1, 1, {7})).ok());
  ASSERT_TRUE(parked.park(at(0, 2, 1, {7})).ok());
  ASSERT_TRUE(parked.park(at(1, 3, 1, {7})).ok());
  ASSERT_EQ(apply(2, {{7, 1, true}}).size(), 1u);
  std::vector<CallerSlot> wakes;
  parked.closeWorker(0, wakes);
  ASSERT_EQ(wakes.size(), 1u);
  EXPECT_EQ(wakes[0], (CallerSlot{1, 3}));
}

TEST_F(EngineParked, aResetWakesAllToLook) {
  ASSERT_TRUE(parked.park(at(0, 1, 1, {7})).ok());
  ASSERT_TRUE(parked.park(at(0, 2, 1, {8})).ok());
  std::vector<CallerSlot> wakes;
  parked.reset(50, wakes);
  EXPECT_EQ(wakes.size(), 2u);
  EXPECT_EQ(parked.park(at(0, 1, 49, {7})).value(), 0u);
  EXPECT_GT(parked.park(at(0, 1, 50, {7})).value(), 0u);
}

TEST_F(EngineParked, wakesItsOwnEarlyOneForEachJobTheLongestAsleepFirst) {
  for (uint32_t slot = 1; slot <= 3; ++slot) ASSERT_TRUE(parked.park(at(0, slot, 1, {7})).ok());
  EXPECT_TRUE(wakeEarly(0, {{8, 5}}).empty());
  EXPECT_EQ(wakeEarly(0, {{7, 2}}), (std::vector<CallerSlot>{{0, 1}, {0, 2}}));
  EXPECT_FALSE(parked.unpark({0, 1})) << "a wake is under way";
  EXPECT_TRUE(apply(2, {{7, 0, true}}, {{{0, 1}}, {{0, 2}}}).empty()) << "the jobs were taken in the same entry";
  EXPECT_EQ(wakeEarly(0, {{7, 9}}), (std::vector<CallerSlot>{{0, 3}}));
  EXPECT_EQ(parked.parkedCount(), 0u);
}

TEST_F(EngineParked, anOlderSleeperOfAnotherWorkerComesFirst) {
  ASSERT_TRUE(parked.park(at(1, 1, 1, {7})).ok());
  ASSERT_TRUE(parked.park(at(0, 2, 1, {7})).ok());
  EXPECT_TRUE(wakeEarly(0, {{7, 2}}).empty());
  EXPECT_EQ(apply(2, {{7, 2, true}}), (std::vector<CallerSlot>{{1, 1}, {0, 2}}));
}

TEST_F(EngineParked, thoseWokenEarlyKeepNobodyAsleepBesideAnotherJob) {
  for (uint32_t slot = 1; slot <= 2; ++slot) ASSERT_TRUE(parked.park(at(0, slot, 1, {7})).ok());
  ASSERT_EQ(wakeEarly(0, {{7, 1}}).size(), 1u);
  EXPECT_EQ(apply(2, {{7, 1, true}}).size(), 1u) << "a job of somebody else came first";
}

TEST_F(EngineParked, aQueueThatGaveNothingWakesNobodyEarlyUntilItDoesAgain) {
  const uint64_t arrival = parked.park(at(0, 1, 1, {7})).value();
  ASSERT_EQ(wakeEarly(0, {{7, 1}}).size(), 1u);
  EXPECT_TRUE(apply(2, {{7, 0, true}}, {{{0, 1}, true}}).empty()) << "it is paused";
  ASSERT_EQ(parked.park(at(0, 1, 2, {7}, arrival)).value(), arrival);
  EXPECT_TRUE(wakeEarly(0, {{7, 1}}).empty());
  EXPECT_EQ(apply(3, {{7, 2, true}}).size(), 1u) << "it goes on";
  EXPECT_TRUE(apply(4, {{7, 0, false}}, {{{0, 1}}}).empty());
  ASSERT_TRUE(parked.park(at(0, 1, 4, {7})).ok());
  EXPECT_EQ(wakeEarly(0, {{7, 1}}).size(), 1u);
}

TEST_F(EngineParked, anEarlyWakeThatIsNotUsedGoesOnToTheNext) {
  for (uint32_t slot = 1; slot <= 2; ++slot) ASSERT_TRUE(parked.park(at(0, slot, 1, {7})).ok());
  ASSERT_EQ(wakeEarly(0, {{7, 1}}).size(), 1u);
  std::vector<CallerSlot> wakes;
  parked.endWake({0, 1}, wakes);
  EXPECT_TRUE(wakes.empty()) << "the job is not there yet";
  EXPECT_EQ(apply(2, {{7, 1, true}}), (std::vector<CallerSlot>{{0, 2}}));
}

// A queue played by a counter, callers that come, give up and fetch in any order: at the end of each round nobody
// sleeps while there is a job and nobody is on its way to it.
TEST_F(EngineParked, nobodySleepsBesideAJob) {
  std::mt19937 random(11);
  std::map<uint32_t, uint64_t> asleep;  // slot, arrival
  std::vector<uint32_t> awake;
  uint64_t jobs = 0;
  uint64_t index = 1;
  uint32_t nextSlot = 1;
  const auto take = [&](const std::vector<CallerSlot>& wakes) {
    for (const CallerSlot wake : wakes) {
      ASSERT_EQ(asleep.erase(wake.slot), 1u);
      awake.push_back(wake.slot);
    }
  };
  for (int round = 0; round < 20'000; ++round) {
    const uint32_t what = random() % 4;
    if (what == 0 && jobs == 0 && asleep.size() < 50) {
      const uint64_t arrival = parked.park(at(0, nextSlot, index, {7})).value();
      ASSERT_GT(arrival, 0u);
      asleep.emplace(nextSlot++, arrival);
    } else if (what == 1) {
      const uint32_t brought = static_cast<uint32_t>(random() % 3 + 1);
      // Some of those woken early go with the entry, others later.
      std::vector<Fetched> fetched;
      if (random() % 2 == 0) {
        for (const CallerSlot caller : wakeEarly(0, {{7, brought}})) {
          ASSERT_EQ(asleep.erase(caller.slot), 1u);
          if (random() % 4 == 0) {
            awake.push_back(caller.slot);
          } else {
            fetched.push_back({caller});
          }
        }
      }
      jobs += brought - std::min<uint64_t>(brought, fetched.size());
      take(apply(++index, {{7, jobs, true}}, fetched));
    } else if (what == 2 && !awake.empty()) {
      const uint32_t slot = awake.back();
      awake.pop_back();
      const uint64_t got = std::min<uint64_t>(jobs, random() % 3 + 1);
      jobs -= got;
      take(apply(++index, {{7, jobs, false}}, {{{0, slot}, got == 0}}));
    } else if (what == 2) {
      // Somebody who never slept.
      jobs -= std::min<uint64_t>(jobs, random() % 3 + 1);
      take(apply(++index, {{7, jobs, false}}));
    } else if (what == 3 && !awake.empty()) {
      const uint32_t slot = awake.front();
      awake.erase(awake.begin());
      std::vector<CallerSlot> wakes;
      parked.endWake({0, slot}, wakes);
      take(wakes);
    }
    ASSERT_TRUE(asleep.empty() || jobs <= awake.size()) << "round " << round;
  }
  EXPECT_GT(nextSlot, 100u);
}

}  // namespace
}  // namespace capstan::engine
