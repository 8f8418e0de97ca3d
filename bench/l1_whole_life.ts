// L1: how many jobs a second live their whole life, enqueued, fetched and acked, all three at once?
//
// Workload    10 producers enqueue batches of 64 jobs of 256 B, each waiting for its answer; 10 workers fetch up to 64,
//             ack them all, and fetch again. Producers pause while more than 5,000 jobs are on their way, so that the
//             rate is one that lasts and the queue stays short.
// Hypothesis  A job never reaches the disk but in the log: it is acked before its memtable is flushed, and its payload
//             comes from the window. So a life costs about 135 key operations for 64 jobs and three entries.
// Budget      60,000 jobs/s must, 150,000 goal.
// Counted     At the end the workers drain the queue: what was enqueued was acked, and nothing is ready or leased.
//             It never counts a job before its ack was accepted. Called by load_thread.ts.
//
// The same load over a hundred thousand groups is a question of its own, for the long runs.

import { enqueueFrame, writeGroup } from "./frames.js";
import type { Call, LoadConnection } from "./load_connection.js";
import { incompressible } from "./payloads.js";
import { allAcked, type LoadContext, type Question } from "./question.js";
import { Worker } from "./worker.js";

const onTheWayJobsMax = 5_000;
/** Short, so that a worker looks up now and then whether all is done. */
const waitMs = 100;
const drainMsMax = 60_000;

export const l1: Question = {
  id: "l1",
  title: "enqueue, fetch and ack at once: 10 producers and 10 workers, batches of 64",
  hypothesis: "a job is acked before its memtable is flushed and its payload comes from the window",
  budget: { unit: "jobs/s", must: 60_000, goal: 150_000 },
  settings: { connections: 10, batchJobs: 64, payloadBytes: 256, outstandingPerConnection: 1 },
  threadsMax: 10,
  latency: "life",
  counts: "acked",
  load,
  differences: allAcked,
};

/** L1's load with each job in one of 100,000 groups, in turn: what does a queue cost that has very many lanes? */
export const groups: Question = {
  ...l1,
  id: "groups",
  title: "enqueue, fetch and ack at once over 100,000 groups of one queue, batches of 64",
  hypothesis: "a group costs a lane in memory and nothing else, so the rate is that of l1",
  settings: { ...l1.settings, groups: 100_000 },
};

async function load(context: LoadContext): Promise<void> {
  const numbers = Array.from({ length: context.connections });
  const [forProducers, forWorkers] = await Promise.all([
    Promise.all(numbers.map(() => context.connect())),
    Promise.all(numbers.map(() => context.connect())),
  ]);
  await context.begin();
  const producers = forProducers.map((connection) => new Producer(context, connection));
  let producersAtWork = producers.length;
  const produced = producers.map(async (producer) => {
    await producer.run();
    producersAtWork--;
  });
  const worked = forWorkers.map((connection) =>
    work(
      context,
      new Worker(connection, context.queue, context.settings.batchJobs, waitMs),
      () => {
        for (const producer of producers) producer.goOn();
      },
      () => producersAtWork === 0,
    ),
  );
  await Promise.all([...produced, ...worked]);
}

class Producer {
  private over: () => void = () => {};
  private isPaused = false;
  private readonly done: Promise<void>;
  private readonly call: Call;
  private payloadsAt: readonly number[] = [];
  private groupsAt: readonly number[] = [];
  private group = 0;

  constructor(
    private readonly context: LoadContext,
    private readonly connection: LoadConnection,
  ) {
    const { batchJobs, payloadBytes, groups } = context.settings;
    this.done = new Promise((resolve) => {
      this.over = resolve;
    });
    this.call = connection.prepare(
      (target) => {
        const payloads = incompressible(batchJobs, payloadBytes);
        const made = enqueueFrame(target, context.queue, payloads, groups !== undefined);
        this.payloadsAt = made.payloadsAt;
        this.groupsAt = made.groupsAt;
        return made.frame;
      },
      () => {
        context.record("enqueue", performance.now() - this.call.sentMs);
        this.next();
      },
    );
  }

  async run(): Promise<void> {
    this.next();
    await Promise.race([this.done, this.connection.failed]);
    this.connection.close();
  }

  /** Told after each ack, and when the time may be over. */
  goOn(): void {
    if (!this.isPaused) return;
    this.isPaused = false;
    this.next();
  }

  private nextGroup(): number {
    this.group = (this.group + 1) % (this.context.settings.groups ?? 1);
    return this.group;
  }

  private next(): void {
    const { context } = this;
    if (context.isOver()) {
      this.over();
      return;
    }
    if (context.sum("enqueued") - context.sum("acked") > onTheWayJobsMax) {
      this.isPaused = true;
      return;
    }
    // Counted when it is sent, so that ten of them together stay below the maximum; the end waits for the answers.
    context.add("enqueued", context.settings.batchJobs);
    const nowMs = monotonicMs();
    const { frame } = this.call;
    for (const at of this.payloadsAt) frame.writeDoubleLE(nowMs, at);
    for (const at of this.groupsAt) writeGroup(frame, at, this.nextGroup());
    this.connection.send(this.call);
  }
}

async function work(
  context: LoadContext,
  worker: Worker,
  acked: () => void,
  producersAreDone: () => boolean,
): Promise<void> {
  let overSinceMs: number | undefined;
  for (;;) {
    const grant = await worker.fetch();
    if (grant !== undefined) {
      context.record("fetch", grant.tookMs);
      const accepted = await worker.ack(grant);
      context.record("ack", performance.now() - worker.ackSentMs);
      // What lay in the queue before the load has no stamp.
      if (grant.stamp > 0) context.record("life", monotonicMs() - grant.stamp);
      context.add("acked", accepted);
    }
    acked();
    if (!context.isOver()) continue;
    overSinceMs ??= performance.now();
    const left = context.sum("enqueued") - context.sum("acked");
    if (left <= 0 && producersAreDone()) break;
    if (performance.now() - overSinceMs > drainMsMax) throw new Error(`${left} jobs never came back`);
  }
  worker.close();
}

/** The same in every thread, unlike performance.now(). */
function monotonicMs(): number {
  return Number(process.hrtime.bigint()) / 1e6;
}
