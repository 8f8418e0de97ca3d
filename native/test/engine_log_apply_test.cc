// The steps of a shard's log and apply threads without threads: records synced in groups, the log cut behind what is
// durable, members that change, wakes and replies. The state machine is scripted; the log is real, in a directory.
#include <gtest/gtest.h>

#include <cstdlib>

#include "engine/apply_step.h"
#include "engine/log_step.h"
#include "test/temporary_directory.h"

namespace capstan::engine {
namespace {

// --- The log thread --------------------------------------------------------------------------------------------------

class RecordingLogSink final : public LogSink {
 public:
  void persisted(Persisted report) override { numbers.push_back(report.number); }
  void logBegins(LogBegins report) override { begins.push_back(report); }
  std::vector<uint64_t> numbers;
  std::vector<LogBegins> begins;
};

class EngineLogStep : public testing::Test {
 protected:
  EngineLogStep() { open(); }
  void open() {
    step.reset();
    log::Options options;
    options.directory = scratch;
    options.segmentBytes = 64 << 10;
    auto log = log::SegmentedLog::open(systemFiles(), options);
    ASSERT_TRUE(log.ok()) << log.error().message;
    hardState = log.value()->hardState();
    last = log.value()->lastIndex();
    step = std::make_unique<LogStep>(log.take(), sink, trailingBytes, options.segmentBytes);
  }
  raft::LogWrite write(uint64_t number, uint64_t index, bool mustSync = true, size_t bytes = 1000) {
    const auto data = std::make_shared<std::vector<uint8_t>>(bytes, static_cast<uint8_t>(index));
    return {number,
            mustSync,
            raft::HardState{1, 1, index - 1},
            {{index, 1, raft::EntryType::normal, ByteSpan(*data), data}}};
  }
  static constexpr uint64_t trailingBytes = 128 << 10;

