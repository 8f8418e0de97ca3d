// A real server process for a test: starts `capstan server` on a directory of its own and a free port, waits for the
// ready line, keeps what it says, and leaves nothing behind. Owns the process and the directory.

import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

/** The checkout: this file runs from dist/test/support. */
export const root = fileURLToPath(new URL("../../..", import.meta.url));

export const capstan = join(root, "scripts", "capstan.mjs");

const startMsMax = 60_000;

export interface ServerProcessOptions {
  /** Kept by the caller when given; else made, and removed by `dispose`. */
  dataDir?: string;
  flags?: readonly string[];
  environment?: Readonly<Record<string, string>>;
  /** Its limit of open files, soft and hard. */
  openFilesMax?: number;
  /** A command that runs it, such as strace with its flags. */
  under?: readonly string[];
}

export interface Exit {
  code: number | null;
  signal: NodeJS.Signals | null;
}

export class ServerProcess {
  readonly dataDir: string;
  readonly exited: Promise<Exit>;
  /** What it has written so far. */
  stdout = "";
  stderr = "";
  private readonly child: ChildProcess;
  private readonly ownsDirectory: boolean;
  private readonly isUnder: boolean;
  private exit: Exit | undefined;

  constructor(options: ServerProcessOptions = {}) {
    this.ownsDirectory = options.dataDir === undefined;
    this.isUnder = options.under !== undefined;
    this.dataDir = options.dataDir ?? temporaryDirectory();
    const flags = ["--data-dir", this.dataDir, "--rpc-listen", "127.0.0.1:0", ...(options.flags ?? [])];
    const words = [...(options.under ?? []), process.execPath, capstan, "server", ...flags];
    const [file, ...args] =
      options.openFilesMax === undefined
        ? words
        : ["/bin/sh", "-c", 'ulimit -n "$0" && exec "$@"', String(options.openFilesMax), ...words];
    this.child = spawn(file as string, args, {
      stdio: ["ignore", "pipe", "pipe"],
      env: { PATH: process.env["PATH"], HOME: process.env["HOME"], ...options.environment },
    });
    this.child.stdout?.setEncoding("utf8").on("data", (text: string) => {
      this.stdout += text;
    });
    this.child.stderr?.setEncoding("utf8").on("data", (text: string) => {
      this.stderr += text;
    });
    this.exited = once(this.child, "close").then(([code, signal]: unknown[]) => {
      this.exit = { code: code as number | null, signal: signal as NodeJS.Signals | null };
      return this.exit;
    });
  }

  get pid(): number {
    assert.ok(this.child.pid !== undefined);
    return this.child.pid;
  }

  get hasExited(): boolean {
    return this.exit !== undefined;
  }

  /** Waits for the ready line; returns what `rpc=` names. */
  async ready(): Promise<string> {
    await this.says(/^capstan ready rpc=(\S+)/m, "stdout");
    return /^capstan ready rpc=(\S+)/m.exec(this.stdout)?.[1] ?? assert.fail("no address");
  }

  /** Waits until it has written `pattern`. */
  async says(pattern: RegExp, stream: "stdout" | "stderr" = "stderr"): Promise<void> {
    const giveUpMs = performance.now() + startMsMax;
    while (!pattern.test(this[stream])) {
      assert.ok(!this.hasExited, `the server ended (${JSON.stringify(this.exit)}):\n${this.stdout}${this.stderr}`);
      assert.ok(performance.now() < giveUpMs, `the server never said ${pattern}:\n${this.stdout}${this.stderr}`);
      await Promise.race([
        this.exited,
        once(this.child[stream] as NodeJS.ReadableStream as never, "data", { signal: AbortSignal.timeout(1000) }).catch(
          () => {},
        ),
      ]);
    }
  }

  kill(signal: NodeJS.Signals): void {
    // Under another command it is not the child; it names itself once it is ready.
    const own = this.isUnder ? /^capstan ready .* pid=(\d+)/m.exec(this.stdout)?.[1] : undefined;
    if (own === undefined || this.hasExited) this.child.kill(signal);
    else process.kill(Number(own), signal);
  }

  /** Stops it in order; fails unless it exits 0. */
  async stop(): Promise<void> {
    this.kill("SIGTERM");
    const exit = await this.exited;
    assert.deepEqual(exit, { code: 0, signal: null }, this.stderr);
  }

  /** Ends it however it is, and removes its directory. */
  async dispose(): Promise<void> {
    if (!this.hasExited) {
      this.kill("SIGKILL");
      await this.exited;
    }
    if (this.ownsDirectory) rmSync(this.dataDir, { recursive: true, force: true });
  }
}

export function temporaryDirectory(): string {
  return mkdtempSync(join(tmpdir(), "capstan-test-"));
}
