// The wall clock of a real server jumps a year ahead, then two years back, while it runs and before a restart: leases,
// delays and waiting fetches keep their durations, instants follow the wall clock, ids go on growing, nothing stops.
// All durations are measured by this process, whose clock nobody touches.

import assert from "node:assert/strict";
import { mkdirSync, realpathSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { CapstanClient } from "../../src/client/index.js";
import { preloadLibrary } from "../support/preload.js";
import { ServerProcess, temporaryDirectory } from "../support/server_process.js";

const yearMs = 365 * 24 * 3600 * 1000;
const leaseMs = 1000;
const delayMs = 700;
/** Longer than the whole test. */
const heldMs = 3_600_000;
/** How late something due may come on a busy machine; a wrong clock is off by a year. */
const lateMsMax = 20_000;
/** The stopwatch counts whole milliseconds. */
const roundingMs = 2;

const directory = realpathSync(temporaryDirectory());
const clockFile = join(directory, "clock");
let offsetMs = 0;
let server: ServerProcess | undefined;
let client: CapstanClient;
let lastId = "";

before(async () => {
  mkdirSync(join(directory, "data"));
  jumpTo(0);
  await start();
});

after(async () => {
  await client?.close({ timeoutMs: 0 });
  await server?.dispose();
  rmSync(directory, { recursive: true, force: true });
});

/** The server's wall clock is the real one plus this, from now on. */
function jumpTo(ms: number): void {
  offsetMs = ms;
  const bytes = Buffer.alloc(8);
  bytes.writeBigInt64LE(BigInt(ms) * 1_000_000n);
  // In place, for it is mapped.
  writeFileSync(clockFile, bytes, { flag: server === undefined ? "w" : "r+" });
}

async function start(more: Readonly<Record<string, string>> = {}): Promise<void> {
  server = new ServerProcess({
    dataDir: join(directory, "data"),
    flags: ["--log-format", "json"],
    environment: { LD_PRELOAD: preloadLibrary("shifted_clock"), SHIFTED_CLOCK_FILE: clockFile, ...more },
  });
  client = new CapstanClient({ addresses: [await server.ready()], requestTimeoutMs: 60_000 });
}

function wallOfServerMs(): number {
  return Date.now() + offsetMs;
}

async function enqueue(queue: string, more: { delayMs?: number; runAtMs?: number } = {}): Promise<string> {
  const id = await client.enqueue(queue, { payload: queue, ...more });
  assert.ok(id > lastId, `ids grow: ${id} after ${lastId}`);
  lastId = id;
  return id;
}

/** Waits for the one job of a queue; when it was asked for and when it came. */
async function take(queue: string, forMs = leaseMs) {
  const askedMs = performance.now();
  const grant = await client.fetch(queue, { leaseMs: forMs, waitMs: lateMsMax + 10_000 });
  const job = grant?.jobs[0] ?? assert.fail(`nothing came from ${queue}`);
  return { id: job.id, lease: grant?.lease ?? "", askedMs, atMs: performance.now(), attempt: job.attempt };
}

/** Lets the clock jump while one of everything is under way, and looks at how long each takes. */
async function through(name: string, jump: () => Promise<void> | void): Promise<void> {
  const of = (what: string) => `${what} ${name}`;
  await enqueue(of("lease"));
  const leased = await take(of("lease"));
  await enqueue(of("held"));
  const held = await take(of("held"), heldMs);
  const delayedFromMs = performance.now();
  await enqueue(of("delay"), { delayMs });
  await client.setQueue(of("parked"), { backoffBaseMs: 100, backoffJitterPercent: 1 });

  await jump();

  const parked = take(of("parked"));
  const delayed = take(of("delay"));
  const again = await take(of("lease"));
  within(again.atMs - leased.askedMs, leaseMs - roundingMs, `a lease ${name}`);
  assert.deepEqual([again.id, again.attempt], [leased.id, 2]);
  await assert.rejects(client.ack(leased.lease, "all"), { code: "leaseLost" });
  within((await delayed).atMs - delayedFromMs, delayMs - roundingMs, `a delay ${name}`);

  await enqueue(of("parked"));
  const first = await parked;
  const failedMs = performance.now();
  await client.fail(first.lease, [{ id: first.id, retryDelayMs: 300 }]);
  within((await take(of("parked"))).atMs - failedMs, 300 - roundingMs, `a retry ${name}`);

  const soonMs = wallOfServerMs() + 700;
  const askedMs = performance.now();
  await enqueue(of("instant"), { runAtMs: soonMs });
  within((await take(of("instant"))).atMs - askedMs, 600, `an instant ${name}`);
  // Only the jump could have ended it.
  assert.equal((await client.ack(held.lease, "all")).accepted, 1, `a lease of ${heldMs} ms ${name}`);
  assert.ok(server !== undefined && !server.hasExited, server?.stderr);
}

function within(ms: number, fromMs: number, what: string): void {
  assert.ok(ms >= fromMs, `${what} was over after ${ms} ms, too early by ${fromMs - ms} ms`);
  assert.ok(ms <= fromMs + lateMsMax, `${what} took ${ms} ms instead of ${fromMs} ms`);
}

describe("a wall clock that jumps", () => {
  it("is seen by the server at all", async () => {
    jumpTo(-3 * yearMs);
    await client.setQueue("seen", {});
    await enqueue("seen");
    const at = (await client.peek("seen")).jobs[0]?.enqueuedMs ?? 0;
    assert.ok(Math.abs(at - wallOfServerMs()) < lateMsMax, `the job says ${at}`);
    jumpTo(0);
  });

  it("a year ahead: nothing is over early, nothing stops, and what was to run in between runs at once", async () => {
    await enqueue("in a month", { runAtMs: wallOfServerMs() + yearMs / 12 });
    await enqueue("in two years", { runAtMs: wallOfServerMs() + 2 * yearMs });
    assert.equal(await client.fetch("in a month", { waitMs: 200 }), null);
    const settled = take("in a month").then(({ lease }) => client.ack(lease, "all"));
    await through("ahead", () => jumpTo(yearMs));
    assert.equal((await settled).accepted, 1);
    assert.equal((await client.getQueue("in two years")).scheduled, 1);
  });

  it("and two years back: the same, and instants wait for the new wall clock", async () => {
    await through("back", () => jumpTo(-yearMs));
    assert.equal((await client.getQueue("in two years")).scheduled, 1);
  });

  it("a year ahead between a kill and the next start", async () => {
    await through("over a restart", async () => {
      server?.kill("SIGKILL");
      await server?.exited;
      await client.close({ timeoutMs: 0 });
      jumpTo(0);
      await start();
    });
  });

  it("two years ahead: the last instant comes too, and a stop is clean", async () => {
    const waiting = take("in two years");
    jumpTo(2 * yearMs + 60_000);
    const last = await waiting;
    assert.equal((await client.ack(last.lease, "all")).accepted, 1);
    await client.close();
    await server?.stop();
    assert.doesNotMatch(server?.stderr ?? "", /"level":"(error|fatal)"/);
  });

  it("would be found out if leases followed it: the same jump of the stopwatch ends them", async () => {
    await start({ SHIFTED_CLOCK_BOOT: "1" });
    await enqueue("control");
    const held = await take("control", heldMs);
    jumpTo(4 * yearMs);
    assert.equal((await take("control")).attempt, 2);
    await assert.rejects(client.ack(held.lease, "all"), { code: "leaseLost" });
  });
});
