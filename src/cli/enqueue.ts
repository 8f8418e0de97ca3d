// Owns: the verb `capstan enqueue`: one payload, or one for each line of standard input. What it prints as accepted is on
// the server's disk. Called by the command line's main.

import { closeSync, openSync, readSync } from "node:fs";
import { addAbortSignal } from "node:stream";
import { Command } from "commander";
import type { NewJob } from "../client/index.js";
import { formatCount, KiB, MiB } from "../units.js";
import { type Exit, type Use, withClient } from "./connect.js";
import { type LineRange, type LineReport, LineSender } from "./enqueue_lines.js";
import { exitCode, exitCodeOf, Failure, usage } from "./exit_codes.js";
import { Interrupts } from "./interrupts.js";
import { LineTooLong, splitLines } from "./lines.js";
import { attempts, count, duration, header, instant, withClientFlags } from "./options.js";
import { Progress, say } from "./output.js";

interface Flags {
  readonly delay?: number;
  readonly runAt?: number;
  readonly priority?: number;
  readonly maxAttempts?: number | "unlimited";
  readonly group?: string;
  readonly header?: Readonly<Record<string, string>>;
  readonly contentType?: string;
  readonly key?: string;
  readonly file?: string;
  readonly null?: boolean;
  readonly batch: number;
  readonly ids?: boolean;
}

/** The largest payload that any server can be set to take. */
const payloadBytesMax = 16 * MiB;
const batchBytesMax = 256 * KiB;
const batchesUnderWayMax = 4;

export function enqueueCommand(exit: Exit): Command {
  return withClientFlags(new Command("enqueue"))
    .description("put a job into a queue, or one for each line of standard input")
    .argument("<queue>")
    .argument("[payload]", "the payload as text; - reads one payload a line from standard input")
    .option("--delay <duration>", "ready only then", duration)
    .option("--run-at <instant>", "ready at an instant: 2027-01-31T08:00:00Z", instant)
    .option("--priority <number>", "0 to 15, the larger goes first", count(0, 15))
    .option("--max-attempts <number>", "a number, or unlimited (default: the queue's setting)", attempts)
    .option("--group <name>", "groups of a queue take turns")
    .option("--header <name=value>", "may be repeated", header)
    .option("--content-type <type>", "such as application/json")
    .option("--key <text>", "idempotency key: the same job with the same key is taken once")
    .option("--file <path>", "the whole of a file is one payload; - is standard input")
    .option("-0, --null", "payloads of standard input end with NUL instead of a line feed")
    .option("--batch <jobs>", "jobs of one request, from standard input", count(1, 1_024), 256)
    .option("--ids", "print the id of each line's job too")
    .addHelpText("after", help)
    .action(async (queue: string, payload: string | undefined, flags: Flags, command: Command) => {
      checkTogether(payload, flags);
      const isBatch = payload === "-";
      const single = isBatch ? undefined : singlePayload(payload, flags);
      await withClient(
        command,
        exit,
        (use) => (single === undefined ? enqueueLines(use, queue, flags) : enqueueOne(use, queue, single, flags)),
        { session: true },
      );
    });
}

function checkTogether(payload: string | undefined, flags: Flags): void {
  if (flags.delay !== undefined && flags.runAt !== undefined) throw usage("--delay and --run-at exclude each other");
  if (payload !== undefined && flags.file !== undefined) throw usage("give a payload or --file, not both");
  if (payload === undefined && flags.file === undefined) {
    throw usage("give a payload, - for one a line from standard input, or --file PATH");
  }
  if (payload !== "-" && flags.null === true) throw usage("--null is for payloads from standard input: give -");
  if (payload === "-" && flags.key !== undefined) throw usage("--key is for one job; lines are retried safely anyhow");
}

function singlePayload(payload: string | undefined, flags: Flags): string | Uint8Array {
  if (payload !== undefined) return payload;
  const path = flags.file as string;
  try {
    return readPayload(path);
  } catch (error) {
    throw new Failure(`cannot take ${path === "-" ? "standard input" : path}: ${(error as Error).message}`, 1);
  }
}

/** Stops reading at the largest payload: a pipe or a device may have no end. */
function readPayload(path: string): Buffer {
  const descriptor = path === "-" ? 0 : openSync(path, "r");
  try {
    const chunks: Buffer[] = [];
    for (let total = 0; ; ) {
      const chunk = Buffer.allocUnsafe(256 * KiB);
      const count = readSync(descriptor, chunk);
      if (count === 0) return Buffer.concat(chunks);
      total += count;
      if (total > payloadBytesMax) throw new Error("it is larger than 16 MiB, the largest payload");
      chunks.push(chunk.subarray(0, count));
    }
  } finally {
    if (descriptor !== 0) closeSync(descriptor);
  }
}

