// Several runs of each question as one table of medians. Owns the choice of what is shown; the runs are on disk. Called by
// record.ts and performance_document.ts.

import { markdownTable } from "./markdown.js";
import type { Origin } from "./raw_results.js";
import type { Result } from "./result.js";
import { median, medianKnown, spread } from "./statistics.js";
import { budgetText } from "./table.js";
import { bytesText, ms, number, times } from "./words.js";

type Runs = readonly (Result & Origin)[];

const head = [
  "bench",
  "result (least … most)",
  "p50 / p99 / p99.9",
  "CPU a job, server / client",
  "peak memory",
  "write amplification",
  "floor",
  "budget",
];

/** One row for each question that has runs. */
export function medianTable(recordings: readonly Runs[]): string {
  return markdownTable(head, recordings.filter((runs) => runs.length > 0).map(row));
}

function row(runs: Runs): string[] {
  const of = (read: (result: Result) => number | null) => medianKnown(runs.map(read));
  const latency = (key: "p50" | "p99" | "p999") => ms(median(runs.map((run) => run.latencyMs[key])));
  const aJob = (read: (result: Result) => number | null) => {
    const seconds = of((result) => {
      const cpu = read(result);
      return cpu === null ? null : cpu / Math.max(1, result.jobsPerSecond * result.seconds);
    });
    return seconds === null ? "–" : `${(seconds * 1e6).toFixed(2)} µs`;
  };
  const [first] = runs;
  if (first === undefined) throw new RangeError("a row of no runs");
  const memory = of((result) => result.peakRssBytes.server);
  const amplification = of((result) => result.writeAmplification);
  const floor = of((result) => result.floorJobsPerSecond);
  return [
    first.bench,
    answer(runs, first),
    `${latency("p50")} / ${latency("p99")} / ${latency("p999")}`,
    `${aJob((result) => result.cpuSeconds.server)} / ${aJob((result) => result.cpuSeconds.client)}`,
    memory === null ? "–" : bytesText(memory),
    amplification === null ? "–" : times(amplification),
    floor === null ? "–" : `${number(floor)} jobs/s`,
    budgetText(first.budget),
  ];
}

/** What the question asked for. */
function answer(runs: Runs, first: Result): string {
  if (first.backlog !== undefined) {
    const of = (name: "e1" | "l1") => {
      const ratios = spread(runs.map((run) => run.backlog?.[name].ratio ?? 0));
      return `${name} ${ratios.median.toFixed(3)} × (${ratios.min.toFixed(3)} … ${ratios.max.toFixed(3)})`;
    };
    return `${of("e1")}, ${of("l1")}`;
  }
  if (first.restart !== undefined) {
    const of = (name: "afterStop" | "afterKill") => {
      const readiness = runs.map((run) => run.restart?.[name] ?? { seconds: 0, rssBytes: 0 });
      const seconds = median(readiness.map((one) => one.seconds));
      return `${seconds.toFixed(2)} s, ${bytesText(median(readiness.map((one) => one.rssBytes)))}`;
    };
    return `after a stop ${of("afterStop")}; after a kill ${of("afterKill")}`;
  }
  const rates = spread(runs.map((run) => run.jobsPerSecond));
  return `${number(rates.median)} jobs/s (${number(rates.min)} … ${number(rates.max)})`;
}
