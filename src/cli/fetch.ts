// Owns: the verb `capstan fetch`: takes jobs under a lease and prints them. What could not be printed is given back, and
// --ack acks only what was. Called by the command line's main.

import { hostname } from "node:os";
import { Command } from "commander";
import { CapstanError, type Grant } from "../client/index.js";
import { type Exit, type Use, withClient } from "./connect.js";
import { exitCode, exitCodeOfRefusals } from "./exit_codes.js";
import { Interrupts } from "./interrupts.js";
import { count, duration, positiveDuration, size, withClientFlags } from "./options.js";
import { say } from "./output.js";
import { grantedJson, grantedRecord } from "./shapes.js";

interface Flags {
  readonly jobs: number;
  readonly bytes?: number;
  readonly lease?: number;
  readonly wait?: number;
  readonly worker?: string;
  readonly ack?: boolean;
}

const jobsMax = 1_024;

export function fetchCommand(exit: Exit): Command {
  return withClientFlags(new Command("fetch"))
    .description("take jobs under a lease")
    .argument("<queue...>", "tried in this order")
    .option("--jobs <number>", "at most so many", count(1, jobsMax), 1)
    .option("--bytes <size>", "of all payloads; the first job comes in any case (default: 4MiB)", size)
    .option("--lease <duration>", "how long the jobs are yours (default: the server's, 30s)", positiveDuration)
    .option("--wait <duration>", "for a job to come; at most 10m (default: not at all)", duration)
    .option("--worker <name>", "shown beside the lease (default: host:pid)")
    .option("--ack", "ack what was printed: it is never delivered again")
    .addHelpText("after", help)
    .action(async (queues: string[], flags: Flags, command: Command) => {
      await withClient(command, exit, (use) => fetch(use, queues, flags));
    });
}

async function fetch(use: Use, queues: readonly string[], flags: Flags): Promise<number> {
  const interrupts = new Interrupts();
  try {
    const grant = await use.client.fetch(queues, {
      jobsMax: flags.jobs,
      bytesMax: flags.bytes,
      leaseMs: flags.lease,
      waitMs: flags.wait,
      worker: flags.worker ?? `${hostname()}:${process.pid}`,
      signal: interrupts.signal,
    });
    if (grant === null) {
      if (use.output.isTable) say("no job is ready");
      return exitCode.nothing;
    }
    return await hand(use, grant, flags.ack === true);
  } catch (error) {
    const code = interrupts.exitCode;
    if (code !== undefined && error instanceof CapstanError && error.code === "canceled") return code;
    throw error;
  } finally {
    interrupts.close();
  }
}

async function hand({ client, output }: Use, grant: Grant, acks: boolean): Promise<number> {
  for (const job of grant.jobs) {
    if (output.isTable) output.record(grantedRecord(grant, job));
    else output.json(grantedJson(grant, job));
  }
  await output.flush();
  if (output.isClosed) {
    // Nobody has seen them.
    await client.release(grant.lease, "all");
    return exitCode.ok;
  }
  if (!acks) return exitCode.ok;
  const settled = await client.ack(grant.lease, "all");
  return exitCodeOfRefusals(settled.refused);
}

const help = `
Examples:
  capstan fetch mail
  capstan fetch urgent mail --jobs 10 --wait 30s --lease 5m
  capstan fetch mail --ack -o json | jq -r .payload

Exit codes: 0 fetched, 3 nothing was ready, 5 no server reached.`;
