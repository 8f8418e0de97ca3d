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
  readonly question: string;
  readonly seconds: number;
  readonly warmUpSeconds: number;
  readonly directory: string;
  readonly address?: string | undefined;
  readonly serverFlags: readonly string[];
  readonly threads: number;
  readonly floorSeconds: number;
  readonly json: boolean;
}

/** What bench/main.ts is to this file. */
interface BenchProgram {
  runBench(options: BenchOptions): Promise<number>;
}

interface Flags {
  readonly seconds: number;
  readonly warmUp: number;
  readonly dir: string;
  readonly addr?: string;
  readonly threads: number;
  readonly floor: number | false;
  readonly json?: boolean;
}

const questionIds = ["e1", "l1", "u1", "p1", "p2"];
const secondsMax = 3600;
const threadsMax = 16;
/** Beside the built src/: src/ itself imports nothing of bench/. */
const program = join(dirname(fileURLToPath(import.meta.url)), "..", "..", "bench", "main.js");

/** `exit` is told the exit code of the run. */
export function benchCommand(exit: Exit): Command {
  return new Command("bench")
    .description("measure one question of docs/benchmarks.md on a server of its own")
    .argument("<question>", `one of ${questionIds.join(", ")}`, question)
    .argument("[flags...]", "flags of that server, behind --")
    .option("--seconds <number>", "measured time", within(0.1, secondsMax), 10)
    .option("--warm-up <seconds>", "load before the measured time", within(0, secondsMax), 2)
    .option("--addr <host:port>", "a server that runs already; it keeps the queue of the run")
    .option("--dir <directory>", "where a directory for the run is made, and removed at its end", directory, ".")
    .option("--threads <number>", "load threads", count(1, threadsMax), 1)
    .option("--floor <seconds>", "of each loop of the floor", within(0.1, 60), 1)
    .option("--no-floor", "leave the floor out")
    .option("--json", "one object instead of a table")
    .addHelpText("after", help)
    .action(async (id: string, serverFlags: string[], flags: Flags, command: Command) => {
      if (flags.addr !== undefined && serverFlags.length > 0) {
        command.error("error: flags behind -- are for a server of the run's own, and --addr names another");
      }
      exit(await bench(id, serverFlags, flags));
    });
}

const help = `
Questions:
  e1  enqueue: 10 connections, batches of 64, each waits for its answer
  l1  enqueue, fetch and ack at once, batches of 64
  u1  single-job enqueues, 512 outstanding on 16 connections
  p1  idle enqueue to ok, one at a time
  p2  enqueue until a parked worker has the job, one at a time

Examples:
  capstan bench e1
  capstan bench u1 --seconds 30 --json
  capstan bench e1 -- --workers 2 --sync never

Exit codes: 0 measured and every job counted back, 1 the run failed or the jobs do not add up, 2 usage, 130 and 143
ended by SIGINT and SIGTERM.`;

async function bench(id: string, serverFlags: readonly string[], flags: Flags): Promise<number> {
  if (!existsSync(program)) {
    process.stderr.write("capstan bench: the benchmarks are not built yet. Run: npm run build\n");
    return exitCode.failed;
  }
  const { runBench } = (await import(pathToFileURL(program).href)) as BenchProgram;
  return runBench({
    question: id,
    seconds: flags.seconds,
    warmUpSeconds: flags.warmUp,
    directory: flags.dir,
    address: flags.addr,
    serverFlags,
    threads: flags.threads,
    floorSeconds: flags.floor === false ? 0 : flags.floor,
    json: flags.json === true,
  });
}

function question(text: string): string {
  if (!questionIds.includes(text)) throw new InvalidArgumentError(`It is one of ${questionIds.join(", ")}.`);
  return text;
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
