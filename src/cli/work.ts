// Owns: the verb `capstan work`: a command for each job, its flags, and the signals of the process. The worker itself is
// worker/worker.ts. Called by the command line's main.

import { hostname } from "node:os";
import { Command, Option } from "commander";
import { formatCount } from "../units.js";
import { type Exit, type Use, withClient } from "./connect.js";
import { exitCode, exitCodeOf, exitCodeOfSignal, Failure } from "./exit_codes.js";
import { Interrupts } from "./interrupts.js";
import { count, positiveDuration, timer, withClientFlags } from "./options.js";
import { say } from "./output.js";
import { commandProblem } from "./worker/command.js";
import { Worker, type WorkReport } from "./worker/worker.js";

interface Flags {
  readonly concurrency: number;
  readonly lease: number;
  readonly killAfter: number;
  readonly drain?: boolean;
  readonly worker?: string;
}

const concurrencyMax = 256;
const waitMs = 20_000;

export function workCommand(exit: Exit): Command {
  return withClientFlags(new Command("work"))
    .description("run a command for each job of a queue, with the payload on its standard input")
    .usage("[options] <queue> -- <command> [argument...]")
    .argument("<queue>")
    .argument("<command...>", "behind --; no shell stands between")
    .option("--concurrency <number>", "commands at once", count(1, concurrencyMax), 1)
    .addOption(
      new Option("--lease <duration>", "extended at a third of it while a command runs")
        .argParser(positiveDuration)
        .default(30_000, "30s"),
    )
    .addOption(
      new Option("--kill-after <duration>", "from SIGTERM to SIGKILL when a lease is lost")
        .argParser(timer)
        .default(5_000, "5s"),
    )
    .option("--drain", "end when no job is ready")
    .option("--worker <name>", "shown beside the lease (default: host:pid)")
    .addHelpText("after", help)
    .action(async (queue: string, words: string[], flags: Flags, command: Command) => {
      const problem = commandProblem(words[0] ?? "");
      // Before any job is fetched: no attempt is spent on it.
      if (problem !== undefined) throw new Failure(`cannot run the command: ${problem}`, exitCode.failed);
      await withClient(command, exit, (use) => work(use, queue, words, flags), {
        session: true,
        name: `capstan work ${queue}`,
      });
    });
}

async function work({ client }: Use, queue: string, command: readonly string[], flags: Flags): Promise<number> {
  let killedBy: "SIGINT" | "SIGTERM" | undefined;
  const worker = new Worker(client, {
    queue,
    command,
    concurrency: flags.concurrency,
    leaseMs: flags.lease,
    waitMs,
    graceMs: flags.killAfter,
    drain: flags.drain === true,
    worker: flags.worker ?? `${hostname()}:${process.pid}`,
    environment: process.env,
    say,
    errors: (chunk) => process.stderr.write(chunk),
  });
  const interrupts = new Interrupts((signal) => {
    // A third one does not wait for the server.
    if (killedBy !== undefined) process.exit(exitCodeOfSignal(signal));
    killedBy = signal;
    worker.kill();
  });
  interrupts.signal.addEventListener("abort", () => {
    if (worker.runningCount > 0) {
      say(`stopping when ${worker.runningCount} running have ended; a second signal ends them now`);
    }
    worker.stop();
  });
  try {
    return tell(await worker.run(), killedBy);
  } finally {
    interrupts.close();
  }
}

function tell(report: WorkReport, killedBy: "SIGINT" | "SIGTERM" | undefined): number {
  const counts = (["acked", "failed", "released", "lost"] as const)
    .filter((name) => name === "acked" || report[name] > 0)
    .map((name) => `${formatCount(report[name])} ${name}`);
  say(counts.join(", "));
  if (report.problem !== null) {
    const { message, error } = report.problem;
    say(`stopped: ${message}`);
    return error === null ? exitCode.failed : exitCodeOf(error);
  }
  return killedBy === undefined ? exitCode.ok : exitCodeOfSignal(killedBy);
}

const help = `
Exit status 0 acks the job; anything else fails it, with the last 8 KiB of standard error as the reason. The command finds
CAPSTAN_JOB_ID, CAPSTAN_QUEUE, CAPSTAN_ATTEMPT, CAPSTAN_TOKEN and CAPSTAN_LEASE in its environment. A lost lease ends its
whole process group. SIGTERM or SIGINT: no more jobs, running commands may end; again: they are killed, jobs given back.

Examples:
  capstan work mail -- ./send-mail.sh
  capstan work files --concurrency 4 --lease 2m -- sh -c 'sha256sum "$(cat)"'
  capstan work mail --drain -- tee -a letters.txt

Exit codes: 0 stopped in order, 1 the command cannot be run, 5 no server reached at the start, 130 and 143 after a second
signal.`;
