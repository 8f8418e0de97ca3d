// Thousands of connections from several processes, since both ends of each need a file. Owns the processes; `close` ends
// them. Used by the tests of hostile clients.

import assert from "node:assert/strict";
import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import type { HolderReport } from "./holder_main.js";

/** `greet`: asks for the bootstrap and waits. `half`: half a frame. `flood`: closes as soon as it is open. */
export type Manner = "greet" | "half" | "flood";

const holderMain = fileURLToPath(new URL("holder_main.js", import.meta.url));

export class Crowd {
  private readonly children: ChildProcess[] = [];
  private readonly reports: HolderReport[] = [];
  private watchers: (() => void)[] = [];

  constructor(address: string, connections: number, manner: Manner, processes = 2) {
    for (let at = 0; at < processes; at++) {
      const share = Math.floor(connections / processes) + (at < connections % processes ? 1 : 0);
      const child = fork(holderMain, [address, String(share), manner], {
        stdio: ["ignore", "inherit", "inherit", "ipc"],
      });
      this.reports.push({ open: 0, answered: 0, closed: 0, failed: 0 });
      child.on("message", (report) => {
        this.reports[at] = report as HolderReport;
        for (const watcher of this.watchers.splice(0)) watcher();
      });
      this.children.push(child);
    }
  }

  get now(): HolderReport {
    const sum = (name: keyof HolderReport): number => this.reports.reduce((total, one) => total + one[name], 0);
    return { open: sum("open"), answered: sum("answered"), closed: sum("closed"), failed: sum("failed") };
  }

  async until(isMet: (report: HolderReport) => boolean, milliseconds = 60_000): Promise<void> {
    const late = AbortSignal.timeout(milliseconds);
    late.addEventListener("abort", () => {
      for (const watcher of this.watchers.splice(0)) watcher();
    });
    while (!isMet(this.now)) {
      assert.ok(!late.aborted, `not within ${milliseconds} ms: ${JSON.stringify(this.now)}`);
      await new Promise<void>((resolve) => this.watchers.push(resolve));
    }
  }

  async close(): Promise<void> {
    await Promise.all(
      this.children.map(async (child) => {
        if (child.exitCode !== null || child.signalCode !== null) return;
        const ended = once(child, "exit");
        if (child.connected) child.send("close");
        else child.kill("SIGKILL");
        await ended;
      }),
    );
  }
}
