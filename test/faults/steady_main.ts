// A client that behaves, in a process of its own, so that what it measures is the server: it enqueues, fetches and acks one
// job after another until it is told to stop. Owns its client. Started by steady_client.ts; it tells its parent after each
// job, and ends with what it met.

import assert from "node:assert/strict";
import { CapstanClient } from "../../src/client/index.js";

export interface SteadyReport {
  readonly jobs: number;
  readonly worstMs: number;
  /** What ended it. */
  readonly error?: string;
}

const [address = "", queue = ""] = process.argv.slice(2);
const client = new CapstanClient({ addresses: [address], retryBusy: false, requestTimeoutMs: 20_000 });
let isStopping = false;
let jobs = 0;
let worstMs = 0;

async function oneJob(): Promise<void> {
  const payload = `job ${jobs}`;
  const startMs = performance.now();
  const id = await client.enqueue(queue, { payload });
  const grant = await client.fetch(queue, { waitMs: 10_000 });
  assert.deepEqual(
    grant?.jobs.map((job) => [job.id, Buffer.from(job.payload).toString()]),
    [[id, payload]],
  );
  assert.equal((await client.ack(grant?.lease ?? "", "all")).accepted, 1);
  worstMs = Math.max(worstMs, Math.round(performance.now() - startMs));
  jobs++;
}

function tell(report: SteadyReport): void {
  if (process.connected) process.send?.(report);
}

process.on("message", () => {
  isStopping = true;
});
process.on("disconnect", () => process.exit(0));
try {
  while (!isStopping) {
    await oneJob();
    tell({ jobs, worstMs });
  }
  await client.close();
} catch (error) {
  tell({ jobs, worstMs, error: String(error) });
}
process.disconnect();
