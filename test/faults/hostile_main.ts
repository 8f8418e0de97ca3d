// The long run of the tests of full disks, damaged files and hostile clients: the same parts as in `npm test`, in sizes that
// flags choose. Owns the order of the parts and what is printed; the parts own their servers. Run by `npm run fault:hostile`.

import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Command, InvalidArgumentError } from "commander";
import { runBytes } from "./bytes.js";
import * as crowds from "./crowds.js";
import { fillToTheLastBlock, fillToTheReserve } from "./disk.js";
import { runFlips } from "./flips.js";
import { LoopDisk, whyNoLoopDisk } from "./loop_disk.js";

const MiB = 1 << 20;

interface Flags {
  readonly trials: number;
  readonly seed: number;
  readonly parallel: number;
  readonly rounds: number;
  readonly connections: number;
  readonly diskMib: number;
  readonly json?: string;
  readonly verbose?: boolean;
}

type Part = (flags: Flags) => Promise<unknown>;

const parts: Readonly<Record<string, Part>> = { disk, flips, bytes, crowds: crowdsPart };

async function disk(flags: Flags): Promise<unknown> {
  const why = whyNoLoopDisk();
  if (why !== undefined) return { leftOut: why };
  const figures: Record<string, unknown> = {};
  for (const [name, run] of Object.entries({ fillToTheReserve, fillToTheLastBlock })) {
    const made = new LoopDisk(flags.diskMib * MiB);
    try {
      figures[name] = await run(made);
    } finally {
      made.close();
    }
  }
  return figures;
}

async function flips(flags: Flags): Promise<unknown> {
  const scratch = mkdtempSync(join(tmpdir(), "capstan-flips-"));
  try {
    const figures = await runFlips({
      trials: flags.trials,
      seed: flags.seed,
      parallel: flags.parallel,
      scratch,
      size: { ready: 2500, leased: 300, scheduled: 600, dead: 300, acked: 600, payloadBytesMax: 1200 },
      say: flags.verbose === true ? say : () => {},
    });
    if (figures.failures.length > 0) {
      throw new Error(`${figures.failures.length} trials failed:\n${figures.failures.join("\n")}`);
    }
    return figures;
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
}

function bytes(flags: Flags): Promise<unknown> {
  return runBytes({ rounds: flags.rounds, damaged: 100 * flags.rounds, random: 50 * flags.rounds, seed: flags.seed });
}

async function crowdsPart({ connections }: Flags): Promise<unknown> {
  const few = Math.ceil(connections / 10);
  const figures: Record<string, unknown> = {};
  const runs: Record<string, () => Promise<unknown>> = {
    halfOpen: () => crowds.halfOpen(connections - 16),
    halfFrames: () => crowds.halfFrames(few, 4 * MiB),
    neverFinished: () => crowds.neverFinished(4),
    neverAnswered: () => crowds.neverAnswered(24),
    deaf: () => crowds.deaf(few),
    slowly: () => crowds.slowly(few),
    flood: () => crowds.flood(connections * 5),
    atOnce: () => crowds.atOnce(connections),
    noFilesLeft: () => crowds.noFilesLeft(few),
  };
  for (const [name, run] of Object.entries(runs)) {
    figures[name] = await run();
    say(`${name}: ${JSON.stringify(figures[name])}`);
  }
  return figures;
}

function say(line: string): void {
  process.stdout.write(`${line}\n`);
}

function whole(text: string): number {
  const number = Number(text);
  if (!Number.isSafeInteger(number) || number < 1) throw new InvalidArgumentError("it must be a whole number above 0");
  return number;
}

async function run(names: string[], flags: Flags): Promise<void> {
  const chosen = names.length > 0 ? names : Object.keys(parts);
  for (const name of chosen) {
    if (!(name in parts)) throw new Error(`there is no part ${name}; there are ${Object.keys(parts).join(", ")}`);
  }
  const results: Record<string, unknown> = {};
  for (const name of chosen) {
    say(`== ${name}`);
    const startMs = performance.now();
    results[name] = { seconds: 0, figures: await (parts[name] as Part)(flags) };
    (results[name] as { seconds: number }).seconds = Math.round((performance.now() - startMs) / 1000);
    say(JSON.stringify(results[name], null, 2));
  }
  if (flags.json !== undefined) writeFileSync(flags.json, `${JSON.stringify(results, null, 2)}\n`);
  say("all of it held");
}

const program = new Command("npm run fault:hostile --")
  .description(
    "Full disks, damaged files and hostile clients against real servers; ends non-zero when anything failed.",
  )
  .argument("[parts...]", `${Object.keys(parts).join(", ")}; without any: all of them`)
  .option("--trials <count>", "flips: flipped bytes", whole, 1000)
  .option("--seed <number>", "flips, bytes: the same seed draws the same places", whole, 1)
  .option("--parallel <count>", "flips: servers at a time", whole, 2)
  .option(
    "--rounds <count>",
    "bytes: how often each lie is told; 100 damaged and 50 random connections each",
    whole,
    20,
  )
  .option("--connections <count>", "crowds: connections at once; open files must be allowed for them", whole, 10_000)
  .option("--disk-mib <size>", "disk: the small file system", whole, 256)
  .option("--json <file>", "write the figures there too")
  .option("--verbose", "flips: a line for each trial");
program.action((names: string[]) => run(names, program.opts<Flags>()));

try {
  await program.parseAsync();
} catch (error) {
  process.stderr.write(`${error instanceof Error ? error.stack : error}\n`);
  process.exitCode = 1;
}
