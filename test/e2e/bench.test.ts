// `capstan bench` as a script uses it: every question for a moment on a server of its own, with its jobs counted back; and
// the ways in which it must fail. Owns the directories of the runs. It judges no speed: a test's machine has other work.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { after, describe, it } from "node:test";
import type { Result } from "../../bench/result.js";
import { capstan, ServerProcess, temporaryDirectory } from "../support/server_process.js";

const scratch = temporaryDirectory();
after(() => rmSync(scratch, { recursive: true, force: true }));

interface Ended {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** `interruptAt`: what it says when it is to be interrupted. */
async function bench(words: readonly string[], interruptAt?: RegExp): Promise<Ended & { directory: string }> {
  const directory = mkdtempSync(join(scratch, "run-"));
  const child = spawn(process.execPath, [capstan, "bench", ...words], {
    cwd: directory,
    stdio: ["ignore", "pipe", "pipe"],
  });
  const text = { stdout: "", stderr: "" };
  let isInterrupted = false;
  for (const name of ["stdout", "stderr"] as const) {
    child[name].setEncoding("utf8").on("data", (part: string) => {
      text[name] += part;
      if (isInterrupted || interruptAt?.test(text.stderr) !== true) return;
      isInterrupted = child.kill("SIGINT");
    });
  }
  const [code] = (await once(child, "close")) as [number | null];
  return { code, ...text, directory };
}

describe("capstan bench", () => {
  for (const id of ["e1", "l1", "u1", "p1", "p2"]) {
    it(`measures ${id} on a server of its own and counts its jobs back`, async () => {
      const { code, stdout, stderr, directory } = await bench([
        id,
        "--seconds",
        "2",
        "--warm-up",
        "0.5",
        "--floor",
        "0.1",
        "--threads",
        "2",
        "--json",
      ]);
      assert.equal(code, 0, stderr);
      const result = JSON.parse(stdout) as Result;
      assert.equal(result.bench, id);
      assert.ok(result.jobsPerSecond > 0 && result.seconds >= 2, stdout);
      const { p50, p99, p999 } = result.latencyMs;
      assert.ok(p50 > 0 && p50 <= p99 && p99 <= p999, stdout);
      assert.ok((result.peakRssBytes.server ?? 0) > 0 && (result.cpuSeconds.server ?? -1) >= 0, stdout);
      assert.ok(result.cpuSeconds.client > 0, stdout);
      assert.ok((result.floorJobsPerSecond ?? 0) > 0, stdout);
      assert.equal(result.settings.sync, "always");
      assert.ok((result.writeAmplification ?? 1) > 0, stdout);
      const { enqueued, acked, ready, ackedTotal } = result.counted;
      assert.ok(enqueued > 0);
      assert.deepEqual(
        acked > 0 ? [acked, ackedTotal, ready] : [ready, ackedTotal],
        acked > 0 ? [enqueued, enqueued, 0] : [enqueued, 0],
      );
      assert.deepEqual(readdirSync(directory), [], "nothing is left behind");
    });
  }

  it("measures a server that runs already, and prints a table", async () => {
    const server = new ServerProcess();
    try {
      const address = await server.ready();
      const run = await bench(["u1", "--seconds", "2", "--warm-up", "0", "--no-floor", "--addr", address]);
      assert.equal(run.code, 0, run.stderr);
      assert.match(run.stdout, /^throughput +[\d,]+ jobs\/s$/m);
      assert.match(run.stdout, /^enqueue latency +p50 /m);
      await server.stop();
    } finally {
      await server.dispose();
    }
  });

  it("refuses what it cannot use", async () => {
    const refusals: [string[], RegExp][] = [
      [["e2"], /e1, l1, u1, p1, p2, b1, b2/],
      [["b2", "--addr", "127.0.0.1:1"], /no --addr/],
      [["b1", "--jobs", "0"], /from 1 to/],
      [["long", "years"], /jobs, groups/],
      [["matrix", "no-such", "--results", scratch], /no comparison begins with no-such/],
      [["e1", "--seconds", "0"], /at least 0.1/],
      [["e1", "--dir", join(scratch, "missing")], /There is no such directory: mkdir -p/],
      [["e1", "--addr", "127.0.0.1:1", "--", "--workers", "2"], /--addr/],
    ];
    for (const [words, pattern] of refusals) {
      const { code, stdout, stderr } = await bench(words);
      assert.notEqual(code, 0, words.join(" "));
      assert.equal(stdout, "");
      assert.match(stderr, pattern);
    }
  });

  it("fails when there is no server, or when its own does not start", async () => {
    const nobody = await bench(["e1", "--no-floor", "--addr", "127.0.0.1:1"]);
    assert.equal(nobody.code, 1);
    assert.match(nobody.stderr, /ECONNREFUSED/);
    const broken = await bench(["e1", "--no-floor", "--", "--workers", "0"]);
    assert.equal(broken.code, 1);
    assert.match(broken.stderr, /at least 1/);
    assert.deepEqual(readdirSync(broken.directory), []);
  });

  it("leaves neither a server nor a directory behind when it is interrupted", async () => {
    const run = await bench(["e1", "--seconds", "60", "--no-floor"], /warming up/);
    assert.equal(run.code, 130);
    assert.match(run.stderr, /stopped/);
    assert.equal(run.stdout, "");
    assert.deepEqual(readdirSync(run.directory), []);
  });
});
