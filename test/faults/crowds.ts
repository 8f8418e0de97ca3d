// Clients that hold on to what they take: half-open frames, calls that never finish, ears that hear nothing, a byte a
// second, floods, ten thousand at once. Each runs beside a client that must be served all the while, and within a bound on
// the server's memory. Owns a server for each; called by the test of hostile connections and by the long run.

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { readdirSync } from "node:fs";
import { setTimeout as pause } from "node:timers/promises";
import { CapstanClient } from "../../src/client/index.js";
import { FetchRequest, GetJobRequest } from "../../src/generated/capstan.capnp.js";
import { MiB } from "../../src/units.js";
import { callFrame, setData } from "../support/rpc_server.js";
import { type Beside, type BesideFigures, beside } from "./beside.js";
import { Crowd, type Manner } from "./crowd.js";
import { bootstrapFrame, claimOf, RawPeer } from "./raw_peer.js";

const target = { question: 0 };

export interface CrowdFigures extends BesideFigures {
  readonly connections: number;
}

/** One worker, and the connections that the attack takes. */
async function crowdBeside(
  flags: readonly string[],
  connections: number,
  attack: (beside: Beside) => Promise<void>,
): Promise<CrowdFigures> {
  return { ...(await beside(["--workers", "1", ...flags], attack)), connections };
}

async function withCrowd(
  address: string,
  connections: number,
  manner: Manner,
  use: (crowd: Crowd) => Promise<void>,
): Promise<void> {
  const crowd = new Crowd(address, connections, manner);
  try {
    await use(crowd);
  } finally {
    await crowd.close();
  }
}

/** Tables of 512 segments whose last words never come: closed when their time is over. */
export function halfOpen(connections: number): Promise<CrowdFigures> {
  return crowdBeside(["--frame-timeout-ms", "2s"], connections, async ({ server, address, steady }) => {
    await withCrowd(address, connections, "half", async (crowd) => {
      await crowd.until(({ open, closed }) => open + closed === connections);
      await steady.more(20);
      await crowd.until(({ closed }) => closed === connections);
      assert.equal(crowd.now.failed, 0);
    });
    await server.says(/"reason":"halfFrame"/);
  });
}

/** Frames that claim 16 MiB, of which a part comes and no more: together more than the memory there is. Who sent so much
 *  has minutes for the rest, so they are not waited for: the server holds what it can, and does not read the rest. */
export function halfFrames(connections: number, bytesEach: number): Promise<CrowdFigures> {
  return crowdBeside([], connections, async ({ address, steady }) => {
    const peers = await opened(address, connections);
    for (const peer of peers) peer.send(claimOf((16 << 17) - 8), Buffer.alloc(bytesEach));
    await steady.more(200);
    for (const peer of peers) peer.close();
    await steady.more(20);
  });
}

/** Questions that are answered and never finished, until the server has had enough of it. */
export function neverFinished(connections: number): Promise<CrowdFigures> {
  return crowdBeside([], connections, async ({ address, steady }) => {
    const peers = await opened(address, connections);
    for (const peer of peers) peer.send(bootstrapFrame(0));
    const chunks: Buffer[] = [];
    for (let question = 1; question < 70_000; question++) chunks.push(bootstrapFrame(question));
    const all = Buffer.concat(chunks);
    for (const peer of peers) peer.send(all);
    await steady.more(100);
    const reasons = await Promise.all(peers.map((peer) => peer.aborted()));
    for (const reason of reasons) assert.match(reason, /not finished/);
  });
}

/** Calls that wait for jobs that never come: no more of them are read than may be outstanding. */
export function neverAnswered(connections: number): Promise<CrowdFigures> {
  return crowdBeside([], connections, async ({ server, address, steady }) => {
    const peers = await opened(address, connections);
    for (const peer of peers) {
      const calls = [bootstrapFrame(0)];
      for (let question = 1; question <= 4096; question++) calls.push(waitingFetch(question));
      peer.send(...calls);
    }
    await steady.more(200);
    for (const peer of peers) peer.close();
    await steady.more(20);
    assert.ok(!server.hasExited);
  });
}

/** Replies of 1 MiB each, asked for and never read: closed as deaf, every one that has replies waiting. */
export function deaf(connections: number): Promise<CrowdFigures> {
  const flags = ["--deaf-timeout-ms", "2s", "--unsent-bytes-max", "1MiB"];
  return crowdBeside(flags, connections, async ({ server, address, steady }) => {
    const client = new CapstanClient({ addresses: [address] });
    const id = await client.enqueue("large", { payload: Buffer.alloc(MiB, 7) });
    await client.close();
    // Few at a time: together they would be told that the server is busy, which is a small reply.
    for (let done = 0; done < connections; done += deafAtOnce) {
      const before = openFiles(server.pid);
      const peers = await opened(address, Math.min(deafAtOnce, connections - done), false);
      for (const peer of peers) peer.send(bootstrapFrame(0));
      for (let question = 1; question <= 12; question++) {
        for (const peer of peers) peer.send(readOf(question, id));
        await steady.more(3);
      }
      const giveUpMs = performance.now() + 60_000;
      // Who reads nothing learns nothing of its end either: the server's own files tell.
      while (openFiles(server.pid) > before) {
        assert.ok(performance.now() < giveUpMs, `${openFiles(server.pid) - before} of them are still open`);
        await pause(20);
      }
      for (const peer of peers) peer.close();
    }
    await server.says(/"reason":"deaf"/);
    await steady.more(20);
  });
}

