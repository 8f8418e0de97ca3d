// The long runs: does a server stay as it is while very many jobs pass through it?
//
// Workload    jobs: L1's load until ten million jobs were acked, through one queue. groups: the same over 100,000 groups
//             of one queue, each of which holds a job all the time, since as many are queued before.
// Hypothesis  Latency, memory and disk are level: what was acked leaves nothing behind.
// Budget      None of its own; the plot is to be flat.
// Counted     As L1, at the end. Each second one sample: jobs a second, latencies of that second, bytes on disk, resident
//             memory. The samples are kept as one raw result, the plot beside it. It never thins the samples out.
//             Called by main.ts.

import { mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { lineChart, type Point } from "./chart.js";
import { ChildServer } from "./child_server.js";
import { fill } from "./fill.js";
import { type MachineFacts, machineFacts } from "./machine.js";
import { countBack, countsOf, emptyQueue, type Load, withThreads } from "./measure.js";
import type { QuestionId, QueueCounts, Totals } from "./question.js";
import { questions } from "./questions.js";
import { Recording, readRecording } from "./raw_results.js";
import { queueName } from "./run.js";
import { median } from "./statistics.js";
import { bytesText, ms, number } from "./words.js";

export interface LongRunOptions {
  readonly what: string;
  /** Acked before it ends. */
  readonly jobs: number | undefined;
  readonly directory: string;
  readonly results: string;
  readonly serverFlags: readonly string[];
  readonly progress: (line: string) => void;
  readonly signal: AbortSignal;
}

export interface Sample {
  /** Since the first one. */
  readonly seconds: number;
  readonly jobs: number;
  readonly jobsPerSecond: number;
  readonly enqueueP50Ms: number;
  readonly enqueueP99Ms: number;
  readonly lifeP99Ms: number;
  readonly diskBytes: number;
  readonly rssBytes: number;
}

export interface LongResult {
  readonly bench: string;
  readonly title: string;
  readonly jobs: number;
  readonly seconds: number;
  readonly jobsPerSecond: number;
  readonly machine: MachineFacts;
  readonly settings: object;
  readonly samples: readonly Sample[];
  readonly counted: Totals & QueueCounts;
}

const sampleMs = 1000;
const kinds: Readonly<Record<string, { readonly question: QuestionId; readonly jobs: number }>> = {
  jobs: { question: "l1", jobs: 10_000_000 },
  groups: { question: "groups", jobs: 5_000_000 },
};
/** Jobs of each group that are queued before. */
const jobsOfGroup = 2;

/** Resolves with a few words; the samples and the plot are in the results' directory. */
export async function runLongs(options: LongRunOptions): Promise<string> {
  const kind = kinds[options.what];
  if (kind === undefined) throw new Error(`there is no long run of ${options.what}`);
  const jobs = options.jobs ?? kind.jobs;
  const name = `long_${options.what}`;
  const directory = mkdtempSync(join(options.directory, "capstan-bench-"));
  try {
    const dataDir = join(directory, "data");
    const server = await ChildServer.start(dataDir, options.serverFlags);
    try {
      const result = await through(server, dataDir, kind.question, jobs, name, options);
      const recording = new Recording(options.results, name);
      recording.add(`npx capstan bench long ${options.what} --jobs ${jobs}`, 1, result);
      recording.finish();
      return summary(result, plot(options.results, name));
    } finally {
      await server.stop();
    }
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

async function through(
  server: ChildServer,
  dataDir: string,
  id: QuestionId,
  jobs: number,
  name: string,
  options: LongRunOptions,
): Promise<LongResult> {
  const question = questions[id];
  const { address } = server;
  const { progress, signal } = options;
  const queue = queueName(name.replace("_", "-"));
  const { groups, payloadBytes } = question.settings;
  let before = emptyQueue;
  if (groups !== undefined) {
    const queued = groups * jobsOfGroup;
    await Promise.race([fill({ address, queue, jobs: queued, payloadBytes, groups, progress, signal }), server.failed]);
    before = await countsOf(address, queue);
  }
  const load: Load = {
    question,
    address,
    server,
    queue,
    threads: 1,
    warmUpSeconds: 0,
    seconds: 0,
    before,
    progress,
    signal,
  };
  return withThreads(load, async (threads, whileAlive) => {
    threads.measure();
    const startMs = performance.now();
    const samples: Sample[] = [];
    let last = { atMs: startMs, jobs: 0 };
    while (last.jobs < jobs) {
      await whileAlive(pause(sampleMs));
      const latencies = await whileAlive(threads.sample());
      const now = { atMs: performance.now(), jobs: threads.totals().acked };
      const jobsPerSecond = Math.round(((now.jobs - last.jobs) / (now.atMs - last.atMs)) * 1000);
      samples.push({
        seconds: Number(((now.atMs - startMs) / 1000).toFixed(2)),
        jobs: now.jobs,
        jobsPerSecond,
        enqueueP50Ms: latencies.get("enqueue")?.percentile(0.5) ?? 0,
        enqueueP99Ms: latencies.get("enqueue")?.percentile(0.99) ?? 0,
        lifeP99Ms: latencies.get("life")?.percentile(0.99) ?? 0,
        diskBytes: bytesBelow(dataDir),
        rssBytes: server.rssBytes(),
      });
      progress(`${now.jobs} of ${jobs} jobs acked, ${jobsPerSecond} jobs/s`);
      last = now;
    }
    await whileAlive(threads.finish());
    const seconds = (last.atMs - startMs) / 1000;
    return {
      bench: name,
      title: question.title,
      jobs: last.jobs,
      seconds,
      jobsPerSecond: Math.round(last.jobs / seconds),
      machine: machineFacts(dataDir),
      settings: { ...question.settings, serverFlags: options.serverFlags },
      samples,
      counted: await countBack(load, threads.totals()),
    };
  });
}

/** Draws the last recording of this name anew; returns the path. */
export function plot(results: string, name: string): string {
  const [result] = readRecording<LongResult>(results, name);
  if (result === undefined) throw new Error(`there is no recording ${name} in ${results}`);
  const { samples } = result;
  const points = (read: (sample: Sample) => number): Point[] =>
    samples.map((sample) => [sample.jobs / 1e6, read(sample)]);
  const chart = lineChart(`${result.title}: ${number(result.jobs)} jobs`, "million jobs acked", [
    { title: "jobs a second", series: [{ name: "acked", points: points((sample) => sample.jobsPerSecond) }] },
    {
      title: "latency in ms",
      series: [
        { name: "enqueue p50", points: points((sample) => sample.enqueueP50Ms) },
        { name: "enqueue p99", points: points((sample) => sample.enqueueP99Ms) },
        { name: "life p99", points: points((sample) => sample.lifeP99Ms) },
      ],
    },
    {
      title: "MiB on disk and resident",
      series: [
        { name: "disk", points: points((sample) => sample.diskBytes / 2 ** 20) },
        { name: "resident", points: points((sample) => sample.rssBytes / 2 ** 20) },
      ],
    },
  ]);
  const path = join(results, `${name}.svg`);
  writeFileSync(path, chart);
  return path;
}

/** The first and the last fifth of the samples: a run that is level has the same in both. */
export function levelOf(samples: readonly Sample[], read: (sample: Sample) => number): { first: number; last: number } {
  const fifth = Math.max(1, Math.floor(samples.length / 5));
  return { first: median(samples.slice(0, fifth).map(read)), last: median(samples.slice(-fifth).map(read)) };
}

function summary(result: LongResult, path: string): string {
  const of = (read: (sample: Sample) => number, text: (value: number) => string) => {
    const { first, last } = levelOf(result.samples, read);
    return `${text(first)} in the first fifth, ${text(last)} in the last`;
  };
  return [
    `${number(result.jobs)} jobs in ${result.seconds.toFixed(1)} s, ${number(result.jobsPerSecond)} jobs/s`,
    `jobs/s       ${of((sample) => sample.jobsPerSecond, number)}`,
    `enqueue p99  ${of((sample) => sample.enqueueP99Ms, ms)}`,
    `disk         ${of((sample) => sample.diskBytes, bytesText)}`,
    `memory       ${of((sample) => sample.rssBytes, bytesText)}`,
    `plotted in   ${path}\n`,
  ].join("\n");
}

/** Blocks that the files take, so that a preallocated log counts as it lies. A file may go while it is looked at. */
function bytesBelow(directory: string): number {
  let bytes = 0;
  for (const entry of readdirSync(directory, { withFileTypes: true, recursive: true })) {
    if (!entry.isFile()) continue;
    const stat = statSync(join(entry.parentPath ?? entry.path, entry.name), { throwIfNoEntry: false });
    bytes += (stat?.blocks ?? 0) * 512;
  }
  return bytes;
}
