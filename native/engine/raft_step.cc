// The steps of a shard's raft thread; their story is in raft_step.h. Owns the proposals under way and the stopwatch.
// Never writes, never sleeps. Called by shard.cc's thread.
#include "engine/raft_step.h"

#include <algorithm>
#include <utility>

#include "base/check.h"
#include "codec/entry.h"
#include "engine/log_step.h"

namespace capstan::engine {
namespace {

constexpr uint64_t coreTickMs = 50;
constexpr uint64_t lookAfterMs = 1000;
// A restart loses at most this much of the stopwatch while something is due.
constexpr uint64_t stampEveryMs = 10'000;

bool isAnythingDue(const fsm::NextDue& due) {
  return due.now || due.elapsedMs != UINT64_MAX || due.wallMs != INT64_MAX;
}

}  // namespace

RaftStep::RaftStep(raft::Driver& driver, Clock& clock, RaftSink& sink, const RaftStepOptions& options)
    : driver(driver),
      clock(clock),
      sink(sink),
      options(options),
      elapsedBaseMs(options.elapsedMs),
      bootBaseMs(clock.bootMs()),
      lastStampBootMs(bootBaseMs),
      nextTickBootMs(bootBaseMs),
      nextLookBootMs(bootBaseMs + lookAfterMs) {}

bool RaftStep::reserve() {
  uint32_t held = reserved.load(std::memory_order_relaxed);
  do {
    if (held >= options.proposalsMax) return false;
  } while (!reserved.compare_exchange_weak(held, held + 1, std::memory_order_relaxed));
  return true;
}

void RaftStep::run(std::vector<RaftMail>& mail) {
  for (RaftMail& one : mail) {
    std::visit([this](auto& content) { take(content); }, one);
  }
  mail.clear();
  const uint64_t bootMs = clock.bootMs();
  if (bootMs >= nextTickBootMs) {
    nextTickBootMs = bootMs + coreTickMs;
    driver.tick();
    // A sole voter need not wait for an election that nobody else can win.
    if (options.isSoleVoter && !driver.status().leads) driver.campaign();
  }
  if (bootMs >= nextLookBootMs) {
    nextLookBootMs = bootMs + lookAfterMs;
    sink.lookAfter();
  }
  watchRole();
  proposeWaiting();
  proposeOwn();
  advance();
  finishIfDone();
}

uint64_t RaftStep::waitMs() {
  const uint64_t bootMs = clock.bootMs();
  uint64_t wait = nextTickBootMs > bootMs ? nextTickBootMs - bootMs : 0;
  if (!toldLeads || isFinal || tickIndex != 0) return wait;
  if (due.now) return 0;
  if (due.elapsedMs != UINT64_MAX) {
    const uint64_t now = elapsedNow();
    wait = std::min(wait, due.elapsedMs > now ? due.elapsedMs - now : 0);
  }
  if (due.wallMs != INT64_MAX) {
    const int64_t now = clock.wallMs();
    // Without a sign: a clock before 1970 and an instant far away lie further apart than an int64_t can say.
    wait = std::min(wait, due.wallMs > now ? static_cast<uint64_t>(due.wallMs) - static_cast<uint64_t>(now) : 0);
  }
  return wait;
}

// --- Mail ------------------------------------------------------------------------------------------------------------

void RaftStep::take(Proposal& proposal) { waiting.push_back(std::move(proposal)); }

void RaftStep::take(const Persisted& report) { driver.persisted(report.number); }

void RaftStep::take(const AppliedUpTo& report) {
  CAPSTAN_ASSERT(applyingBytes >= report.bytes, applyingBytes, report.bytes);
  applyingBytes -= report.bytes;
  appliedIndex = report.index;
  due = report.due;
  if (tickIndex != 0 && report.index >= tickIndex) tickIndex = 0;
  driver.applied(report.index);
}

void RaftStep::take(const LogBegins& report) { driver.logCut(report.index, report.term); }

void RaftStep::take(const MembersReached& report) {
  sink.membersApplied({report.entry.index, driver.applyMembers(report.entry)});
}

void RaftStep::take(const FinalStamp&) { isFinal = true; }

// --- Role ------------------------------------------------------------------------------------------------------------

void RaftStep::watchRole() {
  const raft::Status status = driver.status();
  if (status.leads == leads && status.term == term && status.leaderId == leaderId) return tellRole();
  const bool isNewRole = status.leads != leads || status.term != term;
  if (isNewRole && leads) loseUnderWay();
  // Nothing of this term was proposed yet, so the last entry is the empty one that began it.
  if (isNewRole && status.leads) ownFirst = status.lastIndex;
  leads = status.leads;
  term = status.term;
  leaderId = status.leaderId;
  toldLeads = leads && appliedIndex >= ownFirst;
  sink.roleChanged(toldLeads, leaderId, term);
}

void RaftStep::tellRole() {
  if (toldLeads || !leads || appliedIndex < ownFirst) return;
  toldLeads = true;
  sink.roleChanged(true, leaderId, term);
}

// --- Proposing -------------------------------------------------------------------------------------------------------

void RaftStep::proposeWaiting() {
  while (!waiting.empty()) {
    const uint64_t outstanding = underWayBytes + applyingBytes;
    // One always goes, however large.
    if (leads && outstanding != 0 && outstanding + waiting.front().entry.size() > options.outstandingBytesMax) return;
    Proposal proposal = std::move(waiting.front());
    waiting.pop_front();
    reserved.fetch_sub(1, std::memory_order_relaxed);
    // Those before it have a record of their own, which does not wait for the writing of this one.
    if (proposal.entry.size() > largeEntryBytes) advance();
    ReplyAddress reply{proposal.worker, proposal.ticket, std::move(proposal.replySlots)};
    if (toldLeads) {
      propose(std::move(proposal.entry), std::move(reply));
    } else {
      sink.refuse(reply, schema::ErrorCode::NOT_LEADER);
    }
  }
}

void RaftStep::proposeOwn() {
  if (!toldLeads || finalIndex != 0) return;
  if (isFinal) {
    if (waiting.empty() && propose(codec::buildStampEntry(), {})) finalIndex = underWay.back().index;
    return;
  }
  if (isTickDue()) {
    if (propose(codec::buildTickEntry(options.tickRowsMax), {})) tickIndex = underWay.back().index;
  } else if (isAnythingDue(due) && clock.bootMs() - lastStampBootMs >= stampEveryMs) {
    propose(codec::buildStampEntry(), {});
  }
}

bool RaftStep::isTickDue() {
  if (tickIndex != 0) return false;
  return due.now || elapsedNow() >= due.elapsedMs || clock.wallMs() >= due.wallMs;
}

bool RaftStep::propose(std::vector<uint8_t> entry, ReplyAddress reply) {
  codec::Stamp stamp;
  stamp.elapsedMs = elapsedNow();
  stamp.wallMs = clock.wallMs();
  clock.randomBytes(stamp.seed);
  codec::stampEntry(entry, stamp);
  lastStampBootMs = clock.bootMs();
  const uint64_t bytes = entry.size();
  const schema::ErrorCode code = driver.propose(std::move(entry));
  if (code != schema::ErrorCode::OK) {
    sink.refuse(reply, code);
    return false;
  }
  const raft::Status status = driver.status();
  CAPSTAN_ASSERT(underWay.empty() || underWay.back().index < status.lastIndex, underWay.back().index, status.lastIndex);
  underWay.push_back({status.lastIndex, status.term, bytes, std::move(reply)});
  underWayBytes += bytes;
  return true;
}

uint64_t RaftStep::elapsedNow() { return elapsedBaseMs + (clock.bootMs() - bootBaseMs); }

// --- Commits ---------------------------------------------------------------------------------------------------------

void RaftStep::advance() {
  if (applyingBytes >= options.applyingBytesMax) return;
  if (!driver.advance(step)) return;
  for (raft::LogWrite& write : step.writes) sink.write(std::move(write));
  for (raft::Entry& entry : step.committed) handOver(std::move(entry));
  // Peers, read rounds and snapshots belong to clusters of more than one.
  CAPSTAN_ASSERT(step.messages.empty(), step.messages.size());
  CAPSTAN_ASSERT(!step.snapshot.has_value());
  step.clear();
  watchRole();
}

void RaftStep::handOver(raft::Entry entry) {
  ReplyAddress reply;
  while (!underWay.empty() && underWay.front().index <= entry.index) {
    UnderWay& front = underWay.front();
    if (front.index == entry.index && front.term == entry.term) {
      reply = std::move(front.reply);
    } else {
      sink.refuse(front.reply, schema::ErrorCode::UNKNOWN);
    }
    underWayBytes -= front.bytes;
    underWay.pop_front();
  }
  if (entry.type == raft::EntryType::normal && !entry.data.empty()) {
    const Result<codec::EntryHeader> header = codec::readEntryHeader(entry.data);
    // The stopwatch continues from the largest stamp, whoever set it.
    if (header && header.value().stamp.elapsedMs > elapsedNow()) {
      elapsedBaseMs = header.value().stamp.elapsedMs;
      bootBaseMs = clock.bootMs();
    }
  }
  applyingBytes += entry.data.size();
  sink.committed({std::move(entry), std::move(reply)});
}

void RaftStep::loseUnderWay() {
  for (const UnderWay& lost : underWay) sink.refuse(lost.reply, schema::ErrorCode::UNKNOWN);
  underWay.clear();
  underWayBytes = 0;
  tickIndex = 0;
  finalIndex = 0;
}

void RaftStep::finishIfDone() {
  if (!isFinal || hasFinished) return;
  // Without leadership nothing can be proposed, and what waited was refused above.
  const bool isDone = leads ? finalIndex != 0 && appliedIndex >= finalIndex : waiting.empty();
  if (!isDone) return;
  hasFinished = true;
  sink.finished();
}

}  // namespace capstan::engine