  const TemporaryDirectory temporary;
  const std::string scratch = temporary.path;
  RecordingLogSink sink;
  std::unique_ptr<LogStep> step;
  log::HardState hardState;
  uint64_t last = 0;
};

TEST_F(EngineLogStep, syncsOnceForAllThatIsThere) {
  std::vector<LogMail> mail;
  for (uint64_t number = 1; number <= 10; ++number) mail.push_back(write(number, number));
  step->run(mail);
  EXPECT_TRUE(mail.empty());
  EXPECT_EQ(sink.numbers, (std::vector<uint64_t>{10}));
  EXPECT_EQ(step->syncs(), 1u);
}

TEST_F(EngineLogStep, syncsWhatStandsBeforeALargeRecordFirst) {
  std::vector<LogMail> mail;
  mail.push_back(write(1, 1));
  mail.push_back(write(2, 2));
  mail.push_back(write(3, 3, true, largeEntryBytes + 1));
  mail.push_back(write(4, 4));
  step->run(mail);
  EXPECT_EQ(sink.numbers, (std::vector<uint64_t>{2, 4}));
  EXPECT_EQ(step->syncs(), 2u);
}

TEST_F(EngineLogStep, writesACommitWithoutWaitingForIt) {
  std::vector<LogMail> mail;
  mail.push_back(write(1, 1));
  step->run(mail);
  mail.push_back(raft::LogWrite{2, false, raft::HardState{3, 1, 1}, {}});
  mail.push_back(raft::LogWrite{3, false, std::nullopt, {}});
  step->run(mail);
  EXPECT_EQ(sink.numbers, (std::vector<uint64_t>{1, 3}));
  EXPECT_EQ(step->syncs(), 1u);
  open();
  EXPECT_EQ(hardState.term, 3u) << "it is there all the same";
  EXPECT_EQ(last, 1u);
}

TEST_F(EngineLogStep, cutsWholeSegmentsAndKeepsWhatTrails) {
  std::vector<LogMail> mail;
  for (uint64_t number = 1; number <= 400; ++number) {
    mail.push_back(write(number, number));
    step->run(mail);
  }
  mail.push_back(CutLog{50});
  step->run(mail);
  uint64_t begins = sink.begins.empty() ? 0 : sink.begins.back().index;
  EXPECT_LE(begins, 50u);
  mail.push_back(CutLog{400});
  step->run(mail);
  ASSERT_FALSE(sink.begins.empty());
  begins = sink.begins.back().index;
  EXPECT_GT(begins, 100u);
  EXPECT_LE(begins, 400 - trailingBytes / 1100);
  EXPECT_EQ(sink.begins.back().term, 1u);
  EXPECT_GE(step->bytes(), trailingBytes);
  EXPECT_LT(step->bytes(), trailingBytes + (3 * 64 << 10));
  const auto entries = step->read(begins + 1, begins + 3, 1 << 20);
  ASSERT_TRUE(entries.ok());
  ASSERT_EQ(entries.value().size(), 2u);
  EXPECT_EQ(entries.value()[0].data[0], static_cast<uint8_t>(begins + 1));
  EXPECT_EQ(reinterpret_cast<uintptr_t>(entries.value()[0].data.data()) % 8, 0u);
}

TEST_F(EngineLogStep, cutsWhatTrailsBehindAStartAtOnce) {
  std::vector<LogMail> mail;
  for (uint64_t number = 1; number <= 400; ++number) mail.push_back(write(number, number));
  step->run(mail);
  open();
  EXPECT_GT(step->bytes(), 3 * trailingBytes);
  mail.push_back(CutLog{400});
  step->run(mail);
  ASSERT_FALSE(sink.begins.empty()) << "not only when as much again was written";
  EXPECT_GE(step->bytes(), trailingBytes);
  EXPECT_LT(step->bytes(), trailingBytes + (3 * 64 << 10));
}

// --- The apply thread ------------------------------------------------------------------------------------------------

// Records what it is told to apply.
class ScriptedMachine final : public fsm::StateMachine {
 public:
  bool isFounded() const override { return true; }
  void found(const fsm::Founding&) override {}
  Result<void> apply(uint64_t index, uint64_t, ByteSpan, fsm::Applied& applied) override {
    story += "entry " + std::to_string(index) + ", ";
    applied.results.resize(1);
    applied.results[0].jobs.resize(missingRecords);
    applied.queues = ready;
    return {};
  }
  void applyEmpty(uint64_t index, uint64_t) override { story += "empty " + std::to_string(index) + ", "; }
  void applyMembers(uint64_t index, uint64_t, const std::string& confState) override {
    story += confState + " at " + std::to_string(index) + ", ";
  }
  fsm::MetaView meta() const override { return {}; }
  fsm::NextDue nextDue() const override { return {}; }
  void flush(bool force, bool) override {
    if (force) story += "flush, ";
  }
  uint64_t durableIndex() const override { return durable; }
  Result<void> checkpoint(const std::string&) override { return {}; }
  void fillRecords(std::vector<GrantedJob>& jobs) override {
    for (GrantedJob& job : jobs) job.record = std::make_shared<RecordBytes>();
  }
  ReadResult read(const ReadCommand&) override { return {}; }
  std::string statusJson() const override { return "{}"; }

  std::string story;
  size_t missingRecords = 0;
  std::vector<fsm::QueueReady> ready;
  uint64_t durable = 0;
};

class RecordingApplySink final : public ApplySink {
 public:
  void reply(uint32_t, Completion completion) override { replies.push_back(std::move(completion)); }
  void fill(uint32_t, Completion completion) override { fills.push_back(std::move(completion)); }
  void wake(CallerSlot caller) override { wakes.push_back(caller.slot); }
  void appliedUpTo(AppliedUpTo report) override { reports.push_back(report); }
  void membersReached(MembersReached report) override { members.push_back(std::move(report)); }
  void cutLog(CutLog request) override { cuts.push_back(request.index); }
  void flushed() override { ++flushes; }

