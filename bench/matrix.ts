// A and B: does each default of the server hold its own against its alternative?
//
// Workload    One question for each comparison, with the defaults (A) and with the alternative's flags (B), in turn:
//             A, B, A, B, so that a drift of the machine touches both. Every run has a fresh server.
// Counted     As the question counts. It never changes what is compared but by flags of the server. The comparisons are
//             in comparisons.ts. Called by main.ts.

import { type Comparison, comparisons } from "./comparisons.js";
import { markdownTable } from "./markdown.js";
import { type Origin, Recording, readRecording } from "./raw_results.js";
import type { RecordOptions } from "./record.js";
import type { Result } from "./result.js";
import { run } from "./run.js";
import { median, spread } from "./statistics.js";
import { bytesText, ms, number, times } from "./words.js";

export type Side = "A" | "B";

export type MatrixResult = Result & { readonly comparison: string; readonly side: Side };

/** Resolves with a table of ratios. */
export async function runComparisons(names: readonly string[], options: RecordOptions): Promise<string> {
  const chosen = choose(names);
  for (const [number, comparison] of chosen.entries()) {
    await compare(comparison, {
      ...options,
      progress: (line) => options.progress(`${number + 1} of ${chosen.length}, ${comparison.name}: ${line}`),
    });
  }
  return matrixTable(options.results, chosen);
}

/** By names or their beginnings: "coalescing" is all of the coalescing. Throws for one that is no beginning. */
export function choose(names: readonly string[]): readonly Comparison[] {
  if (names.length === 0) return comparisons;
  for (const name of names) {
    if (!comparisons.some((comparison) => comparison.name.startsWith(name))) {
      throw new Error(`no comparison begins with ${name}; there are ${comparisons.map((one) => one.name).join(", ")}`);
    }
  }
  return comparisons.filter((comparison) => names.some((name) => comparison.name.startsWith(name)));
}

/** The file of a comparison's raw results, without its ending. */
export function recordingName(comparison: Comparison): string {
  return `matrix_${comparison.name}`;
}

async function compare(comparison: Comparison, options: RecordOptions): Promise<void> {
  const recording = new Recording(options.results, recordingName(comparison));
  try {
    for (let round = 1; round <= options.rounds; round++) {
      for (const side of ["A", "B"] as const) {
        const serverFlags = side === "A" ? [] : comparison.flags;
        const progress = (line: string) => options.progress(`${side}, round ${round} of ${options.rounds}: ${line}`);
        const result = await run({ ...options, bench: comparison.bench, threads: 1, serverFlags, progress });
        const flags = serverFlags.length === 0 ? "" : ` -- ${serverFlags.map(quoted).join(" ")}`;
        const command = `npx capstan bench ${comparison.bench} --seconds ${options.seconds} --json${flags}`;
        recording.add(command, round, { comparison: comparison.name, side, ...result } satisfies MatrixResult);
      }
    }
    recording.finish();
  } catch (error) {
    recording.discard();
    throw error;
  }
}

/** Of every comparison that has been recorded. */
export function matrixTable(results: string, of: readonly Comparison[] = comparisons): string {
  const rows = of.flatMap((comparison) => {
    const runs = readRecording<MatrixResult>(results, recordingName(comparison));
    return runs.length === 0 ? [] : [row(comparison, runs)];
  });
  return markdownTable(
    ["default (A) against (B)", "question", "A", "B", "B / A, median (pairs)", "p99 A / B", "peak memory A / B"],
    rows,
  );
}

function row(comparison: Comparison, runs: readonly (MatrixResult & Origin)[]): string[] {
  const side = (wanted: Side) => runs.filter((run) => run.side === wanted);
  const [a, b] = [side("A"), side("B")];
  const ratios = pairRatios(
    a.map((run) => run.jobsPerSecond),
    b.map((run) => run.jobsPerSecond),
  );
  const of = (sides: readonly Result[], read: (result: Result) => number) => median(sides.map(read));
  const rate = (result: Result) => result.jobsPerSecond;
  const p99 = (result: Result) => result.latencyMs.p99;
  const memory = (result: Result) => result.peakRssBytes.server ?? 0;
  return [
    `${comparison.ours} against ${comparison.alternative}`,
    comparison.bench,
    `${number(of(a, rate))} jobs/s`,
    `${number(of(b, rate))} jobs/s`,
    `${times(ratios.median)} (${ratios.min.toFixed(2)} … ${ratios.max.toFixed(2)})`,
    `${ms(of(a, p99))} / ${ms(of(b, p99))}`,
    `${bytesText(of(a, memory))} / ${bytesText(of(b, memory))}`,
  ];
}

/** Of each round B through A: two runs beside one another in time. */
export function pairRatios(a: readonly number[], b: readonly number[]): { median: number; min: number; max: number } {
  if (a.length !== b.length) throw new RangeError(`${a.length} runs of A, but ${b.length} of B`);
  return spread(a.map((value, index) => (b[index] ?? 0) / value));
}

function quoted(word: string): string {
  return /^[\w./:=-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`;
}
