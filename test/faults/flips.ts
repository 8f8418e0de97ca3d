// One byte flipped in one file of a stopped server's data directory, again and again: each time the server either refuses
// to start, or ends, naming the file that was damaged; or it serves every job as it was acknowledged. Owns the
// directories and servers of its trials, all below one scratch directory that its caller removes. Called by the test of
// damaged files and by the long run.
//
// Two directories are damaged in turn: of a server that was stopped, whose state is on disk whole, and of one that was
// killed, whose newest jobs are in the log alone. The killed one ended with writes of no consequence: of a log's very
// last record nobody can tell whether it was torn by the crash.

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { closeSync, mkdirSync, openSync, readdirSync, readSync, rmSync, statSync, writeSync } from "node:fs";
import { basename, join, relative } from "node:path";
import { CapstanClient } from "../../src/client/index.js";
import { exitCodes } from "../../src/errors.js";
import { SeededRandom } from "../support/seeded_random.js";
import { ServerProcess } from "../support/server_process.js";
import { JobSet, type JobSetSize } from "./job_set.js";

export interface FlipsOptions {
  readonly trials: number;
  readonly seed: number;
  readonly parallel: number;
  /** An empty directory. */
  readonly scratch: string;
  readonly size: JobSetSize;
  readonly say: (line: string) => void;
}

export interface FlipsFigures {
  readonly trials: number;
  readonly served: number;
  readonly refused: number;
  /** Ended while it served. */
  readonly ended: number;
  /** By kind of file: how often it was damaged, and how often that was noticed. */
  readonly files: Readonly<Record<string, { flips: number; noticed: number }>>;
  readonly segments: number;
  readonly tables: number;
  /** One sentence for each trial that came to anything else: none may be left. */
  readonly failures: readonly string[];
}

type Outcome = "served" | "refused" | "ended";

interface Flip {
  readonly path: string;
  readonly offset: number;
  readonly before: number;
  readonly after: number;
}

/** Small, so that the jobs fill several log segments and several files of the state. */
const flags = [
  ...["--log-segment-bytes", "1MiB", "--log-trailing-bytes", "4MiB", "--write-buffer-bytes", "4MiB"],
  ...["--block-cache-bytes", "4MiB", "--disk-reserve-bytes", "0", "--disk-reserve-percent", "0"],
  ...["--memory-bytes-max", "512MiB", "--workers", "1"],
];

const answerMsMax = 60_000;
const endMsMax = 60_000;

export async function runFlips(options: FlipsOptions): Promise<FlipsFigures> {
  const random = new SeededRandom(options.seed);
  const sources = [
    await prepared(options, "stopped", "SIGTERM"),
    await prepared(options, "killed", "SIGKILL"),
  ] as const;
  const files: Record<string, { flips: number; noticed: number }> = {};
  const counts = { served: 0, refused: 0, ended: 0 };
  const failures: string[] = [];
  let next = 0;
  const lane = async (number: number): Promise<void> => {
    while (next < options.trials) {
      const trial = next++;
      const { directory, jobs } = sources[trial % 2] as (typeof sources)[number];
      const copy = join(options.scratch, `trial-${number}`);
      execFileSync("cp", ["-a", "--reflink=auto", directory, copy]);
      const flip = flipOne(copy, random);
      const what = `trial ${trial} (seed ${options.seed}): ${describe(copy, flip)}`;
      const outcome = await outcomeOf(copy, jobs, flip).catch((error: unknown) => {
        failures.push(`${what}: ${error instanceof Error ? error.message : error}`);
        options.say(failures.at(-1) as string);
        return "failed" as const;
      });
      rmSync(copy, { recursive: true });
      if (outcome === "failed") continue;
      counts[outcome]++;
      const kind = kindOf(flip.path);
      files[kind] ??= { flips: 0, noticed: 0 };
      const entry = files[kind];
      entry.flips++;
      if (outcome !== "served") entry.noticed++;
      options.say(`${what}: ${outcome}`);
    }
  };
  await Promise.all(Array.from({ length: options.parallel }, (_, number) => lane(number)));
  const all = sources.flatMap(({ directory }) => filesBelow(directory));
  return {
    trials: options.trials,
    ...counts,
    files,
    segments: all.filter((path) => kindOf(path) === "log segment").length,
    tables: all.filter((path) => kindOf(path) === "table").length,
    failures,
  };
}

async function prepared(
  options: FlipsOptions,
  name: string,
  end: "SIGTERM" | "SIGKILL",
): Promise<{ directory: string; jobs: JobSet }> {
  const directory = join(options.scratch, name);
  mkdirSync(directory);
  const jobs = new JobSet(options.size);
  await withServer(directory, async (server, client) => {
    await jobs.fill(client);
    for (let at = 0; at < 3; at++) await client.setQueue("last", { groupQuantum: at + 1 });
    await client.close();
    server.kill(end);
    await server.exited;
  });
  // A start and a check of an unharmed copy: what fails later failed for its damage.
  const copy = join(options.scratch, `${name}-unharmed`);
  execFileSync("cp", ["-a", directory, copy]);
  assert.equal(await outcomeOf(copy, jobs, undefined), "served");
  rmSync(copy, { recursive: true });
  return { directory, jobs };
}