  std::vector<Completion> replies, fills;
  std::vector<uint32_t> wakes;
  std::vector<AppliedUpTo> reports;
  std::vector<MembersReached> members;
  std::vector<uint64_t> cuts;
  int flushes = 0;
};

class EngineApplyStep : public testing::Test {
 protected:
  Committed entry(uint64_t index, raft::EntryType type = raft::EntryType::normal) {
    const auto data = std::make_shared<std::vector<uint8_t>>(64);
    return {{index, 1, type, ByteSpan(*data), data}, {1, static_cast<uint32_t>(index), {7}}};
  }
  template <class... Mail>
  void run(Mail&&... mail) {
    std::vector<ApplyMail> all;
    (all.push_back(ApplyMail(std::forward<Mail>(mail))), ...);
    step.run(all);
  }

  ScriptedMachine machine;
  ParkedFetches parked{10};
  RecordingApplySink sink;
  ApplyStep step{machine, parked, sink};
};

TEST_F(EngineApplyStep, holdsWhatFollowsAChangeOfMembers) {
  run(entry(1), entry(2, raft::EntryType::membersV2), entry(3));
  EXPECT_EQ(machine.story, "entry 1, ");
  ASSERT_EQ(sink.members.size(), 1u);
  EXPECT_EQ(sink.reports.back().index, 1u) << "what came before is reported first";
  run(entry(4));
  EXPECT_EQ(machine.story, "entry 1, ");
  run(MembersApplied{2, "members"}, entry(5));
  EXPECT_EQ(machine.story, "entry 1, members at 2, entry 3, entry 4, entry 5, ");
  EXPECT_EQ(sink.reports.back().index, 5u);
  uint64_t bytes = 0;
  for (const AppliedUpTo& report : sink.reports) bytes += report.bytes;
  EXPECT_EQ(bytes, 5u * 64);
}

TEST_F(EngineApplyStep, repliesInOrderAndReadsFewMissingRecordsItself) {
  machine.missingRecords = 2;
  run(entry(1), entry(2));
  ASSERT_EQ(sink.replies.size(), 2u);
  EXPECT_EQ(sink.replies[0].ticket, 1u);
  EXPECT_EQ(sink.replies[1].ticket, 2u);
  EXPECT_EQ(sink.replies[1].appliedIndex, 2u);
  EXPECT_NE(sink.replies[0].results[0].jobs[1].record, nullptr);
  machine.missingRecords = 100;
  run(entry(3));
  EXPECT_EQ(sink.replies.size(), 2u);
  ASSERT_EQ(sink.fills.size(), 1u) << "many are a reader's";
  EXPECT_EQ(sink.fills[0].ticket, 3u);
}

TEST_F(EngineApplyStep, wakesWhoSleepsWhenItsQueueBecameReady) {
  run(entry(1));
  ASSERT_GT(parked.park({1, 42, 0, 1, {5}}).value(), 0u);
  machine.ready = {{6, 1, true}};
  run(entry(2));
  EXPECT_TRUE(sink.wakes.empty());
  machine.ready = {{5, 1, true}};
  run(entry(3));
  EXPECT_EQ(sink.wakes, (std::vector<uint32_t>{42}));
}

TEST_F(EngineApplyStep, cutsAtMostWhatIsDurableAndReported) {
  run(entry(1), entry(2), entry(3));
  machine.durable = 2;
  run(LookAfter{});
  EXPECT_EQ(sink.cuts, (std::vector<uint64_t>{2}));
  run(LookAfter{});
  EXPECT_EQ(sink.cuts.size(), 1u);
  machine.durable = 100;
  run(LookAfter{});
  EXPECT_EQ(sink.cuts.back(), 3u);
}

TEST_F(EngineApplyStep, flushesInTheEnd) {
  run(entry(1), FinalFlush{});
  EXPECT_EQ(machine.story, "entry 1, flush, ");
  EXPECT_EQ(sink.flushes, 1);
}

}  // namespace
}  // namespace capstan::engine
