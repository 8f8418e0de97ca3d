// Jobs of every kind in one server, each with a payload that follows from its number: made by a client, and later looked
// for again, one by one. Owns the memory of what was acknowledged; never a server. Called by the fault tests.

import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import type { CapstanClient, JobInfo, NewJob } from "../../src/client/index.js";

export type Kind = "ready" | "leased" | "scheduled" | "dead";

interface Kept {
  readonly queue: string;
  readonly kind: Kind;
  readonly number: number;
}

export interface JobSetSize {
  readonly ready: number;
  readonly leased: number;
  readonly scheduled: number;
  readonly dead: number;
  /** Enqueued, fetched and acked: they must not come back. */
  readonly acked: number;
  readonly payloadBytesMax: number;
}

const pageJobs = 250;
const batchJobs = 250;
const leaseMs = 24 * 3600 * 1000;

export class JobSet {
  private readonly kept = new Map<string, Kept>();
  private readonly leases: string[] = [];
  private made = 0;

  constructor(private readonly size: JobSetSize) {}

  get count(): number {
    return this.kept.size;
  }

  /** Every job is acknowledged when it returns. */
  async fill(client: CapstanClient): Promise<void> {
    const { size } = this;
    await client.setQueue("dead", { maxAttempts: 1 });
    // What is acked goes in between, so that its removal lies in other files than its coming.
    await this.enqueue(client, "ready", "ready", Math.floor(size.ready / 2));
    await this.enqueue(client, "acked", undefined, size.acked);
    await this.enqueue(client, "leased", "leased", size.leased);
    await this.enqueue(client, "dead", "dead", size.dead);
    await this.enqueue(client, "scheduled", "scheduled", size.scheduled, { delayMs: 10 * leaseMs });
    await this.fetchAll(client, "acked", async (lease, ids) => {
      assert.equal((await client.ack(lease, ids)).accepted, ids.length);
    });
    await this.fetchAll(client, "leased", async (lease) => {
      this.leases.push(lease);
    });
    await this.fetchAll(client, "dead", async (lease, ids) => {
      const failed = ids.map((id) => ({ id, reason: "does not work" }));
      assert.equal((await client.fail(lease, failed)).accepted, ids.length);
    });
    await this.enqueue(client, "ready", "ready", size.ready - Math.floor(size.ready / 2));
  }

  /** Reads every job, then fetches and settles all of them. Fails where one is missing, too many, changed, or elsewhere. */
  async check(client: CapstanClient): Promise<void> {
    const found = new Set<string>();
    await this.checkPages("ready", found, (after) => client.peek("ready", page(after)));
    await this.checkPages("scheduled", found, (after) =>
      client.peek("scheduled", { ...page(after), state: "scheduled" }),
    );
    await this.checkPages("dead", found, (after) => client.listDead("dead", page(after)));
    for (const [id, job] of this.kept) {
      if (job.kind !== "leased") continue;
      this.checkOne(await client.getJob(id, { payloadBytesMax: 1 << 20 }), "leased", found);
    }
    this.checkAllFound(found);
    const info = await client.getQueue("acked");
    assert.deepEqual([info.ready, info.leased, info.ackedTotal], [0, 0, this.size.acked], "what was acked stays gone");
    await this.takeAll(client);
  }

  private async takeAll(client: CapstanClient): Promise<void> {
    let settled = 0;
    for (const lease of this.leases) settled += (await client.ack(lease, "all")).accepted;
    assert.equal(settled, this.size.leased, "the leases hold through the restart");
    const redriven = await client.redriveDead("dead", { all: true });
    await this.finished(client, redriven);
    const scheduled = [...this.kept].filter(([, job]) => job.kind === "scheduled").map(([id]) => id);
    assert.equal((await client.deleteJobs(scheduled)).accepted, scheduled.length);
    for (const queue of ["ready", "dead"] as const) {
      let taken = 0;
      await this.fetchAll(client, queue, async (lease, ids) => {
        assert.equal((await client.ack(lease, ids)).accepted, ids.length);
        taken += ids.length;
      });
      assert.equal(taken, this.size[queue], `every job of ${queue} was fetched`);
    }
  }

