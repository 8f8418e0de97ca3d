// Producers and workers that use everything a worker's life has (delays, groups, priorities, partial acks, fails,
// releases, extensions, leases left to fall due) and note it all in a history, whatever becomes of the server under
// them. Owns its clients, never the server. `drain` ends a history: every job that is left is fetched and acked.

import assert from "node:assert/strict";
import { setTimeout as pause } from "node:timers/promises";
import { CapstanClient, CapstanError, type Grant, type NewJob } from "../../src/client/index.js";
import { type DeliveredJob, type History, type HistoryOperation, Recorder } from "./history.js";
import { SeededRandom } from "./seeded_random.js";

export interface LoadOptions {
  readonly address: string;
  readonly seed: number;
  readonly producers: number;
  readonly workers: number;
  /** Producers wait while so many jobs are neither acked nor lost. */
  readonly backlogMax?: number;
  readonly payloadBytesMax?: number;
  /** Of one call, its retries over restarts included. */
  readonly requestTimeoutMs?: number;
}

export const loadQueues = ["orders", "letters", "fragile"] as const;
const attemptsOfFragile = 3;
const callsOfProducer = 2;
/** What becomes of one grant after another; the others are acked. */
const fates: readonly string[] = Array.from({ length: 24 }, (_, at) => {
  return { 2: "fallDue", 5: "release", 8: "fail", 11: "extend", 14: "release", 17: "fail", 20: "extend" }[at] ?? "ack";
});
const drainMsMax = 120_000;

export class HistoryLoad {
  readonly recorder = new Recorder();
  private readonly options: LoadOptions;
  private readonly clients: CapstanClient[] = [];
  private readonly loops: Promise<void>[] = [];
  private isStopping = false;
  private sentCount = 0;
  private endedCount = 0;
  private keys = 0;

  constructor(options: LoadOptions) {
    this.options = options;
  }

  async start(): Promise<void> {
    const client = this.client();
    for (const queue of loadQueues) await client.setQueue(queue, { backoffBaseMs: 20, backoffMaxMs: 200 });
    for (let at = 0; at < this.options.producers; at++) {
      // One without a session: its lost answers stay unknown, where the others ask again.
      const producer = this.client(at > 0);
      const name = `producer ${at}`;
      for (let lane = 0; lane < callsOfProducer; lane++) this.loops.push(this.produce(producer, name, at * 100 + lane));
    }
    for (let at = 0; at < this.options.workers; at++) this.loops.push(this.work(this.client(), `worker ${at}`, at));
  }

  /** Jobs answered ok so far. */
  get sent(): number {
    return this.sentCount;
  }

  /** Jobs acked so far. */
  get ended(): number {
    return this.endedCount;
  }

  /** Ends the loops; calls under way are finished first. */
  async stop(): Promise<void> {
    this.isStopping = true;
    await Promise.all(this.loops);
    await Promise.all(this.clients.map((client) => client.close()));
  }

  /** Ends the loops at once, whatever becomes of their calls. */
  async abandon(): Promise<void> {
    this.isStopping = true;
    await Promise.all(this.clients.map((client) => client.close({ timeoutMs: 0 })));
    await Promise.allSettled(this.loops);
  }

  /** Fetches and acks what is left, until nothing is; the whole history. */
  async drain(): Promise<History> {
    const client = this.client();
    const giveUpMs = performance.now() + drainMsMax;
    for (const queue of loadQueues) {
      while (true) {
        const grant = await this.fetch(client, "drain", queue, 1000, 5000, 100);
        if (grant) await this.settle(client, "drain", "ack", grant.lease, idsOf(grant));
        const { ready, leased, scheduled } = await client.getQueue(queue).catch(lost);
        if (ready + leased + scheduled === 0) break;
        assert.ok(performance.now() < giveUpMs, `${queue} is never empty: ${ready}, ${leased}, ${scheduled}`);
      }
    }
    const dead: string[] = [];
    for (const queue of loadQueues) {
      let after = "";
      do {
        const page = await client
          .listDead(queue, { limit: 1000, payloadBytesMax: 64, ...(after && { after }) })
          .catch(lost);
        dead.push(...page.jobs.map((job) => keyOf(job.payload)));
        after = page.next;
      } while (after !== "");
    }
    await client.close();
    return { operations: this.recorder.operations, dead };
  }

  private client(session = true): CapstanClient {
    const client = new CapstanClient({
      addresses: [this.options.address],
      session,
      requestTimeoutMs: this.options.requestTimeoutMs ?? 60_000,
      connectTimeoutMs: 2000,
      backoff: { baseMs: 5, maxMs: 50 },
    });
    this.clients.push(client);
    return client;
  }

