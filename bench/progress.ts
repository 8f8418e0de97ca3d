// What is said while a benchmark runs: on a terminal one line that is written over, otherwise a line for each. Owns
// standard error and the process's signals meanwhile. It prints no result. Called by main.ts for each of its verbs, and
// by the programs beside it.

import { exitCode, exitCodeOfSignal } from "../src/cli/exit_codes.js";
import { CountMismatch } from "./measure.js";

export interface Attended {
  progress(line: string): void;
  readonly signal: AbortSignal;
}

/** Runs `body`, prints what it resolves with, and says why where it fails. Resolves with the exit code. */
export async function attend(body: (attended: Attended) => Promise<string>): Promise<number> {
  const progress = new Progress();
  const stop = new AbortController();
  let signal: "SIGINT" | "SIGTERM" = "SIGINT";
  const onSignal = (given: "SIGINT" | "SIGTERM") => {
    signal = given;
    stop.abort();
  };
  process.on("SIGINT", onSignal).on("SIGTERM", onSignal);
  try {
    const text = await body({ progress: (line) => progress.say(line), signal: stop.signal });
    progress.end();
    process.stdout.write(text);
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

/** Warnings always stay. */
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
