// A client that behaves, beside those that do not: it enqueues, fetches and acks one job after another, and fails the test
// when any of that fails, is refused, or takes longer than it may. Owns the client's process.
// Used by the tests of hostile clients.

import assert from "node:assert/strict";
import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import type { SteadyReport } from "./steady_main.js";

export interface SteadyFigures {
  readonly jobs: number;
  /** From an enqueue to the end of its ack. */
  readonly worstMs: number;
}

const steadyMain = fileURLToPath(new URL("steady_main.js", import.meta.url));

export class SteadyClient {
  private readonly child: ChildProcess;
  private report: SteadyReport = { jobs: 0, worstMs: 0 };
  private hasEnded = false;
  private watchers: (() => void)[] = [];

  constructor(address: string, queue = "steady") {
    this.child = fork(steadyMain, [address, queue], { stdio: ["ignore", "inherit", "inherit", "ipc"] });
    this.child.on("message", (report) => {
      this.report = report as SteadyReport;
      this.changed();
    });
    this.child.on("exit", () => {
      this.hasEnded = true;
      this.changed();
    });
  }

  /** Waits for that many more jobs. */
  async more(jobs: number): Promise<void> {
    const wanted = this.report.jobs + jobs;
    while (this.report.jobs < wanted) {
      assert.equal(this.report.error, undefined);
      assert.ok(!this.hasEnded, "the steady client ended");
      await new Promise<void>((resolve) => this.watchers.push(resolve));
    }
  }

  /** Fails with what the client met. */
  async stop(): Promise<SteadyFigures> {
    if (!this.hasEnded) {
      const ended = once(this.child, "exit");
      if (this.child.connected) this.child.send("stop");
      await ended;
    }
    const { error, jobs, worstMs } = this.report;
    assert.equal(error, undefined);
    assert.ok(jobs > 0, "it was served");
    return { jobs, worstMs };
  }

  /** Ends it however it is. */
  kill(): void {
    if (!this.hasEnded) this.child.kill("SIGKILL");
  }

  private changed(): void {
    for (const watcher of this.watchers.splice(0)) watcher();
  }
}
