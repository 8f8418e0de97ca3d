// What clients of small jobs feel while one sends payloads of 16 MiB: the time from an enqueue to a parked worker that
// has the job, alone and beside it. Owns the server and both clients; prints one JSON object, and ends non-zero when
// twice the budget of that time (4 ms in the middle, 12 ms at 99 %) is not kept. Called by `npm run fault:large`.

import { setTimeout as pause } from "node:timers/promises";
import { isMainThread, Worker, workerData } from "node:worker_threads";

import { CapstanClient } from "../../src/client/index.js";
import { KiB, MiB } from "../../src/units.js";
import { ServerProcess } from "../support/server_process.js";

const largeBytes = 16 * MiB - 64 * KiB;
const seconds = Number(process.env["CAPSTAN_TEST_SECONDS"] ?? 10);
const everyMs = 10;
const p50MsMax = 4;
const p99MsMax = 12;

interface Latency {
  count: number;
  p50Ms: number;
  p99Ms: number;
  maxMs: number;
}

async function measure(address: string): Promise<Latency> {
  const producer = new CapstanClient({ addresses: [address] });
  const worker = new CapstanClient({ addresses: [address] });
  const sentMs: number[] = [];
  const tookMs: number[] = [];
  const untilMs = performance.now() + seconds * 1000;
  const taking = (async () => {
    for (;;) {
      const grant = await worker.fetch("beside-large", { waitMs: 2000 });
      if (grant === null) return;
      for (const job of grant.jobs) {
        tookMs.push(performance.now() - (sentMs[Number(Buffer.from(job.payload).toString())] ?? Number.NaN));
      }
      await worker.ack(grant.lease, "all");
    }
  })();
  while (performance.now() < untilMs) {
    sentMs.push(performance.now());
    await producer.enqueue("beside-large", { payload: String(sentMs.length - 1) });
    await pause(everyMs);
  }
  await taking;
  await Promise.all([producer.close(), worker.close()]);
  tookMs.sort((one, other) => one - other);
  const at = (share: number): number => Math.round((tookMs[Math.floor(tookMs.length * share)] ?? 0) * 10) / 10;
  return { count: tookMs.length, p50Ms: at(0.5), p99Ms: at(0.99), maxMs: at(0.999999) };
}

/** In a thread of its own, since making such a request takes a while too. Ends with its thread. */
async function sendLarge(address: string): Promise<never> {
  const client = new CapstanClient({ addresses: [address], requestTimeoutMs: 60_000 });
  const payload = Buffer.alloc(largeBytes, 7);
  for (;;) {
    await client.enqueue("large", { payload });
    const grant = await client.fetch("large", { bytesMax: 16 * MiB });
    if (grant !== null) await client.ack(grant.lease, "all");
  }
}

async function main(): Promise<void> {
  const server = new ServerProcess({ flags: ["--payload-bytes-max", String(largeBytes)] });
  try {
    const address = await server.ready();
    const alone = await measure(address);
    const thread = new Worker(new URL(import.meta.url), { workerData: { largeAddress: address } });
    await pause(1000);
    const beside = await measure(address);
    await thread.terminate();
    const isWithin = beside.p50Ms <= p50MsMax && beside.p99Ms <= p99MsMax;
    process.stdout.write(`${JSON.stringify({ largeBytes, alone, beside, p50MsMax, p99MsMax, isWithin })}\n`);
    if (!isWithin) process.exitCode = 1;
  } finally {
    await server.dispose();
  }
}

await (isMainThread ? main() : sendLarge(workerData.largeAddress as string));
