// The example of examples/checksum-tree on some thousands of real files, with a server and a worker killed half way: every
// file ends with the checksum that it has without any queue. Owns the server, the workers and their directories; the
// scripts under test are run as a person runs them.

import assert from "node:assert/strict";
import { type ChildProcess, execFile, spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { once } from "node:events";
import { readdirSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { after, test } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { promisify } from "node:util";
import { CapstanClient, type QueueInfo } from "../../src/client/index.js";
import { root, ServerProcess, temporaryDirectory } from "../support/server_process.js";

const example = join(root, "examples", "checksum-tree");
/** Some thousands of files, and always there. */
const tree = join(root, "node_modules");
const queue = "checksums";
const progressMsMax = 60_000;

const scratch = temporaryDirectory();
const socket = `unix:${join(scratch, "rpc.sock")}`;
const results = join(scratch, "results");
const dataDir = join(scratch, "data");
const children: ChildProcess[] = [];
const servers: ServerProcess[] = [];

after(async () => {
  for (const child of children) child.kill("SIGKILL");
  for (const server of servers) await server.dispose();
  rmSync(scratch, { recursive: true, force: true });
});

async function startServer(): Promise<ServerProcess> {
  const server = new ServerProcess({ dataDir, flags: ["--rpc-listen", socket] });
  servers.push(server);
  await server.ready();
  return server;
}

/** Resolves with how it ended and what it said. */
function startWorker(): { child: ChildProcess; ended: Promise<{ code: number | null; text: string }> } {
  const words = ["--addr", socket, "--queue", queue, "--out", results, "--batch", "16", "--lease-ms", "2000"];
  const child = spawn(process.execPath, [join(example, "worker.mjs"), ...words, "--until-done"], {
    stdio: ["ignore", "pipe", "pipe"],
  });
  children.push(child);
  let text = "";
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding("utf8").on("data", (part: string) => {
      text = `${text}${part}`.slice(-4096);
    });
  }
  return { child, ended: once(child, "close").then(([code]: unknown[]) => ({ code: code as number | null, text })) };
}

function filesUnder(directory: string): string[] {
  return readdirSync(directory, { withFileTypes: true }).flatMap((entry) => {
    const path = join(directory, entry.name);
    if (entry.isDirectory()) return filesUnder(path);
    return entry.isFile() ? [path] : [];
  });
}

function digestOf(path: string): string {
  return createHash("sha256").update(readFileSync(path)).digest("hex");
}

/** What the workers wrote; fails where a file has two results that differ. */
function readResults(): Map<string, string> {
  const found = new Map<string, string>();
  for (const name of readdirSync(results).filter((one) => one.endsWith(".sha256"))) {
    const text = readFileSync(join(results, name), "utf8");
    assert.ok(text.endsWith("\n"), `${name} is whole`);
    for (const line of text.trimEnd().split("\n")) {
      const [, digest = "", path = ""] = /^([0-9a-f]{64}) {2}(.+)$/.exec(line) ?? assert.fail(line);
      assert.equal(found.get(path) ?? digest, digest, `two results for ${path}`);
      found.set(path, digest);
    }
  }
  return found;
}

async function untilAcked(client: CapstanClient, jobs: number): Promise<QueueInfo> {
  const giveUpMs = performance.now() + progressMsMax;
  for (;;) {
    const info = await client.getQueue(queue);
    if (info.ackedTotal >= jobs) return info;
    assert.ok(performance.now() < giveUpMs, `${info.ackedTotal} of ${jobs} after ${progressMsMax} ms`);
    await pause(5);
  }
}

test("every file has its checksum although the server and a worker were killed half way", async () => {
  const files = filesUnder(tree);
  assert.ok(files.length > 1000, `only ${files.length} files in ${tree}`);
  const expected = new Map(files.map((path) => [path, digestOf(path)]));

  const server = await startServer();
  const enqueue = [join(example, "enqueue.mjs"), tree, "--addr", socket, "--queue", queue];
  const { stdout } = await promisify(execFile)(process.execPath, enqueue, { encoding: "utf8" });
  assert.equal(stdout, `${files.length} files enqueued\n`);

  const workers = [startWorker(), startWorker(), startWorker()];
  const client = new CapstanClient({ addresses: [socket] });
  try {
    const half = await untilAcked(client, Math.floor(files.length / 3));
    server.kill("SIGKILL");
    workers[0]?.child.kill("SIGKILL");
    assert.ok(half.ackedTotal < files.length, "the kill came half way");
    await server.exited;

    await startServer();
    const restarted = await client.getQueue(queue);
    assert.equal(restarted.enqueuedTotal, files.length, "no enqueue was lost");
    assert.ok(restarted.ackedTotal >= half.ackedTotal, "no ack was lost");
    workers.push(startWorker());
    for (const { ended } of workers.slice(1)) {
      const { code, text } = await ended;
      assert.equal(code, 0, text);
    }
    const info = await client.getQueue(queue);
    assert.deepEqual(
      { ready: info.ready, leased: info.leased, scheduled: info.scheduled, dead: info.dead },
      { ready: 0, leased: 0, scheduled: 0, dead: 0 },
    );
    assert.equal(info.ackedTotal, files.length, "every job was acked once");
  } finally {
    await client.close();
  }
  assert.deepEqual(readResults(), expected);
  await servers.at(-1)?.stop();
});
