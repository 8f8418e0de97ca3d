// The benchmarks as the command line calls them: one question for a person or a script, and the verbs that keep what they
// measure. Owns what goes to standard output. It parses no flags: src/cli/bench.ts does, and loads this file when the
// verb is used.

import type { BenchOptions, KeptOptions, LongOptions } from "../src/cli/bench.js";
import { exitCode } from "../src/cli/exit_codes.js";
import { runBaselines } from "./baseline.js";
import { runLongs } from "./long.js";
import { runComparisons } from "./matrix.js";
import { attend } from "./progress.js";
import type { BenchId } from "./question.js";
import { record } from "./record.js";
import { isBenchId, run } from "./run.js";
import { tableOf } from "./table.js";

/** Each resolves with the exit code of the process. */
export async function runBench(options: BenchOptions): Promise<number> {
  const { bench } = options;
  if (!isBenchId(bench)) return unknown(bench);
  return attend(async (attended) => {
    const result = await run({ ...options, bench, ...attended });
    return options.json ? `${JSON.stringify(result)}\n` : tableOf(result);
  });
}

export async function runRecord(benches: readonly string[], options: KeptOptions): Promise<number> {
  const wrong = benches.find((bench) => !isBenchId(bench));
  if (wrong !== undefined) return unknown(wrong);
  return attend((attended) => record(benches as readonly BenchId[], { ...options, ...attended }));
}

export async function runMatrix(comparisons: readonly string[], options: KeptOptions): Promise<number> {
  return attend((attended) => runComparisons(comparisons, { ...options, ...attended }));
}

export async function runLong(options: LongOptions): Promise<number> {
  return attend((attended) => runLongs({ ...options, ...attended }));
}

export async function runBaseline(options: KeptOptions): Promise<number> {
  return attend((attended) => runBaselines({ ...options, ...attended }));
}

function unknown(bench: string): number {
  process.stderr.write(`capstan bench: there is no question ${bench}\n`);
  return exitCode.usage;
}
