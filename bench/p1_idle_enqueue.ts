// P1: how long does a producer wait for "ok" when nothing else is going on?
//
// Workload    One connection, one job of 256 B at a time; a pause of a millisecond after each answer, so that every
//             thread of the server has gone to sleep before the next call.
// Hypothesis  No timer is in the way: one fsync and a few wakes of threads, so the median is near the floor's sync.
// Budget      p50 1 ms, p99 4 ms must; 0.6 and 2 ms goal.
// Counted     Every acknowledged job is found ready. It never has two calls under way. Called by load_thread.ts.

import { setTimeout as pause } from "node:timers/promises";
import { enqueueFrame } from "./frames.js";
import { incompressible } from "./payloads.js";
import { allReady, type LoadContext, type Question } from "./question.js";

const idleMs = 1;

export const p1: Question = {
  id: "p1",
  title: "idle enqueue to ok, one at a time",
  hypothesis: "one fsync and a few wakes of threads; no timer is in the way",
  budget: { unit: "ms", must: [1, 4], goal: [0.6, 2] },
  settings: { connections: 1, batchJobs: 1, payloadBytes: 256, outstandingPerConnection: 1 },
  threadsMax: 1,
  latency: "enqueue",
  counts: "enqueued",
  load,
  differences: allReady,
};

async function load(context: LoadContext): Promise<void> {
  const connection = await context.connect();
  const payloads = incompressible(1, context.settings.payloadBytes);
  let answered = () => {};
  const call = connection.prepare(
    (target) => enqueueFrame(target, context.queue, payloads).frame,
    () => answered(),
  );
  await context.begin();
  while (!context.isOver()) {
    const answer = new Promise<void>((resolve) => {
      answered = () => {
        context.record("enqueue", performance.now() - call.sentMs);
        context.add("enqueued", 1);
        resolve();
      };
    });
    connection.send(call);
    await Promise.race([answer, connection.failed]);
    await pause(idleMs);
  }
  connection.close();
}
