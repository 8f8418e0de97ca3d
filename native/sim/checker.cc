// The invariants of one run; see checker.h. Owns the comparing: of a replay with the first apply, of the node with its
// shadow, of what is stored with the model, of a fetch with the acks before it. Called by the watched node and by the
// clients.
#include "sim/checker.h"

#include <algorithm>
#include <utility>

#include "base/check.h"
#include "codec/entry.h"

namespace capstan::sim {
namespace {

constexpr uint64_t firstIndex = 2;  // the founding is 1
constexpr size_t endedLookedAt = 40;

uint64_t hashOf(ByteSpan bytes) {
  Trace hash;
  hash.add(asText(bytes));
  return hash.value();
}

// What is told of queues is no part of it: whom the limit of leased jobs holds back is known since the start only, and
// at a start everybody who waits looks anew.
uint64_t hashOf(const fsm::Applied& applied) {
  Trace hash;
  for (const CommandResult& result : applied.results) hash.add(printOf(result, true));
  return hash.value();
}

std::string entryName(uint64_t index) { return "entry " + std::to_string(index); }

}  // namespace

void Checker::founded(const fsm::Founding& founding) {
  // A founding that a crash undid is begun anew.
  failure.expect(history.empty(), "committedEntryStays", "a state is founded for the second time");
  shadow = std::make_unique<Shadow>(shadowWindowJobsMax, founding);
  syncedIndex = answeredIndex = durableIndex = 0;
}

void Checker::written(const raft::Entry& entry) {
  trueAt[entry.index] = clocks.nowMs();
  if (entry.data.empty()) return;
  const Result<codec::EntryHeader> header = codec::readEntryHeader(entry.data);
  if (!header) return failure.set("stopwatch", entryName(entry.index) + " cannot be read");
  const uint64_t elapsedMs = header.value().stamp.elapsedMs;
  const bool isFirst = lastStamp.trueMs == 0;
  if (!isFirst) {
    const uint64_t trulyMs = clocks.nowMs() - lastStamp.trueMs;
    // After a crash the stopwatch continues from the last stamp that was kept, which may be an older one.
    const bool isFast = elapsedMs > lastStamp.elapsedMs && elapsedMs - lastStamp.elapsedMs > trulyMs;
    failure.expect(!isFast, "stopwatch",
                   entryName(entry.index) + ": " + std::to_string(elapsedMs - lastStamp.elapsedMs) + " ms in " +
                       std::to_string(trulyMs) + " ms");
  }
  lastStamp = {elapsedMs, clocks.nowMs()};
}

void Checker::applied(uint64_t index, uint64_t term, ByteSpan entry, const fsm::Applied& applied,
                      const fsm::MetaView& meta) {
  const Entry now{hashOf(entry), hashOf(applied), meta.digest};
  CAPSTAN_ASSERT(index >= firstIndex, index);
  const uint64_t place = index - firstIndex;
  if (place < history.size()) {
    ++replayCount;
    return compare(index, now, history[place]);
  }
  if (place != history.size()) return failure.set("committedEntryStays", entryName(index) + " leaves a gap");
  history.push_back(now);
  trace.add(index);
  trace.add(now.results);
  trace.add(getBig64(now.digest.data()));
  applyFirst(index, term, entry, applied, now);
}

void Checker::compare(uint64_t index, const Entry& now, const Entry& first) {
  failure.expect(now.entryHash == first.entryHash, "committedEntryStays", entryName(index) + " is another one");
  failure.expect(now.digest == first.digest, "replayGivesTheSame", entryName(index) + " has another digest");
  failure.expect(now.results == first.results, "replayGivesTheSame", entryName(index) + " has other answers");
}

void Checker::applyFirst(uint64_t index, uint64_t term, ByteSpan entry, const fsm::Applied& applied, const Entry& now) {
  CAPSTAN_ASSERT(shadow != nullptr);
  fsm::Applied again;
  shadow->apply(index, term, entry, again);
  failure.expect(shadow->meta().digest == now.digest, "shadowAgrees", entryName(index) + " has another digest");
  failure.expect(hashOf(again) == now.results, "shadowAgrees", entryName(index) + " has other answers");
  if (entry.empty()) return;
  Result<codec::OpenEntry> opened = codec::openEntry(entry);
  CAPSTAN_ASSERT(opened.ok(), index);
  model.apply(index, opened.value(), applied.results, trueAt[index]);
}

void Checker::replying(uint64_t index, uint64_t nowSynced) {
  failure.expect(index <= nowSynced, "okAfterSync",
                 entryName(index) + " is answered, synced are those up to " + std::to_string(nowSynced));
  answeredIndex = std::max(answeredIndex, index);
}

void Checker::persisted(uint64_t lastIndex, uint64_t term) {
  syncedIndex = std::max(syncedIndex, lastIndex);
  failure.expect(term >= syncedTerm, "appliedNeverBack", "the term went back to " + std::to_string(term));
  syncedTerm = term;
}

void Checker::durable(uint64_t index) {
  failure.expect(index >= durableIndex, "appliedNeverBack", "the durable index went back to " + std::to_string(index));
  durableIndex = index;
}

void Checker::opened(const fsm::MetaView& meta, const log::SegmentedLog& log) {
  const std::string last = "the log ends at " + std::to_string(log.lastIndex());
  failure.expect(log.lastIndex() >= answeredIndex, "enqueueSurvives",
                 last + ", entry " + std::to_string(answeredIndex) + " was answered");
  failure.expect(log.lastIndex() >= syncedIndex, "syncedSurvives",
                 last + ", entry " + std::to_string(syncedIndex) + " was synced");
  failure.expect(log.hardState().term >= syncedTerm, "syncedSurvives",
                 "the term is " + std::to_string(log.hardState().term) + " and was " + std::to_string(syncedTerm));
  failure.expect(meta.appliedIndex >= durableIndex, "appliedNeverBack",
                 "the state has applied " + std::to_string(meta.appliedIndex) + " and called " +
                     std::to_string(durableIndex) + " durable");
  trace.add(log.lastIndex());
  trace.add(meta.appliedIndex);
}

void Checker::fetchAnswered(uint64_t begunAt, const std::vector<GrantedJob>& jobs) {
  for (const GrantedJob& job : jobs) {
    const auto acked = ackedAt.find(job.id);
    failure.expect(acked == ackedAt.end() || acked->second > begunAt, "ackedNotFetched",
                   "job " + job.id.hex() + " was fetched after its ack was answered");
  }
}

void Checker::checkStored(fsm::StateMachine& machine) {
  if (machine.meta().appliedIndex + 1 < firstIndex + history.size()) return;  // replay is under way
  ReadCommand command;
  command.method = codec::Method::getJob;
  command.tenant = codec::defaultTenant;
  const auto& known = model.jobs();
  size_t ended = 0;
  for (auto at = known.rbegin(); at != known.rend(); ++at) {
    const ModelJob& job = at->second;
    if (!job.ended && !Model::mustBeThere(job)) continue;
    if (job.ended && ++ended > endedLookedAt) continue;
    command.id = at->first;
    const ReadResult read = machine.read(command);
    const std::string name = "job " + at->first.hex() + " of " + entryName(job.index);
    if (job.ended) {
      failure.expect(read.code == schema::ErrorCode::NOT_FOUND, "endedStaysEnded", name + " is still stored");
      continue;
    }
    if (read.code != schema::ErrorCode::OK) {
      failure.set("jobIsKept", name + " is not stored");
      continue;
    }
    const schema::JobState state = read.jobs.at(0).state;
    const bool isLeased = model.isSurelyLeased(job);
    failure.expect(!isLeased || state == schema::JobState::LEASED, "jobIsKept", name + " should be leased");
    failure.expect(isLeased || model.mayBeOver(job) || state != schema::JobState::LEASED, "jobIsKept",
                   name + " should not be leased");
    failure.expect(!job.isDead || state == schema::JobState::DEAD, "jobIsKept", name + " should be dead");
  }
}

std::optional<std::string> Checker::isDrained(fsm::StateMachine& machine) {
  ReadCommand command;
  command.method = codec::Method::getJob;
  command.tenant = codec::defaultTenant;
  for (const auto& [id, job] : model.jobs()) {
    if (job.ended) continue;
    command.id = id;
    const ReadResult read = machine.read(command);
    const bool isGone = read.code == schema::ErrorCode::NOT_FOUND;
    const bool isDead = !isGone && read.jobs.at(0).state == schema::JobState::DEAD;
    const bool mustGo = job.isQueueDeleted || job.isDoomed;
    if (mustGo ? isGone : isDead || (isGone && job.mayVanish)) continue;
    const std::string state = isGone ? "gone" : std::to_string(static_cast<int>(read.jobs.at(0).state));
    return "job " + id.hex() + " of " + entryName(job.index) + " in queue " + job.queue + ", in state " + state +
           (mustGo ? ", though deleted," : "");
  }
  return std::nullopt;
}

}  // namespace capstan::sim
