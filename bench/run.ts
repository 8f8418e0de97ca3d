// One run of a benchmark: floor, server, load, count, result. Owns the order of it all and the directory of the run,
// which is gone at the end. It never prints: progress goes to the caller. Called by main.ts, record.ts and matrix.ts.
//
//   directory ▶ floor ▶ server ready ▶ threads connected ▶ warm-up ▶ measured time ▶ last answers ▶ counted back
//
// Throughput is what was answered within the measured time; the counting covers the whole run.

import { execFile } from "node:child_process";
import { randomBytes } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { promisify } from "node:util";
import { measureBacklog } from "./backlog.js";
import { ChildServer, capstan, childEnvironment } from "./child_server.js";
import { type Floor, measureFloor } from "./floor.js";
import { fileSystemWarning, type MachineFacts, machineFacts } from "./machine.js";
import { measure } from "./measure.js";
import type { BenchId, Question } from "./question.js";
import { isQuestionId, questions } from "./questions.js";
import { measureRestart } from "./restart.js";
import { type Result, type RunSettings, resultOf } from "./result.js";

export interface RunOptions {
  readonly bench: BenchId;
  /** Measured time. */
  readonly seconds: number;
  readonly warmUpSeconds: number;
  /** An empty one beneath it holds the data of the run. */
  readonly directory: string;
  /** A server that runs already, instead of one of the run's own. */
  readonly address?: string | undefined;
  /** Flags of the run's own server. */
  readonly serverFlags: readonly string[];
  readonly threads: number;
  /** Of each of the floor's loops; 0 leaves the floor out. */
  readonly floorSeconds: number;
  /** Queued before b1 and b2 measure. */
  readonly queuedJobs: number;
  /** For people; one line without its end. */
  readonly progress: (line: string) => void;
  readonly signal?: AbortSignal | undefined;
}

/** What every run has, whichever loads it makes. */
export interface Stage {
  readonly options: RunOptions;
  /** Empty, and removed after the run. */
  readonly directory: string;
  readonly machine: MachineFacts;
  readonly floor: Floor | undefined;
  readonly sync: string;
}

const lastWordsMs = 500;

export async function run(options: RunOptions): Promise<Result> {
  const directory = mkdtempSync(join(options.directory, "capstan-bench-"));
  try {
    const machine = machineFacts(directory);
    const warning = fileSystemWarning(machine.fileSystem);
    if (warning !== undefined) options.progress(`warning: ${warning}`);
    const sync = options.address === undefined ? await syncOf(options.serverFlags) : "as the server has it";
    const floor = await floorOf(options, directory);
    const stage = { options, directory, machine, floor, sync };
    if (options.bench === "b1") return await measureBacklog(stage);
    if (options.bench === "b2") return await measureRestart(stage);
    return await measureQuestion(stage, questions[options.bench]);
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

async function measureQuestion(stage: Stage, question: Question): Promise<Result> {
  const { options } = stage;
  const threads = Math.min(options.threads, question.threadsMax);
  const load = {
    question,
    queue: queueName(question.id),
    threads,
    warmUpSeconds: options.warmUpSeconds,
    seconds: options.seconds,
    progress: options.progress,
    signal: options.signal,
  };
  const around = { ...stage, settings: settingsOf(stage, question) };
  const { address } = options;
  if (address !== undefined) return resultOf(question, await measure({ ...load, address }), around);
  return withServer(stage, "data", async (server) =>
    resultOf(question, await measure({ ...load, server, address: server.address }), around),
  );
}

/** A server of the run's own on `name` below its directory, stopped in order after `body`. */
export async function withServer<T>(stage: Stage, name: string, body: (server: ChildServer) => Promise<T>): Promise<T> {
  stage.options.progress("starting a server");
  const server = await ChildServer.start(join(stage.directory, name), stage.options.serverFlags);
  try {
    return await body(server);
  } catch (error) {
    // A server that dies closes its connections first; why it died says more than that.
    await Promise.race([server.failed, pause(lastWordsMs)]);
    throw error;
  } finally {
    await server.stop();
  }
}

export function settingsOf(stage: Stage, question: Question): RunSettings {
  const { options, sync } = stage;
  return {
    ...question.settings,
    threads: Math.min(options.threads, question.threadsMax),
    warmUpSeconds: options.warmUpSeconds,
    sync,
    serverFlags: options.serverFlags,
  };
}

export function queueName(bench: string): string {
  return `bench-${bench}-${randomBytes(6).toString("hex")}`;
}

export function isBenchId(text: string): text is BenchId {
  return text === "b1" || text === "b2" || isQuestionId(text);
}

/** What the server will make of its flags: a result says whether its answers were durable. */
async function syncOf(flags: readonly string[]): Promise<string> {
  const words = [capstan, "config", "sync", ...flags, "--output", "json"];
  try {
    const { stdout } = await promisify(execFile)(process.execPath, words, { env: childEnvironment() });
    return (JSON.parse(stdout) as { value: string }).value;
  } catch (error) {
    const { stderr } = error as { stderr?: string };
    throw new Error(`the server's flags are not good: ${stderr ?? error}`);
  }
}

async function floorOf(options: RunOptions, directory: string): Promise<Floor | undefined> {
  if (options.floorSeconds === 0) return undefined;
  options.progress("measuring the floor");
  const floor = await measureFloor(directory, options.floorSeconds);
  if (floor === undefined) options.progress("warning: no floor, since build/Release/bench_floor is not built");
  options.signal?.throwIfAborted();
  return floor;
}
