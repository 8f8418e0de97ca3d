// The command line as a process of its own, for tests: runs it with arguments and an input, keeps what it says, and waits
// for conditions. Owns the process. With `built: false` it needs no addon: the module is loaded without the bin's check.

import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { capstan } from "./server_process.js";

export interface CliOptions {
  readonly input?: string | Uint8Array;
  /** Standard input stays open until `endInput`. */
  readonly keepsInput?: boolean;
  readonly environment?: Readonly<Record<string, string>>;
  /** False: without scripts/capstan.mjs, which asks for the addon. */
  readonly built?: boolean;
  readonly cwd?: string;
}

export interface CliResult {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
}

const msMax = 60_000;
const mainModule = new URL("../../src/cli/main.js", import.meta.url).href;
const direct = `import { main } from "${mainModule}"; process.exitCode = await main(process.argv.slice(1));`;

export class CliProcess {
  readonly child: ChildProcess;
  readonly ended: Promise<CliResult>;
  stdout = "";
  stderr = "";
  private hasEnded = false;

  constructor(args: readonly string[], options: CliOptions = {}) {
    const front = options.built === false ? ["--input-type=module", "-e", direct, "--"] : [capstan];
    this.child = spawn(process.execPath, [...front, ...args], {
      stdio: ["pipe", "pipe", "pipe"],
      env: { PATH: process.env["PATH"], HOME: process.env["HOME"], ...options.environment },
      cwd: options.cwd,
    });
    this.child.stdin?.on("error", () => {});
    if (options.keepsInput === true) this.child.stdin?.write(options.input ?? "");
    else this.child.stdin?.end(options.input ?? "");
    this.child.stdout?.setEncoding("utf8").on("data", (text: string) => {
      this.stdout += text;
    });
    this.child.stderr?.setEncoding("utf8").on("data", (text: string) => {
      this.stderr += text;
    });
    this.ended = once(this.child, "close").then(([code, signal]) => {
      this.hasEnded = true;
      return { code, signal, stdout: this.stdout, stderr: this.stderr } as CliResult;
    });
  }

  endInput(input = ""): void {
    this.child.stdin?.end(input);
  }

  kill(signal: NodeJS.Signals): void {
    this.child.kill(signal);
  }

  /** Waits until it has written `pattern`. */
  async says(pattern: RegExp, stream: "stdout" | "stderr"): Promise<void> {
    const giveUpMs = performance.now() + msMax;
    while (!pattern.test(this[stream])) {
      assert.ok(!this.hasEnded, `it ended and never said ${pattern}:\n${this.stdout}${this.stderr}`);
      assert.ok(performance.now() < giveUpMs, `it never said ${pattern}:\n${this.stdout}${this.stderr}`);
      const next = once(this.child[stream] as NodeJS.ReadableStream as never, "data", {
        signal: AbortSignal.timeout(1000),
      });
      await Promise.race([this.ended, next.catch(() => {})]);
    }
  }

  async dispose(): Promise<void> {
    if (!this.hasEnded) this.kill("SIGKILL");
    await this.ended;
  }
}

export function runCli(args: readonly string[], options: CliOptions = {}): Promise<CliResult> {
  return new CliProcess(args, options).ended;
}

/** Standard output, one value a line. */
export function jsonLines(text: string): Record<string, unknown>[] {
  return text
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => JSON.parse(line) as Record<string, unknown>);
}