const deafAtOnce = 4;

/** A right frame, a byte a second: closed when its time is over, though it never stops. */
export function slowly(connections: number): Promise<CrowdFigures> {
  return crowdBeside(["--frame-timeout-ms", "2s"], connections, async ({ address, steady }) => {
    const peers = await opened(address, connections);
    const frame = waitingFetch(1);
    let at = 0;
    const drip = setInterval(() => {
      for (const peer of peers) peer.send(frame.subarray(at % frame.length, (at % frame.length) + 1));
      at++;
    }, 1000);
    try {
      await Promise.all(peers.map((peer) => peer.until(() => peer.isClosed)));
    } finally {
      clearInterval(drip);
    }
    assert.ok(at < 10, "they were closed in the midst of it");
    await steady.more(20);
  });
}

/** Opened and closed as fast as it goes. */
export function flood(connections: number): Promise<CrowdFigures> {
  return crowdBeside([], connections, async ({ address, steady }) => {
    await withCrowd(address, connections, "flood", (crowd) =>
      crowd.until(({ closed, failed }) => closed + failed === connections, 120_000),
    );
    await steady.more(20);
  });
}

/** Each asks for the bootstrap, and all stay. */
export function atOnce(connections: number): Promise<CrowdFigures> {
  return crowdBeside(["--connections-max", String(connections + 16)], connections, async ({ address, steady }) => {
    await withCrowd(address, connections, "greet", async (crowd) => {
      await crowd.until(({ answered }) => answered === connections, 120_000);
      assert.deepEqual(crowd.now, { open: connections, answered: connections, closed: 0, failed: 0 });
      await steady.more(100);
    });
    await steady.more(20);
  });
}

/** The process may open no more files: closed at once, said once a second at most, and over when there is room again. */
export function noFilesLeft(connections: number): Promise<CrowdFigures> {
  return crowdBeside([], connections, async ({ server, address, steady }) => {
    const before = limitOf(server.pid);
    setLimit(server.pid, limitFor(server.pid, 8));
    const startMs = performance.now();
    await withCrowd(address, connections, "greet", async (crowd) => {
      await crowd.until(({ closed, failed }) => closed + failed >= connections - 8);
      assert.ok(crowd.now.answered <= 8, JSON.stringify(crowd.now));
      await server.says(/no more files may be open/);
      await steady.more(20);
    });
    const seconds = (performance.now() - startMs) / 1000;
    const said = server.stderr.match(/no more files may be open/g)?.length ?? 0;
    assert.ok(said <= seconds + 1, `said ${said} times in ${seconds} s`);
    // Those that were taken are gone, so there is room although the limit is the same.
    await withCrowd(address, 4, "greet", (crowd) => crowd.until(({ answered }) => answered === 4));
    setLimit(server.pid, before);
    await withCrowd(address, 64, "greet", (crowd) => crowd.until(({ answered }) => answered === 64));
  });
}

async function opened(address: string, connections: number, reads = true): Promise<RawPeer[]> {
  const peers: RawPeer[] = [];
  for (let at = 0; at < connections; at++) peers.push(await RawPeer.open(address, { reads }));
  return peers;
}

function waitingFetch(question: number): Buffer {
  return callFrame(question, target, "fetch", FetchRequest, (request) => {
    request.initQueues(1).set(0, "nothing comes here");
    request.setWaitMs(600_000n);
  });
}

function readOf(question: number, id: string): Buffer {
  return callFrame(question, target, "getJob", GetJobRequest, (request) =>
    setData(request.initId(16), Buffer.from(id, "hex")),
  );
}

function openFiles(pid: number): number {
  return readdirSync(`/proc/${pid}/fd`).length;
}

/** The limit of files that leaves room for so many more: numbers are given from the lowest free one on. */
function limitFor(pid: number, more: number): number {
  const taken = new Set(readdirSync(`/proc/${pid}/fd`).map(Number));
  let limit = 0;
  for (let left = more; left > 0; limit++) if (!taken.has(limit)) left--;
  return limit;
}

function limitOf(pid: number): number {
  const text = execFileSync("prlimit", ["--pid", String(pid), "--nofile", "--noheadings", "--output", "SOFT"]);
  return Number(text.toString().trim());
}

/** The soft limit alone, so that it may be raised again. */
function setLimit(pid: number, files: number): void {
  execFileSync("prlimit", ["--pid", String(pid), `--nofile=${files}:`]);
}
