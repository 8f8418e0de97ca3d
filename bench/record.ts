// Questions run several times, one after another in each round, so that an hour in which the machine is slow touches all
// of them. Owns the order; what a run is lies in run.ts. It never leaves a run out: one that fails ends the recording.
// Called by main.ts.

import type { KeptOptions } from "../src/cli/bench.js";
import { medianTable } from "./median_table.js";
import type { BenchId } from "./question.js";
import { Recording, readRecording } from "./raw_results.js";
import type { Result } from "./result.js";
import { run } from "./run.js";

export interface RecordOptions extends KeptOptions {
  readonly progress: (line: string) => void;
  readonly signal: AbortSignal;
}

/** Resolves with the table of medians. */
export async function record(benches: readonly BenchId[], options: RecordOptions): Promise<string> {
  const recordings = new Map(benches.map((bench) => [bench, new Recording(options.results, bench)]));
  try {
    for (let round = 1; round <= options.rounds; round++) {
      for (const [bench, recording] of recordings) {
        const progress = (line: string) => options.progress(`${bench}, run ${round} of ${options.rounds}: ${line}`);
        const result = await run({ ...options, bench, threads: 1, serverFlags: [], progress });
        recording.add(commandOf(bench, options), round, result);
        progress(`${result.jobsPerSecond} jobs/s, p50 ${result.latencyMs.p50} ms, p99 ${result.latencyMs.p99} ms`);
      }
    }
  } catch (error) {
    for (const recording of recordings.values()) recording.discard();
    throw error;
  }
  for (const recording of recordings.values()) recording.finish();
  return medianTable(benches.map((bench) => readRecording<Result>(options.results, bench)));
}

function commandOf(bench: BenchId, { seconds, warmUpSeconds, queuedJobs }: RecordOptions): string {
  const jobs = bench === "b1" || bench === "b2" ? ` --jobs ${queuedJobs}` : "";
  return `npx capstan bench ${bench} --seconds ${seconds} --warm-up ${warmUpSeconds}${jobs} --json`;
}
