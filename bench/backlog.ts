// B1: what do E1 and L1 lose when five million jobs lie in their queue?
//
// Workload    L1 and E1 one after the other on a fresh server; then a second fresh server whose queue is filled first,
//             and on that very queue L1 and E1 again. L1's workers then get what lay there longest, from the disk, and
//             its producers append behind all of it.
// Hypothesis  An enqueue never looks at what is queued, and a fetch reads the next few thousand keys of a lane at a
//             time, so neither depends on the length of the queue.
// Budget      0.8 of the empty queue's throughput must, 0.95 goal; for both.
// Counted     Of each of the four loads, against what lay in the queue before it. Called by run.ts.

import { fill } from "./fill.js";
import { countsOf, emptyQueue, type Measured, measure } from "./measure.js";
import type { Budget, Question } from "./question.js";
import { questions } from "./questions.js";
import { type Ratio, type Result, resultOf } from "./result.js";
import { queueName, type Stage, settingsOf, withServer } from "./run.js";

const title = "e1 and l1 with a long queue, against an empty one";
const budget = { unit: "ratio", must: 0.8, goal: 0.95 } as const satisfies Budget;
const { e1, l1 } = questions;

interface Both {
  readonly e1: Measured;
  readonly l1: Measured;
}

export async function measureBacklog(stage: Stage): Promise<Result> {
  const { options } = stage;
  if (options.address !== undefined) throw new Error("b1 needs servers of its own, so there is no --addr for it");
  const empty = await measureBoth(stage, "empty", 0);
  const queued = await measureBoth(stage, "queued", options.queuedJobs);
  const settings = { ...settingsOf(stage, e1), queuedJobs: options.queuedJobs };
  const backlog = { e1: ratioOf(empty.e1, queued.e1), l1: ratioOf(empty.l1, queued.l1) };
  return {
    ...resultOf(e1, queued.e1, { ...stage, settings }),
    bench: "b1",
    title,
    budget,
    isWithinBudget: Math.min(backlog.e1.ratio, backlog.l1.ratio) >= budget.must,
    backlog,
  };
}

/** L1 before E1, since L1 leaves the queue as long as it was. */
async function measureBoth(stage: Stage, name: string, jobs: number): Promise<Both> {
  return withServer(stage, name, async (server) => {
    const { options } = stage;
    const { address } = server;
    const queue = queueName("b1");
    const { payloadBytes } = e1.settings;
    if (jobs > 0) {
      const { progress, signal } = options;
      await Promise.race([fill({ address, queue, jobs, payloadBytes, progress, signal }), server.failed]);
    }
    const one = async (question: Question, before: boolean): Promise<Measured> =>
      measure({
        question,
        address,
        server,
        queue,
        threads: Math.min(options.threads, question.threadsMax),
        warmUpSeconds: options.warmUpSeconds,
        seconds: options.seconds,
        before: before ? await countsOf(address, queue) : emptyQueue,
        progress: (line) => options.progress(`${question.id}, ${name}: ${line}`),
        signal: options.signal,
      });
    const ofL1 = await one(l1, jobs > 0);
    return { l1: ofL1, e1: await one(e1, true) };
  });
}

function ratioOf(empty: Measured, queued: Measured): Ratio {
  const rates = { empty: empty.jobs / empty.seconds, queued: queued.jobs / queued.seconds };
  return {
    empty: Math.round(rates.empty),
    queued: Math.round(rates.queued),
    ratio: Number((rates.queued / rates.empty).toFixed(4)),
  };
}
