// The same writes through the npm package `rocksdb` and through the addon, each driven from one event loop: how many jobs
// a second become durable, and how long does the loop stand still meanwhile?
//
// Workload    10 writers, each keeps one batch of 64 jobs of 256 B under way and waits until it is durable. `rocksdb`:
//             one `batch` with `sync`, 25-byte keys, which the package hands to a thread of libuv's pool. The addon: one
//             enqueue call as its frame lies in a socket's chunk, which the addon decodes, logs, syncs, applies and
//             answers. There is no socket and no second thread of JavaScript on either side.
// Hypothesis  The package makes each batch an fsync of its own and its writers queue up for it; the addon shares one
//             among all that wait. Its loop does more for a batch, and is still free for most of the time.
// Budget      None of its own.
// Counted     Every job is read back: by iteration over the package's database, by the queue's counts of the addon.
//             Each side is a process of its own, so that neither has the other's threads and memory: baseline_side.ts.
//             It never measures a server. Called by main.ts.

import { execFile } from "node:child_process";
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { type MachineFacts, machineFacts } from "./machine.js";
import { markdownTable } from "./markdown.js";
import { type Origin, Recording, readRecording } from "./raw_results.js";
import type { RecordOptions } from "./record.js";
import type { Percentiles } from "./result.js";
import { median } from "./statistics.js";
import { ms, number } from "./words.js";

export const baselineSettings = { writers: 10, batchJobs: 64, payloadBytes: 256, keyBytes: 25 } as const;

export const sides = ["rocksdb", "addon"] as const;
export type BaselineSide = (typeof sides)[number];

/** What one side says of itself. */
export interface SideResult {
  readonly jobsPerSecond: number;
  readonly seconds: number;
  /** From the sending of a batch until it is durable. */
  readonly latencyMs: Percentiles;
  /** How late the loop came to its timers, beyond their resolution. */
  readonly eventLoopDelayMs: Percentiles & { readonly max: number };
  /** Share of the time in which the loop was not waiting. */
  readonly eventLoopUtilization: number;
  readonly cpuSeconds: number;
  readonly counted: { readonly written: number; readonly found: number };
}

export type BaselineResult = SideResult & {
  readonly bench: "baseline";
  readonly side: BaselineSide;
  readonly machine: MachineFacts;
  readonly settings: typeof baselineSettings & { readonly sync: string };
};

const recordingName = "baseline";
const sideProgram = fileURLToPath(new URL("./baseline_side.js", import.meta.url));
/** Of the source, not of dist: that is where npm installs it. */
export const rocksdbPackage = fileURLToPath(new URL("../../bench/baseline/package.json", import.meta.url));

export async function runBaselines(options: RecordOptions): Promise<string> {
  if (!existsSync(join(rocksdbPackage, "..", "node_modules", "rocksdb"))) {
    throw new Error(
      "the npm package rocksdb is not installed beside the benchmarks. Run: npm run bench:baseline:install",
    );
  }
  const recording = new Recording(options.results, recordingName);
  try {
    for (let round = 1; round <= options.rounds; round++) {
      for (const side of sides) {
        options.progress(`${side}, round ${round} of ${options.rounds}`);
        const result = await runSide(side, options);
        recording.add(`npx capstan bench baseline --seconds ${options.seconds}`, round, result);
        options.progress(`${side}: ${result.jobsPerSecond} jobs/s, loop p99 ${result.eventLoopDelayMs.p99} ms late`);
      }
    }
    recording.finish();
  } catch (error) {
    recording.discard();
    throw error;
  }
  return baselineTable(options.results);
}

async function runSide(side: BaselineSide, options: RecordOptions): Promise<BaselineResult> {
  const directory = mkdtempSync(join(options.directory, "capstan-bench-"));
  try {
    const words = [sideProgram, side, join(directory, "data"), String(options.seconds), String(options.warmUpSeconds)];
    const { stdout } = await promisify(execFile)(process.execPath, words, { signal: options.signal });
    const said = JSON.parse(stdout) as SideResult;
    if (said.counted.written !== said.counted.found) {
      throw new Error(`${side}: ${said.counted.written} jobs were written, but ${said.counted.found} found`);
    }
    const machine = machineFacts(directory);
    return { bench: "baseline", side, ...said, machine, settings: { ...baselineSettings, sync: "always" } };
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

export function baselineTable(results: string): string {
  const runs = readRecording<BaselineResult>(results, recordingName);
  return markdownTable(
    [
      "written through",
      "jobs/s",
      "a batch durable, p50 / p99",
      "loop late, p50 / p99 / most",
      "loop busy",
      "CPU a job",
    ],
    sides.flatMap((side) => {
      const own = runs.filter((run) => run.side === side);
      return own.length === 0 ? [] : [row(side, own)];
    }),
  );
}

function row(side: BaselineSide, runs: readonly (BaselineResult & Origin)[]): string[] {
  const of = (read: (result: BaselineResult) => number) => median(runs.map(read));
  return [
    side === "rocksdb" ? "npm package `rocksdb` 5.2.1" : "the addon",
    number(of((run) => run.jobsPerSecond)),
    `${ms(of((run) => run.latencyMs.p50))} / ${ms(of((run) => run.latencyMs.p99))}`,
    [
      of((run) => run.eventLoopDelayMs.p50),
      of((run) => run.eventLoopDelayMs.p99),
      of((run) => run.eventLoopDelayMs.max),
    ]
      .map(ms)
      .join(" / "),
    `${(of((run) => run.eventLoopUtilization) * 100).toFixed(0)} %`,
    `${(of((run) => run.cpuSeconds / Math.max(1, run.jobsPerSecond * run.seconds)) * 1e6).toFixed(2)} µs`,
  ];
}