  private async finished(client: CapstanClient, state: { operation: bigint; finished: boolean }): Promise<void> {
    let { finished } = state;
    while (!finished) finished = (await client.getOperation(state.operation)).finished;
  }

  private async enqueue(
    client: CapstanClient,
    queue: string,
    kind: Kind | undefined,
    count: number,
    more: Partial<NewJob> = {},
  ): Promise<void> {
    for (let done = 0; done < count; ) {
      const first = this.made;
      const jobs = Array.from({ length: Math.min(batchJobs, count - done) }, (_, at) => ({
        payload: payloadOf(first + at, this.size.payloadBytesMax),
        priority: (first + at) % 3,
        group: (first + at) % 5 === 0 ? `group ${(first + at) % 7}` : undefined,
        headers: { number: String(first + at) },
        ...more,
      }));
      const ids = await client.enqueueMany(queue, jobs);
      ids.forEach((id, at) => {
        if (kind !== undefined) this.kept.set(id, { queue, kind, number: first + at });
      });
      this.made += jobs.length;
      done += jobs.length;
    }
  }

  private async fetchAll(
    client: CapstanClient,
    queue: string,
    each: (lease: string, ids: string[]) => Promise<void>,
  ): Promise<void> {
    for (;;) {
      const grant = await client.fetch(queue, { jobsMax: batchJobs, leaseMs });
      if (grant === null) return;
      for (const job of grant.jobs) this.checkPayload(Number(text(job.headers["number"])), job.payload);
      await each(
        grant.lease,
        grant.jobs.map((job) => job.id),
      );
    }
  }

  private async checkPages(
    kind: Kind,
    found: Set<string>,
    read: (after: string | undefined) => Promise<{ jobs: readonly JobInfo[]; next: string }>,
  ): Promise<void> {
    let after: string | undefined;
    do {
      const { jobs, next } = await read(after);
      for (const job of jobs) this.checkOne(job, kind, found);
      after = next;
    } while (after !== "");
  }

  private checkOne(job: JobInfo, kind: Kind, found: Set<string>): void {
    const known = this.kept.get(job.id);
    assert.ok(known !== undefined, `a job that was never enqueued: ${job.id} in ${job.queue}`);
    assert.ok(!found.has(job.id), `job ${job.id} is there twice`);
    assert.deepEqual([job.state, job.queue], [kind, known.queue], `job ${job.id}`);
    assert.equal(known.kind, kind, `job ${job.id}`);
    this.checkPayload(known.number, job.payload);
    found.add(job.id);
  }

  private checkPayload(number: number, payload: Uint8Array): void {
    const expected = payloadOf(number, this.size.payloadBytesMax);
    assert.ok(expected.equals(payload), `the payload of job ${number} differs`);
  }

  private checkAllFound(found: ReadonlySet<string>): void {
    const missing = [...this.kept].filter(([id]) => !found.has(id));
    const some = missing.slice(0, 3).map(([id, { queue }]) => `${id} of ${queue}`);
    assert.equal(missing.length, 0, `${missing.length} acknowledged jobs are missing: ${some.join(", ")}`);
  }
}

/** Looks random, so that no two places of a file are alike, and is the same for the same number. */
export function payloadOf(number: number, bytesMax: number): Buffer {
  const seed = createHash("sha256").update(String(number)).digest();
  const payload = Buffer.alloc(Math.max(1, bytesMax - (number % 64)));
  for (let at = 0; at < payload.length; at += seed.length) seed.copy(payload, at);
  payload.writeUInt32LE(number);
  return payload;
}

function page(after: string | undefined): { limit: number; payloadBytesMax: number; after: string | undefined } {
  return { limit: pageJobs, payloadBytesMax: 1 << 20, after };
}

function text(bytes: Uint8Array | undefined): string {
  return bytes === undefined ? "" : Buffer.from(bytes).toString();
}