function jobFields(flags: Flags): Omit<NewJob, "payload"> {
  return {
    delayMs: flags.delay,
    runAtMs: flags.runAt,
    priority: flags.priority,
    maxAttempts: flags.maxAttempts,
    group: flags.group,
    headers: flags.header,
    contentType: flags.contentType,
  };
}

async function enqueueOne(use: Use, queue: string, payload: string | Uint8Array, flags: Flags): Promise<number> {
  const id = await use.client.enqueue(queue, { ...jobFields(flags), payload }, { idempotencyKey: flags.key });
  if (use.output.isTable) use.output.line(id);
  else use.output.json({ id, queue });
  return exitCode.ok;
}

async function enqueueLines(use: Use, queue: string, flags: Flags): Promise<number> {
  const { client, output } = use;
  const progress = new Progress();
  const startMs = performance.now();
  const sender = new LineSender(client, {
    queue,
    job: jobFields(flags),
    jobsMax: flags.batch,
    bytesMax: batchBytesMax,
    batchesMax: batchesUnderWayMax,
    accepted: (total, firstLine, ids) => {
      const rate = total / Math.max(0.001, (performance.now() - startMs) / 1000);
      progress.show(`${formatCount(total)} accepted, ${formatCount(Math.round(rate))} a second`);
      if (flags.ids !== true) return;
      ids.forEach((id, index) => {
        if (output.isTable) output.line(id);
        else output.json({ line: firstLine + index, id });
      });
    },
  });
  const interrupts = new Interrupts();
  interrupts.signal.addEventListener("abort", () => sender.cut());
  let failure: Failure | undefined;
  try {
    failure = await readInto(sender, flags.null === true ? 0 : 10, interrupts.signal);
    const report = await sender.end();
    progress.clear();
    return tell(use, queue, report, failure, interrupts.exitCode);
  } finally {
    progress.clear();
    interrupts.close();
    // A pipe that stays open must not keep this process.
    process.stdin.destroy();
  }
}

/** What kept the input from being read to its end; undefined where nothing did. */
async function readInto(sender: LineSender, separator: number, signal: AbortSignal): Promise<Failure | undefined> {
  try {
    addAbortSignal(signal, process.stdin);
    for await (const lines of splitLines(process.stdin, { separator, bytesMax: payloadBytesMax })) {
      await sender.push(lines);
      if (sender.isBroken || signal.aborted) break;
    }
    return undefined;
  } catch (error) {
    if (signal.aborted) return undefined;
    if (error instanceof LineTooLong) await sender.push(error.before);
    if (error instanceof Failure) return error;
    return new Failure(`cannot read standard input: ${(error as Error).message}`, exitCode.failed);
  }
}

function tell(
  { output }: Use,
  queue: string,
  report: LineReport,
  failure: Failure | undefined,
  interrupted: number | undefined,
): number {
  const error = report.error;
  const reason = error === null ? failure?.message : `${error.code}: ${error.message}`;
  const code = error?.code ?? (failure instanceof LineTooLong ? "tooLarge" : undefined);
  // A line that is too long is the first that was not taken.
  const first = report.firstUnaccepted ?? (failure instanceof LineTooLong ? report.accepted + 1 : null);
  if (!output.isTable) {
    output.json({
      queue,
      accepted: report.accepted,
      ...(first === null ? {} : { firstUnaccepted: first }),
      ...(code === undefined ? {} : { error: code }),
      ...(report.acceptedBehind.length > 0 ? { acceptedBehind: report.acceptedBehind } : {}),
      ...(report.unknown.length > 0 ? { unknown: report.unknown } : {}),
    });
  }
  say(`${formatCount(report.accepted)} ${report.accepted === 1 ? "job" : "jobs"} accepted into ${queue}`);
  if (first !== null) say(`first unaccepted line: ${first}${reason === undefined ? "" : `: ${reason}`}`);
  else if (reason !== undefined) say(reason);
  if (report.acceptedBehind.length > 0) say(`accepted behind it: lines ${ranges(report.acceptedBehind)}`);
  if (report.unknown.length > 0) say(`the answer was lost for lines ${ranges(report.unknown)}: look before you repeat`);
  if (error !== null) return exitCodeOf(error);
  if (interrupted !== undefined) return interrupted;
  return failure?.exitCode ?? exitCode.ok;
}

function ranges(list: readonly LineRange[]): string {
  return list.map(({ first, last }) => (first === last ? `${first}` : `${first} to ${last}`)).join(", ");
}

const help = `
Examples:
  capstan enqueue mail '{"to":"ada@example.org"}'
  capstan enqueue mail hello --delay 5m --priority 9 --header trace=abc
  capstan enqueue mail --file letter.eml
  find /srv -type f -print0 | capstan enqueue files - --null
  tail -n +5001 jobs.txt | capstan enqueue mail -

From standard input nothing more is sent after a line that was refused; its number is printed.

Exit codes: 0 all accepted, 1 refused, 5 no server reached, 6 busy, 7 outcome unknown, 130 interrupted.`;
