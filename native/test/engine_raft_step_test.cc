// The step of a shard's raft thread without a thread: leadership that goes away, proposals held back, time that enters
// the log, the last stamp. The core is scripted, the clock stands until the test moves it.
#include <gtest/gtest.h>

#include "codec/entry.h"
#include "engine/raft_step.h"

namespace capstan::engine {
namespace {

class StandingClock final : public Clock {
 public:
  uint64_t bootMs() override { return boot; }
  int64_t wallMs() override { return wall; }
  void randomBytes(std::span<uint8_t> bytes) override {
    for (uint8_t& byte : bytes) byte = ++random;
  }
  void pass(uint64_t ms) {
    boot += ms;
    wall += static_cast<int64_t>(ms);
  }
  uint64_t boot = 1'000'000;
  int64_t wall = 1'700'000'000'000;
  uint8_t random = 0;
};

// Says what the test says; a proposal becomes the next entry.
class ScriptedDriver final : public raft::Driver {
 public:
  schema::ErrorCode propose(std::vector<uint8_t> entry) override {
    if (refuseWith != schema::ErrorCode::OK) return refuseWith;
    entries.push_back(std::move(entry));
    ++now.lastIndex;
    return schema::ErrorCode::OK;
  }
  void receive(ByteSpan) override {}
  void tick() override { ++ticks; }
  void campaign() override { ++campaigns; }
  void persisted(uint64_t number) override { persistedNumber = number; }
  void applied(uint64_t index) override { appliedIndex = index; }
  std::string applyMembers(const raft::Entry& entry) override { return "members " + std::to_string(entry.index); }
  void logCut(uint64_t index, uint64_t term) override { cut = {index, term}; }
  void readIndex(std::vector<uint8_t>) override {}
  bool advance(raft::Step& step) override {
    ++advances;
    for (raft::Entry& entry : committing) step.committed.push_back(std::move(entry));
    const bool moved = !committing.empty();
    committing.clear();
    return moved;
  }
  raft::Status status() const override { return now; }

  // As a leader of a new term, whose first entry is the next one.
  void lead() { now = {true, 1, now.term + 1, now.commit, now.lastIndex + 1}; }
  void commit(uint64_t index, uint64_t term, size_t bytes = 100) {
    const auto data = std::make_shared<std::vector<uint8_t>>(bytes);
    committing.push_back({index, term, raft::EntryType::normal, ByteSpan(*data), data});
  }

  raft::Status now{false, 0, 1, 1, 1};
  schema::ErrorCode refuseWith = schema::ErrorCode::OK;
  std::vector<std::vector<uint8_t>> entries;
  std::vector<raft::Entry> committing;
  int ticks = 0, campaigns = 0, advances = 0;
  uint64_t persistedNumber = 0, appliedIndex = 0;
  std::pair<uint64_t, uint64_t> cut;
};

struct Refused {
  uint32_t ticket;
  schema::ErrorCode code;
  friend bool operator==(const Refused&, const Refused&) = default;
};

class RecordingRaftSink final : public RaftSink {
 public:
  void write(raft::LogWrite write) override { writes.push_back(std::move(write)); }
  void committed(Committed work) override { handed.push_back(std::move(work)); }
  void membersApplied(MembersApplied change) override { members.push_back(std::move(change)); }
  void refuse(const ReplyAddress& reply, schema::ErrorCode code) override {
    if (reply.worker != 0) refused.push_back({reply.ticket, code});
  }
  void roleChanged(bool nowLeads, uint64_t, uint64_t) override { leads = nowLeads; }
  void lookAfter() override { ++looks; }
  void finished() override { ++finishes; }

  std::vector<raft::LogWrite> writes;
  std::vector<Committed> handed;
  std::vector<MembersApplied> members;
  std::vector<Refused> refused;
  bool leads = false;
  int looks = 0, finishes = 0;
};

class EngineRaftStep : public testing::Test {
 protected:
  EngineRaftStep() { remake(); }
  void remake() {
    options.elapsedMs = 5000;
    step = std::make_unique<RaftStep>(driver, clock, sink, options);
  }
  template <class... Mail>
  void run(Mail&&... mail) {
    std::vector<RaftMail> all;
    (all.push_back(RaftMail(std::forward<Mail>(mail))), ...);
    step->run(all);
  }
  Proposal proposal(uint32_t ticket, size_t bytes = 0) {
    EXPECT_TRUE(step->reserve());
    Proposal made{1, 0, ticket, false, codec::buildStampEntry(), {ticket * 10}};
    if (bytes > made.entry.size()) made.entry.resize(bytes);
    return made;
  }
  AppliedUpTo applied(uint64_t index, uint64_t bytes = 0, fsm::NextDue due = {}) { return {index, bytes, due}; }
  void becomeLeader() {
    driver.lead();
    run();
    run(applied(driver.now.lastIndex));
    ASSERT_TRUE(sink.leads);
  }
  codec::Stamp stampOf(size_t entry) { return codec::readEntryHeader(driver.entries.at(entry)).value().stamp; }

