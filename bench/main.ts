// Runs one question for a person or a script: progress on standard error, the table or one JSON object on standard
// output. Owns the process's signals while it runs. It parses no flags: src/cli/bench.ts does, and loads this file when
// the verb is used.

import type { BenchOptions } from "../src/cli/bench.js";
import { exitCode, exitCodeOfSignal } from "../src/cli/exit_codes.js";
import { isQuestionId } from "./questions.js";
import { CountMismatch, run } from "./run.js";
import { tableOf } from "./table.js";

/** Resolves with the exit code of the process. */
export async function runBench(options: BenchOptions): Promise<number> {
  const progress = new Progress();
  if (!isQuestionId(options.question)) {
    process.stderr.write(`capstan bench: there is no question ${options.question}\n`);
    return exitCode.usage;
  }
  const stop = new AbortController();
  let signal: "SIGINT" | "SIGTERM" = "SIGINT";
  const onSignal = (given: "SIGINT" | "SIGTERM") => {
    signal = given;
    stop.abort();
  };
  process.on("SIGINT", onSignal).on("SIGTERM", onSignal);
  try {
    const result = await run({
      ...options,
      question: options.question,
      progress: (line) => progress.say(line),
      signal: stop.signal,
    });
    progress.end();
    process.stdout.write(options.json ? `${JSON.stringify(result)}\n` : tableOf(result));
    return exitCode.ok;
  } catch (error) {
    progress.end();
    if (stop.signal.aborted) {
      process.stderr.write("capstan bench: stopped; there is no result\n");
      return exitCodeOfSignal(signal);
    }
    const text = error instanceof Error ? error.message : String(error);
    const what = error instanceof CountMismatch ? "the jobs do not add up: " : "";
    process.stderr.write(`capstan bench: ${what}${text}\n`);
    return exitCode.failed;
  } finally {
    process.off("SIGINT", onSignal).off("SIGTERM", onSignal);
  }
}

/** On a terminal one line that is written over; otherwise a line for each. Warnings always stay. */
class Progress {
  private readonly isTerminal = process.stderr.isTTY === true;
  private width = 0;

  say(line: string): void {
    if (!this.isTerminal) {
      process.stderr.write(`${line}\n`);
      return;
    }
    const end = line.startsWith("warning") ? "\n" : "";
    process.stderr.write(`\r${line.padEnd(this.width)}${end}`);
    this.width = end === "" ? line.length : 0;
  }

  end(): void {
    if (this.width > 0) process.stderr.write(`\r${" ".repeat(this.width)}\r`);
    this.width = 0;
  }
}
