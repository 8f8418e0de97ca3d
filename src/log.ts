// What the server tells people: pino, JSON lines or one readable line each, on standard error. Owns the level and the
// rate of repeats; never sees a payload, a token or a request. Called by main.ts and by each listener worker, which
// write to the same descriptor, a whole line at a time.

import { writeSync } from "node:fs";
import pino from "pino";
import type { Clock } from "./clock.js";

export type Logger = pino.Logger;

export interface LogOptions {
  level: string;
  /** `auto` is readable on a terminal. */
  format: "auto" | "pretty" | "json";
  /** Shown with each line: "main", "worker 1". */
  thread: string;
  isTerminal?: boolean;
  /** Where a finished line goes; standard error by default. */
  write?: (line: string) => void;
}

/** Fields that must never be shown, should anybody ever give them to a log call. */
const secrets = ["payload", "token", "lease", "headers", "key", "idempotencyKey"];

export function createLogger(options: LogOptions): Logger {
  const isTerminal = options.isTerminal ?? process.stderr.isTTY === true;
  const isReadable = options.format === "pretty" || (options.format === "auto" && isTerminal);
  const write = options.write ?? writeLine;
  const settings: pino.LoggerOptions = {
    level: options.level,
    base: { thread: options.thread },
    timestamp: pino.stdTimeFunctions.isoTime,
    formatters: { level: (label) => ({ level: label }) },
    redact: { paths: secrets.flatMap((name) => [name, `*.${name}`]), censor: "[hidden]" },
  };
  const color = isTerminal && process.env["NO_COLOR"] === undefined;
  return pino(settings, { write: isReadable ? (line: string) => write(readable(line, color)) : write });
}

/** Says a thing that may repeat quickly at most once in `everyMs`, with how often it was left out. */
export class RepeatLimiter {
  private readonly said = new Map<string, { nextMs: number; leftOut: number }>();

  constructor(
    private readonly clock: Clock,
    private readonly everyMs = 10_000,
    private readonly keysMax = 1000,
  ) {}

  /** `say` gets the number of times that this key was left out since it was last said. */
  limit(key: string, say: (leftOut: number) => void): void {
    const now = this.clock.nowMs();
    const entry = this.said.get(key);
    if (entry !== undefined && now < entry.nextMs) {
      entry.leftOut++;
      return;
    }
    // Map keeps the order of insertion: the key that was said longest ago goes.
    this.said.delete(key);
    if (this.said.size >= this.keysMax) this.said.delete(this.said.keys().next().value as string);
    this.said.set(key, { nextMs: now + this.everyMs, leftOut: 0 });
    say(entry?.leftOut ?? 0);
  }
}

/** A line of JSON as a person reads it: `09:41:07.123 info  main: text key=value`. */
export function readable(line: string, color: boolean): string {
  const { time, level, thread, msg, ...rest } = JSON.parse(line) as Record<string, unknown>;
  const fields = Object.entries(rest).map(([name, value]) => ` ${name}=${shown(name, value)}`);
  const clock = String(time).slice(11, 23);
  const word = String(level).padEnd(5);
  return `${clock} ${color ? painted(String(level), word) : word} ${String(thread)}: ${String(msg)}${fields.join("")}\n`;
}

function shown(name: string, value: unknown): string {
  if (name === "err" && typeof value === "object" && value !== null) {
    return String((value as { stack?: unknown }).stack ?? JSON.stringify(value));
  }
  if (typeof value === "string" && /^[\w./:@[\]+-]+$/.test(value)) return value;
  return JSON.stringify(value);
}

const colors: Readonly<Record<string, number>> = { trace: 90, debug: 90, info: 32, warn: 33, error: 31, fatal: 35 };

function painted(level: string, word: string): string {
  return `\u001b[${colors[level] ?? 0}m${word}\u001b[0m`;
}

function writeLine(line: string): void {
  try {
    writeSync(2, line);
  } catch (error) {
    // A full pipe (EAGAIN) or a closed one (EPIPE) loses a line of the log; it must not stop the queue.
    const code = (error as NodeJS.ErrnoException).code;
    if (code !== "EAGAIN" && code !== "EPIPE") throw error;
  }
}
