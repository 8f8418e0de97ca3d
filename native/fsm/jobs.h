// What becomes of a job: the moves between `jobs`, `scheduled` and `dead`, and its end, each keeping counters, group
// references, attempts and `places` in step. Owns no data. Called by the operations of fsm/.
#pragma once

#include "fsm/change.h"
#include "fsm/lanes.h"

namespace capstan::fsm {

// Ends an open item of a lease: the job stays leased in its lane until one of the moves below takes it.
void closeItem(Change& change, Lease& lease, uint32_t item);

// The moves of a job whose lease item was just closed.
void jobDone(Change& change, const LeaseItem& item);      // acked, or doomed
void jobReturned(Change& change, const LeaseItem& item);  // released, uncounted
bool jobExpired(Change& change, const LeaseItem& item);   // counted; true: it died, and its record was moved
// counted; waits `delayMs` (nothing: the queue's back-off), or dies
void jobFailed(Change& change, const LeaseItem& item, std::string_view reason, std::optional<uint64_t> delayMs,
               bool dies);

// A scheduled row that fell due. False: it went with its queue.
void jobDue(Change& change, const std::string& key, std::string_view record);
// Removes a scheduled or a dead row for good.
void dropScheduled(Change& change, const std::string& key, std::string_view record);
void dropDead(Change& change, const std::string& key, std::string_view row);
// Removes a job of `jobs` for good; a leased one closes its item. Returns how many bytes it had.
uint64_t dropJob(Change& change, Queue& queue, Lane& lane, const JobId& id);
// Back into its lane with no attempts.
void redriveJob(Change& change, const std::string& key, std::string_view row);

// No dead job of the queue died before `firstMs`.
void ensureDeadTimer(Change& change, Queue& queue, uint64_t firstMs = 0);

}  // namespace capstan::fsm
