// P2: how long does it take from a producer's call until a waiting worker has the job?
//
// Workload    One worker with a parked fetch, one producer on another connection: one job of 256 B at a time. The worker
//             acks the job, parks its next fetch, and a pause of five milliseconds follows, so that the fetch sleeps.
// Hypothesis  The parked fetch goes in the entry of the enqueue: P1, the job's way out and no second fsync.
// Budget      p50 2 ms, p99 6 ms must; 1 and 3 ms goal.
// Counted     Every job is acked once and none is left. It never measures the ack. Called by load_thread.ts.

import { setTimeout as pause } from "node:timers/promises";
import { enqueueFrame } from "./frames.js";
import { incompressible } from "./payloads.js";
import { allAcked, type LoadContext, type Question } from "./question.js";
import { Worker } from "./worker.js";

/** Long enough for the fetch's own entry to be applied and its caller to be parked. */
const idleMs = 5;
const waitMs = 60_000;

export const p2: Question = {
  id: "p2",
  title: "enqueue until a parked worker has the job, one at a time",
  hypothesis: "one entry holds the job and its lease, so little more than P1",
  budget: { unit: "ms", must: [2, 6], goal: [1, 3] },
  settings: { connections: 2, batchJobs: 1, payloadBytes: 256, outstandingPerConnection: 1 },
  threadsMax: 1,
  latency: "delivery",
  counts: "acked",
  load,
  differences: allAcked,
};

async function load(context: LoadContext): Promise<void> {
  const producer = await context.connect();
  const worker = new Worker(await context.connect(), context.queue, 1, waitMs);
  const payloads = incompressible(1, context.settings.payloadBytes);
  const enqueue = producer.prepare(
    (target) => enqueueFrame(target, context.queue, payloads).frame,
    () => {
      context.record("enqueue", performance.now() - enqueue.sentMs);
      context.add("enqueued", 1);
      enqueued();
    },
  );
  let enqueued = () => {};
  await context.begin();
  while (!context.isOver()) {
    const fetch = worker.fetch();
    await pause(idleMs);
    const ok = new Promise<void>((resolve) => {
      enqueued = resolve;
    });
    producer.send(enqueue);
    const grant = await Promise.race([fetch, producer.failed]);
    if (grant === undefined) throw new Error(`a parked fetch came back empty within ${waitMs} ms`);
    context.record("delivery", performance.now() - enqueue.sentMs);
    await Promise.race([ok, producer.failed]);
    context.add("acked", await worker.ack(grant));
  }
  producer.close();
  worker.close();
}
