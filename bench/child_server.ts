// A server of the benchmark's own: a child process on a fresh data directory and a free port. Owns the process and what
// it says; reads from /proc what it costs. It never touches a server that it did not start. Called by run.ts, restart.ts
// and long.ts.

import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

export const capstan = fileURLToPath(new URL("../../scripts/capstan.mjs", import.meta.url));
/** On a machine that is busy with other things a start takes long, and is a figure all the same. */
const startMsMax = 180_000;
const stopMsMax = 60_000;
const outputCharactersMax = 16_384;
/** Without settings of the one who measures: only the flags of a run count, and they are in its result. */
export function childEnvironment(): NodeJS.ProcessEnv {
  return Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith("CAPSTAN_")));
}

/** USER_HZ, which Linux shows to every process. */
const ticksPerSecond = 100;

export class ChildServer {
  address = "";
  /** From the start of the process to its ready line. */
  readySeconds = 0;
  private readonly startedMs = performance.now();
  /** Rejects when the server ends before it was told to; never resolves. */
  readonly failed: Promise<never>;
  private readonly child: ChildProcess;
  private readonly exited: Promise<number | null>;
  private isStopping = false;
  private isKilled = false;
  private output = "";

  private constructor(dataDir: string, flags: readonly string[]) {
    const words = [capstan, "server", "--data-dir", dataDir, "--rpc-listen", "127.0.0.1:0", ...flags];
    this.child = spawn(process.execPath, words, {
      env: childEnvironment(),
      stdio: ["ignore", "pipe", "pipe"],
    });
    for (const stream of [this.child.stdout, this.child.stderr]) {
      stream?.setEncoding("utf8").on("data", (text: string) => {
        this.output = `${this.output}${text}`.slice(-outputCharactersMax);
      });
    }
    this.exited = once(this.child, "close").then(([code]: unknown[]) => code as number | null);
    this.failed = this.exited.then((code) => {
      if (this.isStopping) return new Promise<never>(() => {});
      throw new Error(`the server ended with ${code}:\n${this.output}`);
    });
    this.failed.catch(() => {});
  }

  static async start(dataDir: string, flags: readonly string[]): Promise<ChildServer> {
    const server = new ChildServer(dataDir, flags);
    const ready = new Promise<string>((resolve, reject) => {
      const late = () => reject(new Error(`the server was not ready within ${startMsMax / 1000} s:\n${server.output}`));
      setTimeout(late, startMsMax).unref();
      server.child.stdout?.on("data", () => {
        const address = /^capstan ready rpc=([^\s,]+)/m.exec(server.output)?.[1];
        if (address === undefined) return;
        server.readySeconds ||= (performance.now() - server.startedMs) / 1000;
        resolve(address);
      });
    });
    try {
      server.address = await Promise.race([ready, server.failed]);
    } catch (error) {
      await server.stop().catch(() => {});
      throw error;
    }
    return server;
  }

  /** User and system time of all its threads so far. */
  cpuSeconds(): number {
    // The name in brackets may hold anything; utime and stime are the 14th and 15th field of the line.
    const fields = readFileSync(`/proc/${this.child.pid}/stat`, "utf8")
      .replace(/^.*\) /s, "")
      .split(" ");
    return (Number(fields[11]) + Number(fields[12])) / ticksPerSecond;
  }

  peakRssBytes(): number {
    return this.statusBytes("VmHWM");
  }

  rssBytes(): number {
    return this.statusBytes("VmRSS");
  }

  /** Sent to storage on its behalf so far; undefined where the kernel does not count it. */
  writtenBytes(): number | undefined {
    try {
      const io = readFileSync(`/proc/${this.child.pid}/io`, "utf8");
      const bytes = /^write_bytes: (\d+)/m.exec(io)?.[1];
      return bytes === undefined ? undefined : Number(bytes);
    } catch {
      return undefined;
    }
  }

  get processId(): number {
    return this.child.pid ?? 0;
  }

  /** As a crash ends it; resolves when it is gone. */
  async kill(): Promise<void> {
    this.isStopping = true;
    this.isKilled = true;
    this.child.kill("SIGKILL");
    await this.exited;
  }

  private statusBytes(field: string): number {
    const status = readFileSync(`/proc/${this.child.pid}/status`, "utf8");
    return Number(new RegExp(`^${field}:\\s+(\\d+) kB`, "m").exec(status)?.[1] ?? 0) * 1024;
  }

  /** Throws unless it ends in order. */
  async stop(): Promise<void> {
    if (this.isKilled) return;
    this.isStopping = true;
    if (this.child.exitCode === null && this.child.signalCode === null) this.child.kill("SIGTERM");
    const late = setTimeout(() => this.child.kill("SIGKILL"), stopMsMax);
    const code = await this.exited;
    clearTimeout(late);
    if (code !== 0) throw new Error(`the server did not stop in order (${code}):\n${this.output}`);
  }
}
