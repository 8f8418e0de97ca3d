// A server that is killed again and again under a client with a session: what was answered is there once, what was not
// answered is asked for again and carried out once, and the caller sees no error at all. CAPSTAN_TEST_KILLS says how often
// (default 5). Owns the server and its directory, which are removed at the end.

import assert from "node:assert/strict";
import { rmSync } from "node:fs";
import { join } from "node:path";
import { after, describe, it } from "node:test";
import { CapstanClient } from "../../src/client/index.js";
import type { Grant, NewJob } from "../../src/client/types.js";
import { rejection } from "../support/rejection.js";
import { ServerProcess, temporaryDirectory } from "../support/server_process.js";

const killCount = Number(process.env["CAPSTAN_TEST_KILLS"] ?? 5);
const lanes = 4;
const batchJobs = 20;
/** Answers between two kills: at random within these, so that calls are at every point of their way. */
const answersMin = 10;
const answersMax = 120;
const testMsMax = 120_000 + killCount * 20_000;
/** So long that none falls due: a job that comes twice was doubled, not delivered again. */
const leaseMs = 24 * 3_600_000;

const directory = temporaryDirectory();
const socket = `unix:${join(directory, "rpc.sock")}`;
let server: ServerProcess | undefined;

after(async () => {
  await server?.dispose();
  rmSync(directory, { recursive: true, force: true });
});

async function start(name: string): Promise<void> {
  server = new ServerProcess({ dataDir: join(directory, name), flags: ["--rpc-listen", socket] });
  await server.ready();
}

async function kill(): Promise<void> {
  server?.kill("SIGKILL");
  await server?.exited;
}

/** The same numbers in each run. */
function randomNumbers(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return (state >>> 8) % below;
  };
}

/** Kills and starts the server as answers come, until it was done often enough. */
class Killer {
  readonly done: Promise<void>;
  kills = 0;
  private answersLeft: number;
  private readonly random = randomNumbers(4_711);
  private resolve: () => void = () => {};
  private reject: (error: unknown) => void = () => {};
  private isBusy = false;

  constructor() {
    this.answersLeft = this.next();
    this.done = new Promise((resolve, reject) => {
      this.resolve = resolve;
      this.reject = reject;
    });
  }

  answered(): void {
    if (this.isBusy || this.kills === killCount) return;
    this.answersLeft--;
    if (this.answersLeft > 0) return;
    this.isBusy = true;
    this.replace().catch(this.reject);
  }

  private async replace(): Promise<void> {
    await kill();
    await start("data");
    this.kills++;
    this.answersLeft = this.next();
    this.isBusy = false;
    if (this.kills === killCount) this.resolve();
  }

  private next(): number {
    return answersMin + this.random(answersMax - answersMin);
  }
}

function numbersOf(grant: Grant | null): number[] {
  return grant === null ? [] : grant.jobs.map((job) => Number(Buffer.from(job.payload).toString()));
}

describe("a server that is killed while a client works", { timeout: testMsMax }, () => {
  it(`${killCount} times: every job goes its whole way exactly once, and no call fails`, async () => {
    await start("data");
    const client = new CapstanClient({ addresses: [socket], requestTimeoutMs: testMsMax, backoff: { maxMs: 50 } });
    const killer = new Killer();
    let enqueued = 0;
    let isProducing = true;
    killer.done.then(
      () => {
        isProducing = false;
      },
      () => {
        isProducing = false;
      },
    );
    const produce = async () => {
      const ids: string[] = [];
      while (isProducing) {
        const first = enqueued;
        enqueued += batchJobs;
        const jobs = Array.from({ length: batchJobs }, (_, at) => ({ payload: String(first + at) }));
        ids.push(...(await client.enqueueMany("first", jobs)));
        killer.answered();
      }
      return ids;
    };
    const moved: number[] = [];
    let producers = lanes;
    /** One step: what was fetched goes on to the next queue and more is fetched, in one commit. */
    const move = async () => {
      let held: Grant | null = null;
      for (;;) {
        const carried: readonly NewJob[] = held === null ? [] : held.jobs.map(({ payload }) => ({ payload }));
        const wasDone: boolean = producers === 0;
        const result = await client.exchange({
          requireAcks: true,
          ...(held === null
            ? {}
            : {
                acks: [{ lease: held.lease, ids: "all" as const }],
                enqueues: [{ queue: "second", jobs: carried }],
              }),
          fetch: { queues: "first", jobsMax: batchJobs, leaseMs, waitMs: held === null && !wasDone ? 200 : 0 },
        });
        if (held !== null) assert.equal(result.acks[0]?.accepted, held.jobs.length);
        moved.push(...numbersOf(held));
        killer.answered();
        held = result.fetch?.grant ?? null;
        for (const job of held?.jobs ?? []) assert.equal(job.attempt, 1, `job ${job.id} was delivered before`);
        if (held === null && wasDone) return;
      }
    };
    const producing = Array.from({ length: lanes }, () =>
      produce().finally(() => {
        producers--;
      }),
    );
    const moving = Array.from({ length: lanes }, move);
    await killer.done;
    const ids = (await Promise.all(producing)).flat();
    await Promise.all(moving);

    assert.equal(killer.kills, killCount);
    assert.equal(new Set(ids).size, enqueued, "an id was given twice");
    const arrived: number[] = [];
    for (;;) {
      const grant = await client.fetch("second", { jobsMax: 1_024, leaseMs });
      if (grant === null) break;
      arrived.push(...numbersOf(grant));
      await client.ack(grant.lease, "all");
    }
    const all = Array.from({ length: enqueued }, (_, number) => number);
    const inOrder = (numbers: readonly number[]) => [...numbers].sort((a, b) => a - b);
    assert.deepEqual(inOrder(moved), all, "what was handed on");
    assert.deepEqual(inOrder(arrived), all, "what arrived");
    for (const queue of ["first", "second"]) {
      const info = await client.getQueue(queue);
      assert.deepEqual(
        [info.ready, info.leased, info.dead, info.expiredTotal, info.enqueuedTotal, info.ackedTotal],
        [0, 0, 0, 0, enqueued, enqueued],
        queue,
      );
    }
    await client.close();
    await server?.stop();
  });

  it("another cluster at the address is refused, with both ids in the message", async () => {
    await start("data");
    const first = new CapstanClient({ addresses: [socket] });
    const { clusterId } = await first.serverInfo();
    await kill();
    await start("other");
    const fresh = new CapstanClient({ addresses: [socket] });
    const other = (await fresh.serverInfo()).clusterId;
    assert.notEqual(other, clusterId);
    // The one that was there before, without being told; and one that is told.
    for (const client of [first, new CapstanClient({ addresses: [socket], clusterId })]) {
      const error = await rejection(client.enqueue("q", { payload: "x" }, { timeoutMs: 10_000 }));
      assert.equal(error.code, "wrongCluster");
      assert.ok(error.message.includes(clusterId) && error.message.includes(other), error.message);
      await client.close();
    }
    assert.equal((await fresh.listQueues()).queues.length, 0, "nothing came to the other cluster");
    await fresh.close();
    await server?.stop();
  });
});