async function withServer(
  dataDir: string,
  use: (server: ServerProcess, client: CapstanClient) => Promise<void>,
): Promise<void> {
  const server = new ServerProcess({ dataDir, flags });
  try {
    const client = new CapstanClient({ addresses: [await server.ready()], requestTimeoutMs: answerMsMax });
    await use(server, client).finally(() => client.close({ timeoutMs: 0 }));
  } finally {
    await server.dispose();
  }
}

async function outcomeOf(dataDir: string, jobs: JobSet, flip: Flip | undefined): Promise<Outcome> {
  const server = new ServerProcess({ dataDir, flags });
  try {
    let address: string;
    try {
      address = await server.ready();
    } catch (error) {
      if (!server.hasExited) throw error;
      await mustNameTheFile(server, flip);
      return "refused";
    }
    const client = new CapstanClient({ addresses: [address], requestTimeoutMs: answerMsMax, backoff: { maxMs: 50 } });
    // A client tries a server that is gone until its time is over.
    void server.exited.then(() => client.close({ timeoutMs: 0 }));
    try {
      await jobs.check(client);
      await client.close();
      server.kill("SIGTERM");
    } catch (error) {
      // It must be ending, and for the damage; else what the check found counts.
      if (!(await isEnding(server))) throw error;
    } finally {
      await client.close({ timeoutMs: 0 });
    }
    const exit = await within(server.exited, endMsMax, "the server did not end");
    if (exit.code === 0) return "served";
    await mustNameTheFile(server, flip);
    return "ended";
  } finally {
    await server.dispose();
  }
}

/** Whether it ends within a moment, as one that met damage does while its last answers fail. */
async function isEnding(server: ServerProcess): Promise<boolean> {
  const aMoment = within(server.exited, 2000, "").then(
    () => true,
    () => false,
  );
  return server.hasExited || aMoment;
}

async function mustNameTheFile(server: ServerProcess, flip: Flip | undefined): Promise<void> {
  const exit = await server.exited;
  assert.deepEqual(
    exit,
    { code: exitCodes.dataDirectory, signal: null },
    `it ended as ${JSON.stringify(exit)}:\n${server.stderr}`,
  );
  assert.ok(flip !== undefined, `nothing was damaged:\n${server.stderr}`);
  assert.ok(server.stderr.includes(basename(flip.path)), `it does not name ${basename(flip.path)}:\n${server.stderr}`);
  if (kindOf(flip.path) === "log segment") assert.match(server.stderr, /byte \d+/);
}

function within<T>(promise: Promise<T>, milliseconds: number, what: string): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(what)), milliseconds);
  });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

/** Half of the time every file is as likely as another, else every byte is. */
function flipOne(directory: string, random: SeededRandom): Flip {
  const files = filesBelow(directory).map((path) => ({ path, bytes: usedBytes(path) }));
  const candidates = files.filter(({ bytes }) => bytes > 0);
  const total = candidates.reduce((sum, { bytes }) => sum + bytes, 0);
  let chosen = candidates[random.below(candidates.length)];
  if (random.below(2) === 0) {
    let place = random.below(total);
    chosen = candidates.find(({ bytes }) => {
      place -= bytes;
      return place < 0;
    });
  }
  assert.ok(chosen !== undefined);
  // One in sixteen goes behind what is used, where a segment is preallocated.
  const size = statSync(chosen.path).size;
  const offset = random.below(random.below(16) === 0 ? size : chosen.bytes);
  const file = openSync(chosen.path, "r+");
  const byte = Buffer.alloc(1);
  readSync(file, byte, 0, 1, offset);
  const before = byte[0] as number;
  const after = random.below(2) === 0 ? before ^ (1 << random.below(8)) : (before + 1 + random.below(255)) % 256;
  writeSync(file, Buffer.of(after), 0, 1, offset);
  closeSync(file);
  return { path: chosen.path, offset, before, after };
}

/** Without the zeros at its end. */
function usedBytes(path: string): number {
  const file = openSync(path, "r");
  const chunk = Buffer.alloc(64 << 10);
  try {
    for (let end = statSync(path).size; end > 0; ) {
      const from = Math.max(0, end - chunk.length);
      const got = readSync(file, chunk, 0, end - from, from);
      for (let at = got - 1; at >= 0; at--) if (chunk[at] !== 0) return from + at + 1;
      end = from;
    }
    return 0;
  } finally {
    closeSync(file);
  }
}

function filesBelow(directory: string): string[] {
  return readdirSync(directory, { withFileTypes: true, recursive: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name))
    .sort();
}

function kindOf(path: string): string {
  const name = basename(path);
  if (/^[0-9a-f]{16}\.log$/.test(name)) return "log segment";
  if (name.endsWith(".sst")) return "table";
  if (name.startsWith("MANIFEST-")) return "MANIFEST";
  if (name.startsWith("OPTIONS-")) return "OPTIONS";
  if (name.startsWith("LOG")) return "LOG";
  return /^\d+\.log$/.test(name) ? "unused log of the state" : name;
}

function describe(directory: string, { path, offset, before, after }: Flip): string {
  const hex = (byte: number): string => `0x${byte.toString(16).padStart(2, "0")}`;
  return `${relative(directory, path)} byte ${offset} ${hex(before)} -> ${hex(after)}`;
}
