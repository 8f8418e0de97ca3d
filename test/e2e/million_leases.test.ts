// A million leases fall due behind the cursor, the server is killed while they do, and every job is delivered again: each
// once, none lost, within the memory budget. Owns the server and its directory, which are removed at the end.

import assert from "node:assert/strict";
import { rmSync } from "node:fs";
import { after, test } from "node:test";
import { setTimeout as pause } from "node:timers/promises";

import { CapstanClient } from "../../src/client/index.js";
import { memoryOf } from "../support/process_memory.js";
import { ServerProcess, temporaryDirectory } from "../support/server_process.js";

const jobCount = 1_000_000;
const queue = "million";
const MiB = 1 << 20;
const memoryBytesMax = 512 * MiB;
/** What lies outside the budget: the million leases themselves, Node's own heaps, code and stacks. */
const outsideBytes = 640 * MiB;
const progressMsMax = 240_000;

const dataDir = temporaryDirectory();
let server: ServerProcess | undefined;
after(async () => {
  server?.kill("SIGKILL");
  await server?.exited;
  rmSync(dataDir, { recursive: true, force: true });
});

async function start(): Promise<CapstanClient> {
  server = new ServerProcess({ dataDir, flags: ["--memory-bytes-max", String(memoryBytesMax)] });
  return new CapstanClient({ addresses: [await server.ready()], requestTimeoutMs: 120_000 });
}

/** Runs `turn` on several lanes until each says that it is done. */
async function together(lanes: number, turn: () => Promise<boolean>): Promise<void> {
  await Promise.all(
    Array.from({ length: lanes }, async () => {
      while (await turn()) {}
    }),
  );
}

test("a million leases that fall due are all delivered again after a kill", async () => {
  let client = await start();
  let enqueued = 0;
  await together(4, async () => {
    if (enqueued >= jobCount) return false;
    const first = enqueued;
    enqueued += 10_000;
    await client.enqueueMany(
      queue,
      Array.from({ length: 10_000 }, (_, at) => ({ payload: String(first + at) })),
    );
    return true;
  });
  let leased = 0;
  const leases: string[] = [];
  await together(4, async () => {
    const grant = await client.fetch(queue, { jobsMax: 1024, leaseMs: 600_000 });
    if (grant === null) return false;
    leased += grant.jobs.length;
    leases.push(grant.lease);
    return true;
  });
  assert.equal(leased, jobCount, "all of them are leased at once");
  await Promise.all(leases.map((lease) => client.extend(lease, 3000)));

  const giveUpMs = performance.now() + progressMsMax;
  while ((await client.getQueue(queue)).expiredTotal === 0) {
    assert.ok(performance.now() < giveUpMs, "no lease fell due");
    await pause(5);
  }
  server?.kill("SIGKILL");
  await server?.exited;
  await client.close();

  client = await start();
  const seen = new Uint8Array(jobCount);
  let delivered = 0;
  await together(4, async () => {
    const grant = await client.fetch(queue, { jobsMax: 1024, leaseMs: 600_000, waitMs: 5000 });
    if (grant === null) return delivered < jobCount && performance.now() < giveUpMs;
    for (const job of grant.jobs) {
      const number = Number(Buffer.from(job.payload).toString());
      assert.equal(seen[number], 0, `job ${number} came twice`);
      assert.equal(job.attempt, 2);
      seen[number] = 1;
    }
    delivered += grant.jobs.length;
    const settled = await client.ack(grant.lease, "all");
    assert.equal(settled.accepted, grant.jobs.length);
    return delivered < jobCount;
  });
  assert.equal(delivered, jobCount);
  const info = await client.getQueue(queue);
  assert.deepEqual(
    { ready: info.ready, leased: info.leased, dead: info.dead, acked: info.ackedTotal, expired: info.expiredTotal },
    { ready: 0, leased: 0, dead: 0, acked: jobCount, expired: jobCount },
  );
  const peak = memoryOf(server?.pid ?? assert.fail("no server runs")).peakBytes;
  assert.ok(peak <= memoryBytesMax + outsideBytes, `peak of ${Math.round(peak / MiB)} MiB`);
  await client.close();
  await server?.stop();
});
