// Owns: the command line's root: the list of verbs, and what becomes of whatever goes wrong in one: a message on standard
// error and an exit code. Never does anything itself: each verb has a file of its own. Called by scripts/capstan.mjs.

import { Command, CommanderError } from "commander";
import { CapstanError } from "../client/index.js";
import { ServerError } from "../errors.js";
import { ackCommand } from "./ack.js";
import { benchCommand } from "./bench.js";
import { completionCommand } from "./completion.js";
import { configCommand } from "./config.js";
import type { Exit } from "./connect.js";
import { deadCommand } from "./dead.js";
import { enqueueCommand } from "./enqueue.js";
import { exchangeCommand } from "./exchange.js";
import { exitCode, exitCodeOf, Failure } from "./exit_codes.js";
import { extendCommand } from "./extend.js";
import { failCommand } from "./fail.js";
import { fetchCommand } from "./fetch.js";
import { jobCommand } from "./job.js";
import { withClientFlags } from "./options.js";
import { say, watchOutputs } from "./output.js";
import { peekCommand } from "./peek.js";
import { queueCommand } from "./queue.js";
import { queuesCommand } from "./queues.js";
import { releaseCommand } from "./release.js";
import { serverCommand } from "./server.js";
import { packageVersion, versionCommand } from "./version.js";
import { workCommand } from "./work.js";

const verbs: readonly ((exit: Exit) => Command)[] = [
  serverCommand,
  enqueueCommand,
  fetchCommand,
  ackCommand,
  failCommand,
  extendCommand,
  releaseCommand,
  exchangeCommand,
  workCommand,
  peekCommand,
  jobCommand,
  deadCommand,
  queuesCommand,
  queueCommand,
  benchCommand,
  configCommand,
  versionCommand,
];

/** Runs one command; resolves with the exit code of the process. */
export async function main(argv: readonly string[]): Promise<number> {
  let code: number = exitCode.ok;
  let hasOutputFailed = false;
  watchOutputs(() => {
    hasOutputFailed = true;
    // The last write may fail when this function has returned already.
    process.exitCode = exitCode.failed;
  });
  const program = capstanProgram((given) => {
    code = given;
  });
  try {
    await program.parseAsync([...argv], { from: "user" });
    return hasOutputFailed && code === exitCode.ok ? exitCode.failed : code;
  } catch (error) {
    return failed(error);
  }
}

/** The tree of commands, also for shell completion and for whoever checks its help. */
export function capstanProgram(exit: Exit): Command {
  const program = new Command("capstan")
    .description("Capstan: a durable work queue. The server, and all that can be asked of it.")
    .version(packageVersion(), "-V, --version", "print the version")
    .helpCommand("help [command]", "print the help of a command")
    .enablePositionalOptions()
    .showHelpAfterError("(--help shows what there is)")
    .configureOutput({ outputError: (text, write) => write(text.replace(/^error:/, "capstan:")) })
    .addHelpText("after", help);
  withClientFlags(program);
  for (const verb of verbs) program.addCommand(verb(exit));
  program.addCommand(completionCommand(() => program));
  prepare(program, program);
  return program;
}

/** Every command of the tree throws instead of ending the process, and takes no argument that it does not know. */
function prepare(command: Command, program: Command): void {
  if (command !== program) command.copyInheritedSettings(program);
  command.exitOverride();
  command.allowExcessArguments(false);
  for (const child of command.commands) prepare(child, program);
}

function failed(error: unknown): number {
  // Commander has said it already.
  if (error instanceof CommanderError) {
    return error.exitCode === 0 ? exitCode.ok : exitCode.usage;
  }
  if (error instanceof Failure) {
    if (error.message !== "") say(error.message);
    return error.exitCode;
  }
  if (error instanceof ServerError) {
    say(`${error.message}${error.remedy === undefined ? "" : `\n  ${error.remedy}`}`);
    return error.exitCode;
  }
  if (error instanceof CapstanError) {
    say(errorText(error));
    return exitCodeOf(error);
  }
  const stack = error instanceof Error ? (error.stack ?? error.message) : String(error);
  process.stderr.write(`capstan: this is a fault of capstan itself\n${stack}\n`);
  return exitCode.fault;
}

/** With its code, so that it can be looked up, and when to try again. */
export function errorText(error: CapstanError): string {
  const hint = error.retryAfterMs > 0 ? ` (try again in ${error.retryAfterMs} ms)` : "";
  return `${error.code}: ${error.message}${hint}`;
}

const help = `
Examples:
  capstan server --data-dir ./capstan-data
  capstan enqueue mail '{"to":"ada@example.org"}'
  capstan fetch mail --wait 10s
  capstan work mail --concurrency 4 -- ./send-mail.sh
  capstan queues

Exit codes: 0 done, 1 refused or not done, 2 usage, 3 nothing fetched or not found, 4 lease lost, 5 no server reached,
6 a limit is reached for now, 7 outcome unknown, 70 a fault of capstan, 130 and 143 ended by SIGINT and SIGTERM.`;