  private async produce(client: CapstanClient, name: string, number: number): Promise<void> {
    const random = new SeededRandom(this.options.seed * 1000 + number);
    while (!this.isStopping) {
      if (this.sentCount - this.endedCount > (this.options.backlogMax ?? 3000)) {
        await pause(5);
        continue;
      }
      const queue = loadQueues[random.between(0, 2)] as string;
      const priority = random.chance(0.2) ? 9 : 0;
      const group = random.chance(0.3) ? `group ${random.between(0, 3)}` : "";
      const delayMs = random.chance(0.1) ? random.between(20, 300) : undefined;
      const keys = Array.from({ length: random.between(1, 8) }, () => `${name} ${++this.keys}`);
      const jobs = keys.map((key): NewJob => {
        const filler = "x".repeat(random.between(0, this.options.payloadBytesMax ?? 1000));
        const maxAttempts = queue === "fragile" ? attemptsOfFragile : "unlimited";
        return { payload: `${key}|${filler}`, priority, group: group || undefined, delayMs, maxAttempts };
      });
      const ids = await this.recorder.record(
        () => client.enqueueMany(queue, jobs),
        (value) => {
          const common = { kind: "enqueue" as const, client: name, queue, priority, group, keys };
          return { ...common, isReady: delayMs === undefined, ids: value ?? [] };
        },
      );
      if (ids !== undefined) this.sentCount += ids.length;
    }
  }

  private async work(client: CapstanClient, name: string, number: number): Promise<void> {
    const random = new SeededRandom(this.options.seed * 1000 + 500 + number);
    for (let turn = number * 6; !this.isStopping; ) {
      const queue = loadQueues[random.between(0, 2)] as string;
      const grant = await this.fetch(client, name, queue, random.between(1, 32), random.between(500, 1500), 100);
      if (!grant) continue;
      const ids = idsOf(grant);
      const settle = (kind: "ack" | "fail" | "release", some: readonly string[]) =>
        some.length === 0 ? undefined : this.settle(client, name, kind, grant.lease, some);
      // In turn, so that a short run has them all.
      const fate = fates[turn++ % fates.length];
      if (fate === "fallDue") continue;
      if (fate === "release") {
        await settle("release", ids);
      } else if (fate === "fail") {
        const middle = random.between(0, ids.length);
        await settle("fail", ids.slice(middle));
        await settle("ack", ids.slice(0, middle));
      } else {
        if (fate === "extend") await this.extend(client, name, grant.lease, random.between(500, 2000));
        await settle("ack", ids);
      }
    }
  }

  private async fetch(
    client: CapstanClient,
    name: string,
    queue: string,
    jobsMax: number,
    leaseMs: number,
    waitMs: number,
  ) {
    return this.recorder.record(
      () => client.fetch(queue, { jobsMax, leaseMs, waitMs }),
      (grant) => ({
        ...{ kind: "fetch", client: name, queue, leaseMs },
        ...{ lease: grant?.lease ?? "", token: grant?.token ?? 0n },
        jobs: (grant?.jobs ?? []).map(
          (job): DeliveredJob => ({ id: job.id, key: keyOf(job.payload), attempt: job.attempt }),
        ),
      }),
    );
  }

  private async settle(
    client: CapstanClient,
    name: string,
    kind: "ack" | "fail" | "release",
    lease: string,
    ids: readonly string[],
  ): Promise<void> {
    await this.recorder.record(
      async () => {
        if (kind === "ack") return client.ack(lease, ids);
        if (kind === "release") return client.release(lease, ids);
        return client.fail(
          lease,
          ids.map((id) => ({ id, reason: "as planned" })),
        );
      },
      (settled) => {
        const refused = new Set(settled?.refused.map(({ index }) => index));
        const accepted = settled === undefined ? [] : ids.filter((_, at) => !refused.has(at));
        if (kind === "ack") this.endedCount += accepted.length;
        return { kind, client: name, lease, ids, accepted };
      },
    );
  }

  private async extend(client: CapstanClient, name: string, lease: string, leaseMs: number): Promise<void> {
    await this.recorder.record(
      () => client.extend(lease, leaseMs),
      () => ({ kind: "extend", client: name, lease, leaseMs }),
    );
  }
}

/** For a sound reading of a report: how many operations of each kind and outcome there were. */
export function countKinds(operations: readonly HistoryOperation[]): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const { kind, outcome } of operations) counts[`${kind} ${outcome}`] = (counts[`${kind} ${outcome}`] ?? 0) + 1;
  return counts;
}

/** Without durability even a queue may be gone. That its jobs are is the judge's to say. */
function lost(error: unknown) {
  if (!(error instanceof CapstanError) || error.code !== "notFound") throw error;
  return { ready: 0, leased: 0, scheduled: 0, jobs: [], next: "" };
}

function idsOf(grant: Grant): string[] {
  return grant.jobs.map((job) => job.id);
}

function keyOf(payload: Uint8Array): string {
  const text = Buffer.from(payload.buffer, payload.byteOffset, Math.min(payload.length, 64)).toString("latin1");
  return text.slice(0, text.indexOf("|"));
}
