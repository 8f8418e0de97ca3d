// Owns: one run of a command for one job: its process group, what goes in, the end of what it wrote to standard error, and
// how it ended. Never talks to the server. Called by worker.ts.
//
// The command leads a process group of its own, so that its children go with it, and a Ctrl-C at the terminal reaches the
// worker alone.

import { type ChildProcess, spawn } from "node:child_process";
import { accessSync, constants, statSync } from "node:fs";
import { join } from "node:path";

export const reasonBytesMax = 8 * 1024;
/** What a command's children may still write once it has ended. */
const drainMsMax = 500;

export type CommandEnd =
  | { readonly kind: "exited"; readonly code: number; readonly errorTail: Buffer }
  | { readonly kind: "killed"; readonly signal: NodeJS.Signals; readonly errorTail: Buffer }
  | { readonly kind: "notStarted"; readonly error: NodeJS.ErrnoException };

export interface CommandOptions {
  readonly command: readonly string[];
  readonly input: Uint8Array;
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** Gets standard error as it comes. */
  readonly errors: (chunk: Buffer) => void;
}

export class RunningCommand {
  readonly ended: Promise<CommandEnd>;
  private readonly child: ChildProcess | null = null;
  private readonly tail = new Tail(reasonBytesMax);
  private isOver = false;
  private isKilled = false;
  private killTimer: NodeJS.Timeout | undefined;

  constructor(options: CommandOptions) {
    const [file = "", ...args] = options.command;
    let child: ChildProcess;
    try {
      child = spawn(file, args, {
        detached: true,
        stdio: ["pipe", "inherit", "pipe"],
        env: options.environment as NodeJS.ProcessEnv,
      });
    } catch (error) {
      this.ended = Promise.resolve({ kind: "notStarted", error: error as NodeJS.ErrnoException });
      return;
    }
    this.child = child;
    child.stderr?.on("data", (chunk: Buffer) => {
      this.tail.push(chunk);
      options.errors(chunk);
    });
    child.stderr?.on("error", () => {});
    // A command need not read its input.
    child.stdin?.on("error", () => {});
    child.stdin?.end(options.input);
    this.ended = this.watch(child);
  }

  /** To the whole group: `SIGTERM`, and `SIGKILL` for what is left after `graceMs`. */
  terminate(graceMs: number): void {
    if (this.isOver || this.isKilled) return;
    this.isKilled = true;
    this.toGroup("SIGTERM");
    this.killTimer = setTimeout(() => this.toGroup("SIGKILL"), graceMs);
  }

  kill(): void {
    this.isKilled = true;
    this.toGroup("SIGKILL");
  }

  private watch(child: ChildProcess): Promise<CommandEnd> {
    return new Promise((resolve) => {
      child.once("error", (error: NodeJS.ErrnoException) => {
        // Other errors, such as a signal that could not be sent, come while it runs.
        if (child.pid === undefined) resolve({ kind: "notStarted", error });
      });
      child.once("exit", (code, signal) => {
        // What is left of a killed group ends with its leader.
        if (this.isKilled) this.toGroup("SIGKILL");
        this.isOver = true;
        clearTimeout(this.killTimer);
        child.stdin?.destroy();
        this.drain(child).then(() => {
          const errorTail = this.tail.bytes();
          if (signal !== null) resolve({ kind: "killed", signal, errorTail });
          else resolve({ kind: "exited", code: code ?? 0, errorTail });
        });
      });
    });
  }

  /** A process left in the background may hold standard error open for ever: it is given a moment. */
  private drain(child: ChildProcess): Promise<void> {
    const { stderr } = child;
    if (stderr === null || stderr.closed) return Promise.resolve();
    return new Promise((resolve) => {
      const timer = setTimeout(() => {
        stderr.destroy();
        resolve();
      }, drainMsMax);
      stderr.once("close", () => {
        clearTimeout(timer);
        resolve();
      });
    });
  }

  private toGroup(signal: NodeJS.Signals): void {
    const pid = this.child?.pid;
    if (pid === undefined || this.isOver) return;
    try {
      process.kill(-pid, signal);
    } catch (error) {
      // It ended by itself just now.
      if ((error as NodeJS.ErrnoException).code !== "ESRCH") throw error;
    }
  }
}

/** The last bytes of a stream. */
export class Tail {
  private chunks: Buffer[] = [];
  private held = 0;

  constructor(private readonly bytesMax: number) {}

  push(chunk: Buffer): void {
    this.chunks.push(chunk);
    this.held += chunk.length;
    while (this.held - (this.chunks[0]?.length ?? 0) >= this.bytesMax) {
      this.held -= this.chunks.shift()?.length ?? 0;
    }
    // Many small writes must not become many small buffers.
    if (this.chunks.length > 64) this.chunks = [Buffer.concat(this.chunks)];
  }

  bytes(): Buffer {
    const all = Buffer.concat(this.chunks);
    return all.subarray(Math.max(0, all.length - this.bytesMax));
  }
}

/** Why the command cannot be run; undefined where it can. As execvp(3) looks for it: with a slash as it is, else in PATH. */
export function commandProblem(file: string, environment: NodeJS.ProcessEnv = process.env): string | undefined {
  if (file === "") return "the command is empty";
  const path = environment["PATH"] ?? "/usr/local/bin:/usr/bin:/bin";
  const places = file.includes("/") ? [file] : path.split(":").map((folder) => join(folder || ".", file));
  const there = places.filter((place) => statSync(place, { throwIfNoEntry: false })?.isFile() === true);
  if (there.length === 0) {
    return file.includes("/") ? `there is no file ${file}` : `there is no command ${file} in PATH`;
  }
  return there.some(isExecutable) ? undefined : `${there[0]} is not executable`;
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
