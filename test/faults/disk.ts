// What a server does on a disk that fills: above its reserve, at it, and when the last block is gone all the same. Owns no
// disk; each part runs on one that its caller made, with a server of its own. Called by the test of a full disk and by the
// long run.

import assert from "node:assert/strict";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { CapstanClient, CapstanError, type Grant } from "../../src/client/index.js";
import { exitCodes } from "../../src/errors.js";
import { ServerProcess } from "../support/server_process.js";
import { payloadOf } from "./job_set.js";
import type { LoopDisk } from "./loop_disk.js";

const MiB = 1 << 20;
const payloadBytes = 4000;
const batchJobs = 100;
const queue = "kept";
const conditionMsMax = 20_000;

const small = [
  ...["--log-segment-bytes", "1MiB", "--log-trailing-bytes", "1MiB", "--write-buffer-bytes", "4MiB"],
  ...["--memory-bytes-max", "512MiB", "--workers", "1", "--disk-reserve-percent", "0"],
];

export interface ReserveFigures {
  /** From taking the space to the first diskFull, and from giving it back to the next ok. */
  readonly refusedAfterMs: number;
  readonly servedAfterMs: number;
  readonly settledWhileFull: number;
}

/** Reaches the reserve, settles and reads while it lasts, and is free again, all in one life of the server. */
export async function fillToTheReserve(disk: LoopDisk): Promise<ReserveFigures> {
  const server = new ServerProcess({
    dataDir: join(disk.path, "data"),
    flags: [...small, "--disk-reserve-bytes", String(64 * MiB)],
  });
  try {
    const client = new CapstanClient({ addresses: [await server.ready()], retryBusy: false });
    try {
      return await reserveLife(disk, server, client);
    } finally {
      await client.close({ timeoutMs: 0 });
    }
  } finally {
    await server.dispose();
  }
}

async function reserveLife(disk: LoopDisk, server: ServerProcess, client: CapstanClient): Promise<ReserveFigures> {
  for (let first = 0; first < 2000; first += batchJobs) await enqueue(client, first);
  await client.enqueue("doomed", { payload: "x" });
  await client.setQueue("dead", { maxAttempts: 1 });
  await client.enqueue("dead", { payload: "x" });

  // Those that are taken before the server looks at the disk again, once a second.
  let taken = 2000;
  disk.fill(32 * MiB);
  const refusedAfterMs = await until(async () => {
    const isRefused = (await refusalOf(client.enqueue(queue, { payload: "x" }))) !== undefined;
    if (!isRefused) taken++;
    return isRefused;
  });
  await server.says(/the disk reserve is reached/);
  const settledWhileFull = await settleWhileFull(client);
  for (let at = 0; at < 100; at++) await mustBeFull(client.enqueue(queue, { payload: "x" }));
  await mustBeFull(client.enqueueMany(queue, [{ payload: "x" }, { payload: "y" }]));
  await mustBeFull(client.exchange({ enqueues: [{ queue, jobs: [{ payload: "x" }] }] }));

  disk.free();
  const servedAfterMs = await until(
    async () => (await refusalOf(client.enqueue(queue, { payload: "x" }))) === undefined,
  );
  await server.says(/the disk has space again/);
  const info = await client.getQueue(queue);
  assert.equal(info.enqueuedTotal, taken + 1, "what was refused was not taken");
  assert.equal(info.ready + info.leased + info.scheduled + info.ackedTotal + 10, taken + 1, "ten were deleted");
  await client.close();
  await server.stop();
  return { refusedAfterMs, servedAfterMs, settledWhileFull };
}

/** Everything but enqueue goes on. Returns how many jobs it took out. */
async function settleWhileFull(client: CapstanClient): Promise<number> {
  const fetched = async (from: string, jobsMax: number): Promise<Grant> =>
    (await client.fetch(from, { jobsMax })) ?? assert.fail(`nothing in ${from}`);
  let acked = 0;
  for (let round = 0; round < 10; round++) {
    const grant = await fetched(queue, batchJobs);
    assert.equal((await client.extend(grant.lease, 60_000)).openJobs, batchJobs);
    acked += (await client.ack(grant.lease, "all")).accepted;
  }
  assert.equal(acked, 10 * batchJobs);
  const failed = await fetched(queue, 1);
  assert.equal((await client.fail(failed.lease, [{ id: failed.jobs[0]?.id ?? "", reason: "full" }])).accepted, 1);
  const released = await fetched(queue, 5);
  assert.equal((await client.release(released.lease, "all")).accepted, 5);
  const { jobs } = await client.peek(queue, { limit: 10 });
  for (const job of jobs) assert.equal((await client.getJob(job.id)).state, "ready");
  assert.equal((await client.deleteJobs(jobs.map(({ id }) => id))).accepted, 10);
  const dead = await fetched("dead", 1);
  assert.equal((await client.fail(dead.lease, [{ id: dead.jobs[0]?.id ?? "" }])).accepted, 1);
  assert.equal((await client.listDead("dead")).jobs.length, 1);
  await client.deleteDead("dead", { all: true });
  await client.deleteQueue("doomed");
  const names = (await client.listQueues()).queues.filter(({ deleting }) => !deleting).map(({ name }) => name);
  assert.ok(names.includes(queue) && !names.includes("doomed"), String(names));
  await client.serverInfo();
  return acked;
}