  StandingClock clock;
  ScriptedDriver driver;
  RecordingRaftSink sink;
  RaftStepOptions options;
  std::unique_ptr<RaftStep> step;
};

TEST_F(EngineRaftStep, refusesWhatItCannotProposeYet) {
  run(proposal(1));
  EXPECT_EQ(sink.refused, (std::vector<Refused>{{1, schema::ErrorCode::NOT_LEADER}}));
  driver.lead();
  run(proposal(2));
  EXPECT_EQ(sink.refused.back(), (Refused{2, schema::ErrorCode::NOT_LEADER})) << "its own first entry is not applied";
  EXPECT_FALSE(sink.leads);
  run(applied(driver.now.lastIndex), proposal(3));
  EXPECT_TRUE(sink.leads);
  EXPECT_EQ(sink.refused.size(), 2u);
  EXPECT_EQ(driver.entries.size(), 1u);
}

TEST_F(EngineRaftStep, answersUnknownWhenLeadershipIsLost) {
  becomeLeader();
  run(proposal(1), proposal(2));
  ASSERT_EQ(driver.entries.size(), 2u);
  driver.commit(driver.now.lastIndex - 1, driver.now.term);
  run();
  ASSERT_EQ(sink.handed.size(), 1u);
  EXPECT_EQ(sink.handed[0].reply.ticket, 1u) << "this one was committed before";
  driver.now.leads = false;
  driver.now.term++;
  run();
  EXPECT_EQ(sink.refused, (std::vector<Refused>{{2, schema::ErrorCode::UNKNOWN}}));
  EXPECT_FALSE(sink.leads);
}

TEST_F(EngineRaftStep, anotherLeadersEntryAtTheSameIndexIsNotTheAnswer) {
  becomeLeader();
  run(proposal(1));
  driver.commit(driver.now.lastIndex, driver.now.term + 7);
  run();
  ASSERT_EQ(sink.handed.size(), 1u);
  EXPECT_EQ(sink.handed[0].reply.worker, 0u);
  EXPECT_EQ(sink.refused, (std::vector<Refused>{{1, schema::ErrorCode::UNKNOWN}}));
}

TEST_F(EngineRaftStep, boundsWhatWaits) {
  options.proposalsMax = 2;
  options.outstandingBytesMax = 1000;
  remake();
  becomeLeader();
  run(proposal(1, 900));
  run(proposal(2, 900), proposal(3, 900));
  EXPECT_EQ(driver.entries.size(), 1u) << "the others are held back";
  EXPECT_FALSE(step->reserve());
  driver.commit(driver.now.lastIndex, driver.now.term, 900);
  run();
  EXPECT_EQ(driver.entries.size(), 1u) << "being applied counts too";
  run(applied(driver.now.lastIndex, 900));
  EXPECT_EQ(driver.entries.size(), 2u);
  EXPECT_TRUE(step->reserve());
}

TEST_F(EngineRaftStep, oneLargerThanTheBoundGoesAlone) {
  options.outstandingBytesMax = 100;
  remake();
  becomeLeader();
  run(proposal(1, 5000), proposal(2));
  EXPECT_EQ(driver.entries.size(), 1u);
}

TEST_F(EngineRaftStep, asksTheCoreForNoMoreWhileTooMuchIsBeingApplied) {
  options.applyingBytesMax = 1000;
  remake();
  driver.commit(2, 1, 600);
  driver.commit(3, 1, 600);
  run();
  const int before = driver.advances;
  run(Persisted{4});
  EXPECT_EQ(driver.persistedNumber, 4u);
  EXPECT_EQ(driver.advances, before);
  run(applied(2, 600));
  EXPECT_EQ(driver.advances, before + 1);
}

TEST_F(EngineRaftStep, busyOfTheCoreIsAnswered) {
  becomeLeader();
  driver.refuseWith = schema::ErrorCode::BUSY;
  run(proposal(1));
  EXPECT_EQ(sink.refused, (std::vector<Refused>{{1, schema::ErrorCode::BUSY}}));
}

TEST_F(EngineRaftStep, stampsContinueFromTheStateAndNeverGoBack) {
  becomeLeader();
  clock.pass(40);
  run(proposal(1));
  EXPECT_EQ(stampOf(0).elapsedMs, 5040u);
  EXPECT_EQ(stampOf(0).wallMs, clock.wall);
  clock.wall -= 3'600'000;
  clock.boot += 10;
  run(proposal(2));
  EXPECT_EQ(stampOf(1).elapsedMs, 5050u) << "a wall clock that goes back does not stop it";
  EXPECT_NE(stampOf(0).seed, stampOf(1).seed);
  // An entry of an earlier leader had a larger stamp.
  auto data = std::make_shared<std::vector<uint8_t>>(codec::buildStampEntry());
  codec::stampEntry(*data, {9000, clock.wall, {}});
  driver.committing.push_back({1, 1, raft::EntryType::normal, ByteSpan(*data), data});
  run();
  run(proposal(3));
  EXPECT_EQ(stampOf(2).elapsedMs, 9000u);
}

TEST_F(EngineRaftStep, proposesOneTickWhenSomethingIsDue) {
  becomeLeader();
  run(applied(2, 0, {false, 5030, INT64_MAX}));
  EXPECT_TRUE(driver.entries.empty());
  EXPECT_EQ(step->waitMs(), 30u) << "no polling: it sleeps until then";
  clock.pass(29);
  run();
  EXPECT_TRUE(driver.entries.empty());
  clock.pass(1);
  run();
  ASSERT_EQ(driver.entries.size(), 1u);
  EXPECT_EQ(codec::readEntryHeader(driver.entries[0]).value().commands, 1u);
  run();
  EXPECT_EQ(driver.entries.size(), 1u) << "one at a time";
  EXPECT_GT(step->waitMs(), 0u);
  // It left something: again at once.
  run(applied(driver.now.lastIndex, 0, {true, UINT64_MAX, INT64_MAX}));
  EXPECT_EQ(driver.entries.size(), 2u);
  run(applied(driver.now.lastIndex));
  EXPECT_EQ(driver.entries.size(), 2u);
}

TEST_F(EngineRaftStep, theWallClockIsDueOnItsOwn) {
  becomeLeader();
  run(applied(2, 0, {false, UINT64_MAX, clock.wall + 20}));
  EXPECT_EQ(step->waitMs(), 20u);
  clock.wall += 20;
  run();
  EXPECT_EQ(driver.entries.size(), 1u);
}

TEST_F(EngineRaftStep, stampsEveryTenSecondsOnlyWhileSomethingIsDue) {
  becomeLeader();
  clock.pass(60'000);
  run();
  EXPECT_TRUE(driver.entries.empty());
  run(applied(2, 0, {false, 10'000'000, INT64_MAX}));
  ASSERT_EQ(driver.entries.size(), 1u);
  EXPECT_EQ(codec::readEntryHeader(driver.entries[0]).value().commands, 0u);
  clock.pass(9'999);
  run();
  EXPECT_EQ(driver.entries.size(), 1u);
  clock.pass(1);
  run();
  EXPECT_EQ(driver.entries.size(), 2u);
}

TEST_F(EngineRaftStep, ticksTheCoreEveryFiftyMillisecondsAndLooksAfterEverySecond) {
  run();
  EXPECT_EQ(driver.ticks, 1);
  EXPECT_EQ(driver.campaigns, 1) << "a sole voter need not wait";
  run();
  EXPECT_EQ(driver.ticks, 1);
  EXPECT_EQ(step->waitMs(), 50u);
  for (int count = 0; count < 20; ++count) {
    clock.pass(50);
    run();
  }
  EXPECT_EQ(driver.ticks, 21);
  EXPECT_EQ(sink.looks, 1);
}

TEST_F(EngineRaftStep, oneOfSeveralVotersDoesNotCampaignByItself) {
  options.isSoleVoter = false;
  remake();
  run();
  EXPECT_EQ(driver.ticks, 1);
  EXPECT_EQ(driver.campaigns, 0);
}

TEST_F(EngineRaftStep, theFinalStampComesLastAndIsWaitedFor) {
  options.outstandingBytesMax = 1000;
  remake();
  becomeLeader();
  run(proposal(1, 900), proposal(2, 900), FinalStamp{});
  EXPECT_EQ(driver.entries.size(), 1u);
  driver.commit(driver.now.lastIndex, driver.now.term, 900);
  run();
  run(applied(driver.now.lastIndex, 900));
  EXPECT_EQ(driver.entries.size(), 3u) << "the one that waited, then the stamp";
  EXPECT_EQ(sink.finishes, 0);
  run(applied(driver.now.lastIndex - 1));
  EXPECT_EQ(sink.finishes, 0);
  run(applied(driver.now.lastIndex, 0, {true, 0, 0}));
  EXPECT_EQ(sink.finishes, 1);
  run();
  EXPECT_EQ(sink.finishes, 1);
  EXPECT_EQ(driver.entries.size(), 3u) << "and nothing after it, not even a tick";
}

TEST_F(EngineRaftStep, aNodeThatDoesNotLeadCanStillStop) {
  run(proposal(1), FinalStamp{});
  EXPECT_EQ(sink.refused.size(), 1u);
  EXPECT_EQ(sink.finishes, 1);
}

}  // namespace
}  // namespace capstan::engine
