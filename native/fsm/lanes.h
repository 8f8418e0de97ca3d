// Lanes and their ready windows: putting, granting and removing jobs. A window is a cache; what a fetch gets is the
// smallest ready keys of the stored lane, whatever its size. Owns no data. Called by the operations of fsm/.
//
//   a job in `jobs` is   ready ──takeFirst──▶ leased ──unlease──▶ ready
//                          └──removeReady──▶ gone   └──removeLeased──▶ gone
#pragma once

#include "fsm/change.h"

namespace capstan::fsm {

// Puts a record into `jobs`; the job is ready. `job.record` is written and may be kept in the window.
void putJob(Change& change, Queue& queue, Lane& lane, ReadyJob job);
// The smallest ready job of the lane; there is one. The reference holds until the lane changes.
const ReadyJob& firstReady(Change& change, Lane& lane);
ReadyJob takeFirst(Change& change, Queue& queue, Lane& lane);
void unlease(Change& change, Queue& queue, Lane& lane, ReadyJob job);
void removeLeased(Change& change, Queue& queue, Lane& lane, const JobId& id);
void removeReady(Change& change, Queue& queue, Lane& lane, const JobId& id);
// The record of a job in this lane as the entry sees it; null: none.
std::shared_ptr<const RecordBytes> recordOf(Change& change, Lane& lane, const JobId& id);
// The same, of what the entry under way put; null: it is in the database.
std::shared_ptr<const RecordBytes> recordOfPut(const Lane& lane, const JobId& id);

// The first rows of the lane from `from` on, leased or not, as the entry sees them, in order.
std::vector<JobId> firstRows(Change& change, Lane& lane, const JobId& from, size_t rowsMax);

// The lane whose turn it is in the queue's highest ready priority; null: nothing is ready. Changes nothing.
Lane* nextLane(Queue& queue);
// Tells the turn that a job of this lane was granted.
void passTurn(Change& change, Queue& queue, const Lane& lane);

void dropWindow(State& state, Lane& lane);

}  // namespace capstan::fsm
