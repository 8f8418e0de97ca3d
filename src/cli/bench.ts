// Owns: the verb `capstan bench`: its flags and their bounds. The benchmarks themselves lie beside the product, in bench/, and
// are built by `npm run build` only, so this file loads them when the verb is used. It never measures anything. Called by
// the command line's main.

import { existsSync, statSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { Command, InvalidArgumentError } from "commander";
import type { Exit } from "./connect.js";
import { exitCode } from "./exit_codes.js";
import { count } from "./options.js";

export interface BenchOptions {
  readonly bench: string;
  readonly seconds: number;
  readonly warmUpSeconds: number;
  readonly directory: string;
  readonly address?: string | undefined;
  readonly serverFlags: readonly string[];
  readonly threads: number;
  readonly floorSeconds: number;
  readonly queuedJobs: number;
  readonly json: boolean;
}

/** Of the verbs that keep what they measure. */
export interface KeptOptions {
  readonly seconds: number;
  readonly warmUpSeconds: number;
  readonly rounds: number;
  readonly directory: string;
  readonly floorSeconds: number;
  readonly queuedJobs: number;
  readonly results: string;
}

export interface LongOptions {
  readonly what: string;
  readonly jobs: number | undefined;
  readonly directory: string;
  readonly results: string;
  readonly serverFlags: readonly string[];
}

/** What bench/main.ts is to this file. */
interface BenchProgram {
  runBench(options: BenchOptions): Promise<number>;
  runRecord(benches: readonly string[], options: KeptOptions): Promise<number>;
  runMatrix(comparisons: readonly string[], options: KeptOptions): Promise<number>;
  runLong(options: LongOptions): Promise<number>;
  runBaseline(options: KeptOptions): Promise<number>;
}

interface Flags {
  readonly seconds: number;
  readonly warmUp: number;
  readonly dir: string;
  readonly addr?: string;
  readonly threads: number;
  readonly floor: number | false;
  readonly jobs: number;
  readonly json?: boolean;
}

interface KeptFlags {
  readonly seconds: number;
  readonly warmUp: number;
  readonly rounds: number;
  readonly dir: string;
  readonly floor?: number;
  readonly jobs?: number;
  readonly results: string;
}

const benchIds = ["e1", "l1", "u1", "p1", "p2", "b1", "b2"];
const secondsMax = 3600;
const threadsMax = 16;
const jobsMax = 100_000_000;
const queuedJobsDefault = 5_000_000;
const roundsMax = 100;
const root = join(dirname(fileURLToPath(import.meta.url)), "..", "..", "..");
/** Beside the built src/: src/ itself imports nothing of bench/. */
const program = join(root, "dist", "bench", "main.js");
const resultsDefault = join(root, "bench", "results");

/** `exit` is told the exit code of the run. */
export function benchCommand(exit: Exit): Command {
  return new Command("bench")
    .description("measure one question of docs/benchmarks.md on a server of its own")
    .enablePositionalOptions()
    .argument("<question>", `one of ${benchIds.join(", ")}, or a command below`, benchId)
    .argument("[flags...]", "flags of that server, behind --")
    .option("--seconds <number>", "measured time", within(0.1, secondsMax), 10)
    .option("--warm-up <seconds>", "load before the measured time", within(0, secondsMax), 2)
    .option("--addr <host:port>", "a server that runs already; it keeps the queue of the run")
    .option("--dir <directory>", "where a directory for the run is made, and removed at its end", directory, ".")
    .option("--threads <number>", "load threads", count(1, threadsMax), 1)
    .option("--floor <seconds>", "of each loop of the floor", within(0.1, 60), 1)
    .option("--no-floor", "leave the floor out")
    .option("--jobs <number>", "queued before b1 and b2 measure", count(1, jobsMax), queuedJobsDefault)
    .option("--json", "one object instead of a table")
    .addHelpText("after", help)
    .addCommand(recordCommand(exit))
    .addCommand(matrixCommand(exit))
    .addCommand(longCommand(exit))
    .addCommand(baselineCommand(exit))
    .action(async (id: string, serverFlags: string[], flags: Flags, command: Command) => {
      if (flags.addr !== undefined && serverFlags.length > 0) {
        command.error("error: flags behind -- are for a server of the run's own, and --addr names another");
      }
      if (flags.addr !== undefined && (id === "b1" || id === "b2")) {
        command.error(`error: ${id} fills and ends servers of its own, so there is no --addr for it`);
      }
      exit(await inProgram((bench) => bench.runBench(benchOptions(id, serverFlags, flags))));
    });
}

const help = `
Questions:
  e1  enqueue: 10 connections, batches of 64, each waits for its answer
  l1  enqueue, fetch and ack at once, batches of 64
  u1  single-job enqueues, 512 outstanding on 16 connections
  p1  idle enqueue to ok, one at a time
  p2  enqueue until a parked worker has the job, one at a time
  b1  e1 and l1 with 5 million jobs queued, against an empty queue
  b2  restart with 5 million jobs: time to the ready line, resident memory then

Examples:
  capstan bench e1
  capstan bench u1 --seconds 30 --json
  capstan bench b1 --jobs 1000000
  capstan bench e1 -- --workers 2 --sync never

Exit codes: 0 measured and every job counted back, 1 the run failed or the jobs do not add up, 2 usage, 130 and 143
ended by SIGINT and SIGTERM.`;

function recordCommand(exit: Exit): Command {
  return kept(new Command("record"), { seconds: 20, rounds: 5 })
    .description("run questions several times, keep their raw results and print the medians")
    .argument("[questions...]", `of ${benchIds.join(", ")}; all of them without`, eachOf(benchId), [])
    .addHelpText("after", "\nExamples:\n  capstan bench record\n  capstan bench record e1 l1 --rounds 3 --seconds 5")
    .option("--floor <seconds>", "of each loop of the floor", within(0.1, 60), 1)
    .option("--jobs <number>", "queued before b1 and b2 measure", count(1, jobsMax), queuedJobsDefault)
    .action(async (benches: string[], flags: KeptFlags) => {
      const asked = benches.length > 0 ? benches : benchIds;
      exit(await inProgram((bench) => bench.runRecord(asked, keptOptions(flags))));
    });
}

function matrixCommand(exit: Exit): Command {
  return kept(new Command("matrix"), { seconds: 10, rounds: 3 })
    .description("compare settings with their alternatives in turn, A B A B, and keep the raw results")
    .argument("[comparisons...]", "names, or their beginnings; all of them without", [])
    .addHelpText("after", "\nExamples:\n  capstan bench matrix\n  capstan bench matrix coalescing sync --rounds 5")
    .action(async (comparisons: string[], flags: KeptFlags) => {
      exit(await inProgram((bench) => bench.runMatrix(comparisons, keptOptions(flags))));
    });
}

function longCommand(exit: Exit): Command {
  return new Command("long")
    .description("ten million jobs through one queue, or through 100,000 groups of one; plots latency and disk")
    .addHelpText("after", "\nExamples:\n  capstan bench long jobs\n  capstan bench long groups --jobs 1000000")
    .argument("<what>", "jobs or groups", oneOf(["jobs", "groups"]))
    .argument("[flags...]", "flags of the server, behind --")
    .option("--jobs <number>", "jobs that go through: 10,000,000, or with groups 5,000,000", count(1, jobsMax))
    .option("--dir <directory>", "where a directory for the run is made", directory, ".")
    .option("--results <directory>", "where raw results and plots are kept", resultsDefault)
    .action(async (what: string, serverFlags: string[], flags: { jobs?: number; dir: string; results: string }) => {
      const options = { what, serverFlags, jobs: flags.jobs, directory: flags.dir, results: flags.results };
      exit(await inProgram((bench) => bench.runLong(options)));
    });
}

function baselineCommand(exit: Exit): Command {
  return kept(new Command("baseline"), { seconds: 10, rounds: 3 })
    .description("the same writes through the npm package rocksdb and through the addon, in one event loop")
    .addHelpText("after", "\nExamples:\n  npm run bench:baseline:install\n  capstan bench baseline --seconds 5")
    .action(async (flags: KeptFlags) => {
      exit(await inProgram((bench) => bench.runBaseline(keptOptions(flags))));
    });
}

function kept(command: Command, defaults: { readonly seconds: number; readonly rounds: number }): Command {
  return command
    .option("--seconds <number>", "measured time of each run", within(0.1, secondsMax), defaults.seconds)
    .option("--warm-up <seconds>", "load before the measured time", within(0, secondsMax), 2)
    .option("--rounds <number>", "runs of each", count(1, roundsMax), defaults.rounds)
    .option("--dir <directory>", "where a directory for each run is made", directory, ".")
    .option("--results <directory>", "where raw results are kept", resultsDefault);
}

function benchOptions(bench: string, serverFlags: readonly string[], flags: Flags): BenchOptions {
  return {
    bench,
    seconds: flags.seconds,
    warmUpSeconds: flags.warmUp,
    directory: flags.dir,
    address: flags.addr,
    serverFlags,
    threads: flags.threads,
    floorSeconds: flags.floor === false ? 0 : flags.floor,
    queuedJobs: flags.jobs,
    json: flags.json === true,
  };
}

function keptOptions(flags: KeptFlags): KeptOptions {
  return {
    seconds: flags.seconds,
    warmUpSeconds: flags.warmUp,
    rounds: flags.rounds,
    directory: flags.dir,
    floorSeconds: flags.floor ?? 0,
    queuedJobs: flags.jobs ?? queuedJobsDefault,
    results: flags.results,
  };
}

async function inProgram(use: (bench: BenchProgram) => Promise<number>): Promise<number> {
  if (!existsSync(program)) {
    process.stderr.write("capstan bench: the benchmarks are not built yet. Run: npm run build\n");
    return exitCode.failed;
  }
  return use((await import(pathToFileURL(program).href)) as BenchProgram);
}

function benchId(text: string): string {
  return oneOf(benchIds)(text);
}

function oneOf(known: readonly string[]): (text: string) => string {
  return (text) => {
    if (!known.includes(text)) throw new InvalidArgumentError(`It is one of ${known.join(", ")}.`);
    return text;
  };
}

/** For a list of words: Commander hands over what was read before. */
function eachOf(read: (text: string) => string): (text: string, before: unknown) => string[] {
  return (text, before) => [...(Array.isArray(before) ? (before as string[]) : []), read(text)];
}

function within(least: number, most: number): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (text.trim() === "" || !(value >= least && value <= most)) {
      throw new InvalidArgumentError(`It is at least ${least} and at most ${most}.`);
    }
    return value;
  };
}

function directory(text: string): string {
  if (!(statSync(text, { throwIfNoEntry: false })?.isDirectory() ?? false)) {
    throw new InvalidArgumentError(`There is no such directory: mkdir -p ${text}`);
  }
  return text;
}
