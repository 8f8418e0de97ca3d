// The load that asks for more memory than a server has: clients that ask and never read, clients with large requests,
// and beside them one that only wants to be served. Owns its clients and counts what they were answered; never the
// server. Used by test/e2e/memory_budget.test.ts and by test/faults/memory_long.ts.

import assert from "node:assert/strict";
import net from "node:net";
import { setTimeout as pause } from "node:timers/promises";
import { isMainThread, parentPort, Worker, workerData } from "node:worker_threads";

import { CapstanClient, CapstanError } from "../../src/client/index.js";
import { MiB } from "../../src/units.js";
import { memoryOf } from "./process_memory.js";

/** What docs/limits.md states: how far the peak may lie above memoryBytesMax, whatever clients do. */
export const outsideBytesMax = 96 * MiB;

export interface MemoryLoad {
  address: string;
  pid: number;
  /** Small jobs that lie in a queue all the while. */
  backlogJobs: number;
  /** Clients that ask for megabytes and read nothing. */
  deafClients: number;
  /** Clients that send requests of 12 MiB, and half as many that fetch what was sent. */
  largeClients: number;
  seconds: number;
  progress?: (line: string) => void;
}

export interface MemoryOutcome {
  peakBytes: number;
  residentBytes: number;
  /** Jobs of large requests that were answered with ok, and those that were fetched and acknowledged. */
  largeEnqueued: number;
  largeAcked: number;
  /** Codes of refusals to how often. */
  refused: Record<string, number>;
  /** Rounds of enqueue, fetch and ack of the client beside, and the longest of them. */
  served: number;
  slowestMs: number;
}

/** The machine may be as short of time as the server is of memory. */
const patience = { connectTimeoutMs: 60_000, requestTimeoutMs: 60_000 };

const extraMsMax = 60_000;

const largePayloadBytes = 900_000;
const largeJobs = 14;
const peekQueue = "memory-peek";
const largeQueue = "memory-large";
const smallQueue = "memory-backlog";

export async function runMemoryLoad(load: MemoryLoad): Promise<MemoryOutcome> {
  const client = new CapstanClient({ addresses: [load.address], ...patience });
  await enqueueBacklog(client, load);
  const deaf = await DeafClients.start(load);
  const outcome: Counts = { largeEnqueued: 0, largeAcked: 0, refused: {}, served: 0, slowestMs: 0 };
  const untilMs = performance.now() + load.seconds * 1000;
  // On a machine that others use, longer: until everybody has had a turn.
  const goesOn = (): boolean => {
    const isSeen = (outcome.refused["busy"] ?? 0) > 0 && outcome.largeAcked > 0 && outcome.served > 0;
    return performance.now() < untilMs + (isSeen ? 0 : extraMsMax);
  };
  const loads = [
    ...Array.from({ length: load.largeClients }, () => sendLarge(load, goesOn, outcome)),
    ...Array.from({ length: Math.ceil(load.largeClients / 2) }, () => fetchLarge(load, goesOn, outcome)),
    report(load, goesOn, outcome),
  ];
  await Promise.all([serveBeside(load, Promise.all(loads), outcome), ...loads]);
  await deaf.close();
  await client.close();
  return { ...outcome, ...memoryOf(load.pid) };
}

type Counts = Omit<MemoryOutcome, "peakBytes" | "residentBytes">;

async function enqueueBacklog(client: CapstanClient, load: MemoryLoad): Promise<void> {
  // What the deaf ones ask for.
  for (let batch = 0; batch < 20; batch++) {
    await client.enqueueMany(
      peekQueue,
      Array.from({ length: 16 }, () => ({ payload: Buffer.alloc(200_000, batch) })),
    );
  }
  let sent = 0;
  await Promise.all(
    Array.from({ length: 8 }, async () => {
      while (sent < load.backlogJobs) {
        const count = Math.min(2000, load.backlogJobs - sent);
        sent += count;
        const payload = Buffer.alloc(256, sent);
        await client.enqueueMany(
          smallQueue,
          Array.from({ length: count }, () => ({ payload })),
        );
        if (sent % 500_000 === 0) load.progress?.(`${sent} jobs enqueued, ${shown(load.pid)}`);
      }
    }),
  );
}

/** Clients behind a pipe that is shut once they are connected. */
class DeafClients {
  private readonly clients: CapstanClient[] = [];
  private readonly upstreams: net.Socket[] = [];
  private readonly pipe: net.Server;
  private isShut = false;

  private constructor(address: string) {
    const at = address.lastIndexOf(":");
    const [host, port] = [address.slice(0, at), Number(address.slice(at + 1))];
    this.pipe = net.createServer((client) => {
      const upstream = net.connect(port, host);
      this.upstreams.push(upstream);
      client.on("data", (bytes) => upstream.write(bytes));
      upstream.on("data", (bytes) => {
        client.write(bytes);
        if (this.isShut) upstream.pause();
      });
      for (const socket of [client, upstream]) {
        socket.on("error", () => {});
        socket.on("close", () => {
          client.destroy();
          upstream.destroy();
        });
      }
    });
  }

