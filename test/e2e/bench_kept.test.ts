// `capstan bench` where it fills queues first or keeps what it measures: b1 and b2 with few jobs, a short recording, one
// comparison, a short long run with its plot. Owns the directories of runs and results. It judges no speed: a test's
// machine has other work.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { after, describe, it } from "node:test";
import type { LongResult } from "../../bench/long.js";
import type { MatrixResult } from "../../bench/matrix.js";
import { type Origin, readRecording } from "../../bench/raw_results.js";
import type { Result } from "../../bench/result.js";
import { capstan, temporaryDirectory } from "../support/server_process.js";

const scratch = temporaryDirectory();
after(() => rmSync(scratch, { recursive: true, force: true }));

/** Resolves with standard output and the directory of results; fails unless all went well and nothing is left behind. */
async function bench(...words: readonly string[]): Promise<{ stdout: string; results: string }> {
  const directory = mkdtempSync(join(scratch, "run-"));
  const runs = join(directory, "runs");
  const results = join(directory, "results");
  mkdirSync(runs);
  const keeps = ["record", "matrix", "long"].includes(words[0] ?? "");
  const own = [...words, "--dir", runs, ...(keeps ? ["--results", results] : [])];
  const child = spawn(process.execPath, [capstan, "bench", ...own], { stdio: ["ignore", "pipe", "pipe"] });
  let stdout = "";
  let stderr = "";
  child.stdout.setEncoding("utf8").on("data", (text: string) => {
    stdout += text;
  });
  child.stderr.setEncoding("utf8").on("data", (text: string) => {
    stderr += text;
  });
  const [code] = (await once(child, "close")) as [number | null];
  assert.equal(code, 0, stderr);
  assert.deepEqual(readdirSync(runs), [], "nothing is left behind");
  return { stdout, results };
}

describe("capstan bench with a long queue", () => {
  it("sets e1 and l1 on a filled queue against an empty one", async () => {
    const times = ["--seconds", "1", "--warm-up", "0.2", "--no-floor", "--json"];
    const { stdout } = await bench("b1", "--jobs", "20000", ...times);
    const { backlog, settings, floorJobsPerSecond, budget } = JSON.parse(stdout) as Result;
    assert.equal(settings.queuedJobs, 20_000);
    assert.equal(floorJobsPerSecond, null);
    assert.equal(budget.unit, "ratio");
    for (const ratio of [backlog?.e1, backlog?.l1]) {
      assert.ok(ratio !== undefined && Math.abs(ratio.ratio - ratio.queued / ratio.empty) < 0.01, stdout);
    }
  });

  it("finds every job after a stop and after a kill", async () => {
    const { stdout } = await bench("b2", "--jobs", "20500", "--no-floor", "--json");
    const { restart, counted } = JSON.parse(stdout) as Result;
    assert.equal(counted.ready, 20_500);
    for (const readiness of [restart?.afterStop, restart?.afterKill]) {
      assert.ok(readiness !== undefined && readiness.seconds > 0 && readiness.rssBytes > 1 << 20, stdout);
    }
  });
});

describe("capstan bench with what it keeps", () => {
  it("records each run of a question and prints the medians", async () => {
    const { stdout, results } = await bench("record", "p1", "--rounds", "2", "--seconds", "1", "--warm-up", "0.2");
    const runs = readRecording<Result>(results, "p1");
    assert.deepEqual(
      runs.map(({ bench: id, round }) => [id, round]),
      [
        ["p1", 1],
        ["p1", 2],
      ],
    );
    assert.match(runs[0]?.command ?? "", /^npx capstan bench p1 --seconds 1 --warm-up 0.2 --json$/);
    assert.match(stdout, /^\| p1 \|/m);
  });

  it("compares an option of RocksDB in turn", async () => {
    const times = ["--rounds", "1", "--seconds", "2", "--warm-up", "0.2"];
    const { stdout, results } = await bench("matrix", "rocksdb-compression", ...times);
    const runs = readRecording<MatrixResult & Origin>(results, "matrix_rocksdb-compression");
    assert.deepEqual(
      runs.map(({ side, settings }) => [side, settings.serverFlags.length]),
      [
        ["A", 0],
        ["B", 2],
      ],
    );
    assert.match(stdout, /no compression against Snappy/);
  });

  it("samples and plots a long run", async () => {
    const { stdout, results } = await bench("long", "jobs", "--jobs", "2000");
    const [run] = readRecording<LongResult>(results, "long_jobs");
    assert.ok(run !== undefined && run.jobs >= 2000 && run.samples.length > 0);
    assert.ok(run.samples.every((sample) => sample.diskBytes > 0 && sample.rssBytes > 0));
    assert.equal(run.counted.ready, 0);
    assert.match(readFileSync(join(results, "long_jobs.svg"), "utf8"), /^<svg /);
    assert.match(stdout, /first fifth/);
  });
});
