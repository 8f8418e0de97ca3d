// What systemd is told: started, stopping, still alive, still replaying. Owns the timers for that; the datagram itself
// is sent by the addon, since Node has no Unix datagram sockets. Called by main.ts; without NOTIFY_SOCKET it does
// nothing.

import type { Native } from "../native.js";

/** How much longer the start or stop may take, each time it reports progress, in microseconds. */
const extendUs = 60_000_000;

export class Systemd {
  private watchdog: NodeJS.Timeout | undefined;

  constructor(
    private readonly native: Pick<Native, "notifySystemd">,
    private readonly environment: Readonly<Record<string, string | undefined>>,
  ) {}

  replaying(done: number, total: number): void {
    this.notify(`EXTEND_TIMEOUT_USEC=${extendUs}`, `STATUS=Replaying the log: ${done} of ${total} entries`);
  }

  /** Tells that requests are served, and from then on that `isAlive` says so. */
  ready(status: string, isAlive: () => boolean): void {
    this.notify("READY=1", `STATUS=${status}`);
    const everyMs = watchdogMs(this.environment);
    if (everyMs === undefined) return;
    this.watchdog = setInterval(() => {
      if (isAlive()) this.notify("WATCHDOG=1");
    }, everyMs);
    this.watchdog.unref();
  }

  stopping(timeoutMs: number): void {
    // The watchdog goes on: a stop that hangs is a hang.
    this.notify("STOPPING=1", `EXTEND_TIMEOUT_USEC=${timeoutMs * 1000}`, "STATUS=Stopping");
  }

  close(): void {
    clearInterval(this.watchdog);
  }

  private notify(...lines: string[]): void {
    if (this.environment["NOTIFY_SOCKET"] === undefined) return;
    this.native.notifySystemd(lines.join("\n"));
  }
}

/** Timers are no finer. */
const watchdogMsMin = 1;

/** How often to report: twice within what systemd allows, however short that is. */
export function watchdogMs(environment: Readonly<Record<string, string | undefined>>): number | undefined {
  const us = Number(environment["WATCHDOG_USEC"]);
  const pid = environment["WATCHDOG_PID"];
  if (!Number.isSafeInteger(us) || us <= 0 || (pid !== undefined && pid !== String(process.pid))) return undefined;
  return Math.max(watchdogMsMin, Math.floor(us / 2000));
}
