// E1: how fast does one server make jobs durable when a few clients bring them in batches?
//
// Workload    10 connections, each sends 64 jobs of 256 B in one call and waits for the answer before the next.
// Hypothesis  Ten calls are collected into one or two log entries per fsync, so the rate is that of the log's appends
//             and the apply thread's Puts, not of fsyncs: near the floor's `jobsPerSecond`.
// Budget      180,000 jobs/s must, 400,000 goal.
// Counted     Every acknowledged job is found ready. It never fetches. Called by load_thread.ts.

import { enqueueFrame } from "./frames.js";
import { incompressible } from "./payloads.js";
import { allReady, type LoadContext, type Question } from "./question.js";

export const e1: Question = {
  id: "e1",
  title: "enqueue: 10 connections, batches of 64, each waits for its answer",
  hypothesis: "calls share entries and fsyncs, so the log and the Puts are the limit",
  budget: { unit: "jobs/s", must: 180_000, goal: 400_000 },
  settings: { connections: 10, batchJobs: 64, payloadBytes: 256, outstandingPerConnection: 1 },
  threadsMax: 10,
  latency: "enqueue",
  counts: "enqueued",
  load: enqueueLoad,
  differences: allReady,
};

/** Keeps `outstandingPerConnection` enqueues under way on each connection; also the load of U1. */
export async function enqueueLoad(context: LoadContext): Promise<void> {
  const { connections, settings } = context;
  const opened = await Promise.all(Array.from({ length: connections }, () => context.connect()));
  await context.begin();
  const streams = opened.flatMap((connection) =>
    Array.from({ length: settings.outstandingPerConnection }, () => {
      const payloads = incompressible(settings.batchJobs, settings.payloadBytes);
      const stream = new Promise<void>((resolve) => {
        const call = connection.prepare(
          (target) => enqueueFrame(target, context.queue, payloads).frame,
          () => {
            context.record("enqueue", performance.now() - call.sentMs);
            context.add("enqueued", settings.batchJobs);
            if (context.isOver()) resolve();
            else connection.send(call);
          },
        );
        connection.send(call);
      });
      return Promise.race([stream, connection.failed]);
    }),
  );
  await Promise.all(streams);
  for (const connection of opened) connection.close();
}