export interface HardFigures {
  readonly acknowledged: number;
  /** How the server ended when the last block was gone. */
  readonly ended: string;
}

/** No reserve, and another process that takes the last block: the server ends rather than lie, refuses to start while there
 *  is nothing left, and afterwards has every job that it acknowledged. */
export async function fillToTheLastBlock(disk: LoopDisk): Promise<HardFigures> {
  const dataDir = join(disk.path, "data");
  const flags = [...small, "--disk-reserve-bytes", "0"];
  const acknowledged = new Set<number>();
  const first = new ServerProcess({ dataDir, flags });
  let ended: string;
  try {
    const client = new CapstanClient({ addresses: [await first.ready()], retryBusy: false });
    void first.exited.then(() => client.close({ timeoutMs: 0 }));
    await enqueue(client, 0);
    for (let at = 0; at < batchJobs; at++) acknowledged.add(at);
    disk.fill(6 * MiB);
    for (let next = batchJobs; !first.hasExited; next += batchJobs) {
      assert.ok(next * payloadBytes < 256 * MiB, "the disk never filled");
      const error = await enqueue(client, next).then(
        () => undefined,
        (reason: unknown) => reason,
      );
      if (error === undefined) for (let at = next; at < next + batchJobs; at++) acknowledged.add(at);
      else assert.ok(error instanceof CapstanError, String(error));
    }
    const exit = await first.exited;
    ended = exit.signal ?? `exit code ${exit.code}`;
    assert.notEqual(exit.code, 0);
    assert.match(first.stderr, /No space left on device/);
    assert.match(first.stderr, new RegExp(`${dataDir}/shard-0/`), "it names the file");
  } finally {
    await first.dispose();
  }
  disk.fill(0);
  await mustNotStart(dataDir, flags);
  disk.free();
  await mustHoldAll(dataDir, flags, acknowledged);
  return { acknowledged: acknowledged.size, ended };
}

async function mustNotStart(dataDir: string, flags: string[]): Promise<void> {
  const server = new ServerProcess({ dataDir, flags });
  try {
    assert.deepEqual(await server.exited, { code: exitCodes.dataDirectory, signal: null }, server.stderr);
    assert.match(server.stderr, /Free space on the file system of/);
    assert.equal(server.stdout, "");
  } finally {
    await server.dispose();
  }
}

async function mustHoldAll(dataDir: string, flags: string[], acknowledged: ReadonlySet<number>): Promise<void> {
  const server = new ServerProcess({ dataDir, flags });
  try {
    const client = new CapstanClient({ addresses: [await server.ready()] });
    const left = new Set(acknowledged);
    let grant = await client.fetch(queue, { jobsMax: 1000 });
    for (; grant !== null; grant = await client.fetch(queue, { jobsMax: 1000 })) {
      for (const { payload } of grant.jobs) {
        const number = Buffer.from(payload).readUInt32LE();
        assert.ok(payloadOf(number, payloadBytes).equals(payload), `the payload of job ${number}`);
        left.delete(number);
      }
      await client.ack(grant.lease, "all");
    }
    assert.equal(left.size, 0, `${left.size} of ${acknowledged.size} acknowledged jobs are missing`);
    await client.close();
    await server.stop();
  } finally {
    await server.dispose();
  }
}

async function enqueue(client: CapstanClient, first: number): Promise<void> {
  const jobs = Array.from({ length: batchJobs }, (_, at) => ({ payload: payloadOf(first + at, payloadBytes) }));
  await client.enqueueMany(queue, jobs);
}

/** Undefined when it was taken; else it was refused as full, with a hint. */
async function refusalOf(call: Promise<unknown>): Promise<CapstanError | undefined> {
  try {
    await call;
    return undefined;
  } catch (error) {
    assert.ok(error instanceof CapstanError && error.code === "diskFull", String(error));
    assert.ok(error.retryAfterMs >= 1000, "it says when to try again");
    return error;
  }
}

async function mustBeFull(call: Promise<unknown>): Promise<void> {
  assert.notEqual(await refusalOf(call), undefined, "an enqueue was taken although the reserve is reached");
}

/** Returns how long it took. */
async function until(isMet: () => Promise<boolean>): Promise<number> {
  const startMs = performance.now();
  while (!(await isMet())) {
    assert.ok(performance.now() - startMs < conditionMsMax, "the condition never came");
    await pause(5);
  }
  return Math.round(performance.now() - startMs);
}