  static async start(load: MemoryLoad): Promise<DeafClients> {
    const deaf = new DeafClients(load.address);
    await new Promise<void>((resolve) => deaf.pipe.listen(0, "127.0.0.1", resolve));
    const { port } = deaf.pipe.address() as net.AddressInfo;
    for (let at = 0; at < load.deafClients; at++) {
      const options = { addresses: [`127.0.0.1:${port}`], session: false, ...patience, requestTimeoutMs: 600_000 };
      deaf.clients.push(new CapstanClient(options));
    }
    await Promise.all(deaf.clients.map((client) => client.connect()));
    deaf.isShut = true;
    for (const upstream of deaf.upstreams) upstream.pause();
    for (const client of deaf.clients) {
      // None of them is ever answered: they end when their connections are closed.
      for (let call = 0; call < 8; call++) {
        client.peek(peekQueue, { limit: 100, payloadBytesMax: 1 << 20 }).catch(() => {});
      }
      client.fetch(smallQueue, { jobsMax: 100, leaseMs: 600_000 }).catch(() => {});
    }
    return deaf;
  }

  async close(): Promise<void> {
    for (const upstream of this.upstreams) upstream.destroy();
    await Promise.all(this.clients.map((client) => client.close().catch(() => {})));
    await new Promise<void>((resolve) => this.pipe.close(() => resolve()));
  }
}

async function sendLarge(load: MemoryLoad, goesOn: () => boolean, counts: Counts): Promise<void> {
  const client = new CapstanClient({ addresses: [load.address], ...patience });
  const payload = Buffer.alloc(largePayloadBytes, 5);
  const jobs = Array.from({ length: largeJobs }, () => ({ payload }));
  while (goesOn()) {
    await refusable(counts, async () => {
      await client.enqueueMany(largeQueue, jobs, { retryBusy: false });
      counts.largeEnqueued += largeJobs;
    });
  }
  await client.close();
}

async function fetchLarge(load: MemoryLoad, goesOn: () => boolean, counts: Counts): Promise<void> {
  const client = new CapstanClient({ addresses: [load.address], ...patience });
  while (goesOn()) {
    await refusable(counts, async () => {
      const grant = await client.fetch(largeQueue, { jobsMax: 16, bytesMax: 16 * MiB, waitMs: 500 });
      if (grant === null) return;
      await client.ack(grant.lease, "all");
      counts.largeAcked += grant.jobs.length;
    });
  }
  await client.close();
}

async function refusable(counts: Counts, call: () => Promise<void>): Promise<void> {
  try {
    await call();
  } catch (error) {
    if (!(error instanceof CapstanError)) throw error;
    counts.refused[error.code] = (counts.refused[error.code] ?? 0) + 1;
    await pause(error.retryAfterMs || 50);
  }
}

interface Beside {
  served: number;
  slowestMs: number;
}

/** In a thread of its own: this one is busy with requests of megabytes. */
async function serveBeside(load: MemoryLoad, others: Promise<unknown>, counts: Counts): Promise<void> {
  const thread = new Worker(new URL(import.meta.url), { workerData: { besideAddress: load.address } });
  const stop = (): void => thread.postMessage("stop");
  others.then(stop, stop);
  await new Promise<void>((resolve, reject) => {
    thread.on("message", (beside: Beside) => Object.assign(counts, beside));
    thread.on("error", reject);
    thread.on("exit", () => resolve());
  });
}

if (!isMainThread && workerData?.besideAddress !== undefined) {
  const client = new CapstanClient({ addresses: [workerData.besideAddress], ...patience });
  let isStopped = false;
  parentPort?.once("message", () => {
    isStopped = true;
  });
  const beside: Beside = { served: 0, slowestMs: 0 };
  while (!isStopped) {
    const startMs = performance.now();
    await client.enqueue("memory-beside", { payload: "beside" });
    const grant = await client.fetch("memory-beside", { waitMs: 10_000 });
    assert.ok(grant !== null, "the job that was enqueued is fetched");
    await client.ack(grant.lease, "all");
    beside.served++;
    beside.slowestMs = Math.max(beside.slowestMs, performance.now() - startMs);
    parentPort?.postMessage(beside);
    await pause(20);
  }
  await client.close();
}

async function report(load: MemoryLoad, goesOn: () => boolean, counts: Counts): Promise<void> {
  if (load.progress === undefined) return;
  while (goesOn()) {
    await pause(5000);
    load.progress(
      `${shown(load.pid)}, large jobs ${counts.largeEnqueued} in and ${counts.largeAcked} out, ` +
        `refused ${JSON.stringify(counts.refused)}, served ${counts.served}, slowest ${Math.round(counts.slowestMs)} ms`,
    );
  }
}

function shown(pid: number): string {
  const { peakBytes, residentBytes } = memoryOf(pid);
  return `peak ${Math.round(peakBytes / MiB)} MiB, now ${Math.round(residentBytes / MiB)} MiB`;
}
