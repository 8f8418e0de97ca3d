// The figures of docs/performance.md: each section between markers is made of the raw results. Owns which recording goes
// where; the prose is the page's own. Pure but for reading results. Called by scripts/docs_performance.mjs and by the test
// that the page is not stale.

import { existsSync } from "node:fs";
import { join } from "node:path";
import { type BaselineResult, baselineTable } from "./baseline.js";
import { comparisons } from "./comparisons.js";
import { type LongResult, levelOf, type Sample } from "./long.js";
import type { MachineFacts } from "./machine.js";
import { fillSections, markdownTable } from "./markdown.js";
import { type MatrixResult, matrixTable, recordingName } from "./matrix.js";
import { medianTable } from "./median_table.js";
import { type PeerResult, peersTable } from "./peers_table.js";
import type { BenchId } from "./question.js";
import { type Origin, readRecording } from "./raw_results.js";
import type { Result } from "./result.js";
import { bytesText, gibibytes, ms, number } from "./words.js";

const single: readonly BenchId[] = ["e1", "l1", "u1", "p1", "p2"];
const backlogged: readonly BenchId[] = ["b1", "b2"];

export function performanceDocument(page: string, results: string): string {
  return fillSections(page, {
    machine: machine(results),
    budgets: recorded(results, single),
    backlog: recorded(results, backlogged),
    long: long(results),
    matrix: matrix(results),
    baseline: baseline(results),
    peers: peers(results),
  });
}

/** Of the first recording there is. */
function machine(results: string): string {
  const names = [...single, ...backlogged, "peers", "baseline"];
  const [first] = names.flatMap((name) => readRecording<{ machine: MachineFacts }>(results, name));
  if (first === undefined) return missing("npm run bench:results");
  const { processor, cores, memoryBytes, kernel, node, fileSystem } = first.machine;
  return `${processor}, ${cores} cores, ${gibibytes(memoryBytes)}; Linux ${kernel}, Node ${node}, ${fileSystem}.`;
}

function recorded(results: string, benches: readonly BenchId[]): string {
  const recordings = benches.map((bench) => readRecording<Result>(results, bench));
  const found = recordings.filter((runs) => runs.length > 0);
  if (found.length === 0) return missing(`npm run bench:results -- ${benches.join(" ")}`);
  return `${medianTable(found)}\n${found.map((runs) => origin(runs, runs[0]?.bench ?? "")).join("\n")}`;
}

function long(results: string): string {
  const parts = ["long_jobs", "long_groups"].map((name) => {
    const runs = readRecording<LongResult>(results, name);
    const [run] = runs;
    if (run === undefined) return missing(`npx capstan bench long ${name.replace("long_", "")}`);
    const row = (title: string, read: (sample: Sample) => number, text: (value: number) => string) => {
      const { first, last } = levelOf(run.samples, read);
      return [title, text(first), text(last)];
    };
    const table = markdownTable(
      [`${run.title}: ${number(run.jobs)} jobs in ${run.seconds.toFixed(0)} s`, "first fifth", "last fifth"],
      [
        row("jobs/s", (sample) => sample.jobsPerSecond, number),
        row("enqueue p50", (sample) => sample.enqueueP50Ms, ms),
        row("enqueue p99", (sample) => sample.enqueueP99Ms, ms),
        row("on disk", (sample) => sample.diskBytes, bytesText),
        row("resident", (sample) => sample.rssBytes, bytesText),
      ],
    );
    return `${table}\n${picture(results, name, run.title)}${origin(runs, name)}`;
  });
  return parts.join("\n\n");
}

function matrix(results: string): string {
  const runs = comparisons.flatMap((comparison) => readRecording<MatrixResult>(results, recordingName(comparison)));
  if (runs.length === 0) return missing("npm run bench:matrix");
  return `${matrixTable(results)}\n${origin(runs, "matrix_*")}`;
}

function baseline(results: string): string {
  const runs = readRecording<BaselineResult>(results, "baseline");
  if (runs.length === 0) return missing("npm run bench:baseline:install && npm run bench:baseline");
  return `${baselineTable(results)}\n${origin(runs, "baseline")}`;
}

function peers(results: string): string {
  const runs = readRecording<PeerResult>(results, "peers");
  if (runs.length === 0) return missing("npm run bench:peers:install && npm run bench:peers");
  return `${peersTable(results)}\n${picture(results, "peers", "The same load on each queue")}${origin(runs, "peers")}`;
}

function picture(results: string, name: string, title: string): string {
  return existsSync(join(results, `${name}.svg`)) ? `![${title}](../bench/results/${name}.svg)\n\n` : "";
}

function missing(command: string): string {
  return `Not measured yet: \`${command}\`.`;
}

/** Where the figures above are from. */
function origin(runs: readonly Origin[], name: string): string {
  const commands = [...new Set(runs.map((run) => run.command))];
  const [first = ""] = commands;
  const commits = [...new Set(runs.map((run) => run.commit))].join(", ");
  const text = commands.length === 1 ? `\`${first}\`` : `${commands.length} commands, the first \`${first}\``;
  const count = runs.length === 1 ? "1 run" : `${runs.length} runs`;
  return `- ${text}: ${count} of commit ${commits}, raw in \`bench/results/${name}.jsonl\``;
}
