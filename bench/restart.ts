// B2: how long is a server away that is restarted with five million jobs, and how much memory does it need then?
//
// Workload    A fresh server is filled, stopped in order and started again; then killed and started again. The time is
//             from the start of the process to its ready line, Node's own start included.
// Hypothesis  What is read is what was not flushed, and tables of queues and lanes: the jobs themselves stay on disk,
//             so neither time nor memory grows with them.
// Budget      5 s and 1 GiB resident must, 2 s and 512 MiB goal; both ways.
// Counted     After each start every job is ready. Throughput and latencies of the result are the filling's.
//             It never measures a server that was not filled by itself. Called by run.ts.

import { join } from "node:path";
import { ChildServer } from "./child_server.js";
import { type Filled, fill, fillBatchJobs, fillConnections } from "./fill.js";
import { CountMismatch, countsOf } from "./measure.js";
import type { RestartBudget } from "./question.js";
import { percentilesOf, type Readiness, type Restart, type Result } from "./result.js";
import { queueName, type Stage, withServer } from "./run.js";

const title = "restart with a long queue: time to the ready line and resident memory";
const must: RestartBudget = { seconds: 5, rssBytes: 1 << 30 };
const goal: RestartBudget = { seconds: 2, rssBytes: 512 << 20 };
const payloadBytes = 256;

export async function measureRestart(stage: Stage): Promise<Result> {
  const { options } = stage;
  if (options.address !== undefined) throw new Error("b2 starts and kills its server, so there is no --addr for it");
  const queue = queueName("b2");
  const filled = await withServer(stage, "data", async (server) => fillMeasured(stage, server, queue));
  const stopped = await started(stage, queue, "after an orderly stop");
  await stopped.server.kill();
  const killed = await started(stage, queue, "after a kill");
  await killed.server.stop();
  const restart = { afterStop: stopped.readiness, afterKill: killed.readiness };
  return resultOf(stage, filled, restart);
}

interface FillMeasured extends Filled {
  readonly serverCpuSeconds: number;
  readonly clientCpuSeconds: number;
  readonly peakRssBytes: number;
  readonly writtenBytes: number | undefined;
}

async function fillMeasured(stage: Stage, server: ChildServer, queue: string): Promise<FillMeasured> {
  const { queuedJobs: jobs, progress, signal } = stage.options;
  const before = process.cpuUsage();
  const serverBefore = { cpu: server.cpuSeconds(), written: server.writtenBytes() };
  const filling = fill({ address: server.address, queue, jobs, payloadBytes, progress, signal });
  const filled = await Promise.race([filling, server.failed]);
  const { user, system } = process.cpuUsage(before);
  const written = server.writtenBytes();
  return {
    ...filled,
    serverCpuSeconds: server.cpuSeconds() - serverBefore.cpu,
    clientCpuSeconds: (user + system) / 1e6,
    peakRssBytes: server.peakRssBytes(),
    writtenBytes: written === undefined ? undefined : written - (serverBefore.written ?? 0),
  };
}

/** The server is the caller's to end. */
async function started(
  stage: Stage,
  queue: string,
  how: string,
): Promise<{ server: ChildServer; readiness: Readiness }> {
  const { options } = stage;
  options.signal?.throwIfAborted();
  options.progress(`starting ${how}`);
  const server = await ChildServer.start(join(stage.directory, "data"), options.serverFlags);
  try {
    const readiness = { seconds: Number(server.readySeconds.toFixed(3)), rssBytes: server.rssBytes() };
    const { ready, leased } = await countsOf(server.address, queue);
    if (ready !== options.queuedJobs || leased !== 0) {
      throw new CountMismatch(`${options.queuedJobs} jobs were acknowledged, but ${how} ${ready} are ready`);
    }
    return { server, readiness };
  } catch (error) {
    await server.kill();
    throw error;
  }
}

function resultOf(stage: Stage, filled: FillMeasured, restart: Restart): Result {
  const { options, machine, floor, sync } = stage;
  const payload = options.queuedJobs * payloadBytes;
  const { count, ...latencyMs } = percentilesOf(filled.calls);
  const both = [restart.afterStop, restart.afterKill];
  return {
    bench: "b2",
    title,
    jobsPerSecond: Math.round(options.queuedJobs / filled.seconds),
    floorJobsPerSecond: floor === undefined ? null : Math.round(floor.jobsPerSecond),
    latencyMs,
    latencies: { enqueue: { count, ...latencyMs } },
    seconds: filled.seconds,
    cpuSeconds: { server: filled.serverCpuSeconds, client: filled.clientCpuSeconds },
    peakRssBytes: { server: filled.peakRssBytes },
    writtenBytes: { server: filled.writtenBytes ?? null, payload },
    writeAmplification: filled.writtenBytes === undefined ? null : filled.writtenBytes / payload,
    machine,
    settings: {
      connections: fillConnections,
      batchJobs: fillBatchJobs,
      payloadBytes,
      outstandingPerConnection: 1,
      threads: 1,
      warmUpSeconds: 0,
      sync,
      serverFlags: options.serverFlags,
      queuedJobs: options.queuedJobs,
    },
    budget: { unit: "restart", must, goal },
    isWithinBudget: both.every(({ seconds, rssBytes }) => seconds <= must.seconds && rssBytes <= must.rssBytes),
    floor: floor ?? null,
    counted: { enqueued: options.queuedJobs, acked: 0, ready: options.queuedJobs, leased: 0, ackedTotal: 0 },
    restart,
  };
}
