// U1: how many calls a second does one server take when every job comes in a call of its own?
//
// Workload    512 single-job enqueues outstanding on 16 connections, 256 B each; an answer brings the next call.
// Hypothesis  The cost of a call in the connection layer is the limit, not the disk: hundreds of calls share an entry.
// Budget      40,000 jobs/s must, 80,000 goal.
// Counted     Every acknowledged job is found ready. It never batches by itself. Called by load_thread.ts.

import { enqueueLoad } from "./e1_enqueue.js";
import { allReady, type Question } from "./question.js";

export const u1: Question = {
  id: "u1",
  title: "single-job enqueues: 512 outstanding on 16 connections",
  hypothesis: "hundreds of calls share an entry, so the connection layer's cost of a call is the limit",
  budget: { unit: "jobs/s", must: 40_000, goal: 80_000 },
  settings: { connections: 16, batchJobs: 1, payloadBytes: 256, outstandingPerConnection: 32 },
  threadsMax: 16,
  latency: "enqueue",
  counts: "enqueued",
  load: enqueueLoad,
  differences: allReady,
};
