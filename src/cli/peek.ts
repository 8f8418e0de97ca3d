// Owns: the verb `capstan peek`, and the pages of jobs that it shares with the list of dead jobs. It looks without taking.
// Called by the command line's main.

import { Command, Option } from "commander";
import type { JobInfo, JobPage } from "../client/index.js";
import { type Exit, withClient } from "./connect.js";
import { exitCode } from "./exit_codes.js";
import { count, payloadBytesOption, withClientFlags } from "./options.js";
import { type Column, type Output, say } from "./output.js";
import { jobColumns, jobJson } from "./shapes.js";

interface Flags {
  readonly limit: number;
  readonly state: "ready" | "scheduled";
  readonly payloadBytes: number;
  readonly after?: string;
}

/** Rows of one request; the server's own bound. */
export const pageMax = 1_000;
const limitMax = 1_000_000_000;

export function peekCommand(exit: Exit): Command {
  return withClientFlags(new Command("peek"))
    .description("look at the next jobs of a queue without taking them")
    .argument("<queue>")
    .option("--limit <number>", "at most so many", count(1, limitMax), 10)
    .addOption(new Option("--state <state>", "which jobs").choices(["ready", "scheduled"]).default("ready"))
    .addOption(payloadBytesOption())
    .option("--after <place>", "go on where the last page ended")
    .addHelpText("after", help)
    .action(async (queue: string, flags: Flags, command: Command) => {
      await withClient(command, exit, async ({ client, output }) => {
        const { state, payloadBytes: payloadBytesMax } = flags;
        return printPages(output, jobColumns, flags, (limit, after) =>
          client.peek(queue, { limit, state, payloadBytesMax, after }),
        );
      });
    });
}

/** Prints page after page up to `limit` jobs, and says where the next would begin. */
export async function printPages(
  output: Output,
  columns: readonly Column<JobInfo>[],
  flags: { readonly limit: number; readonly after?: string },
  page: (limit: number, after: string | undefined) => Promise<JobPage>,
): Promise<number> {
  let after = flags.after;
  for (let left = flags.limit; left > 0 && !output.isClosed; ) {
    const { jobs, next } = await page(Math.min(left, pageMax), after);
    if (output.isTable) output.table(columns, jobs);
    else for (const job of jobs) output.json(jobJson(job));
    await output.flush();
    left -= jobs.length;
    after = next;
    if (next === "") return exitCode.ok;
  }
  if (!output.isClosed && after !== undefined) say(`there are more: --after ${after}`);
  return exitCode.ok;
}

const help = `
Examples:
  capstan peek mail
  capstan peek mail --state scheduled --limit 100
  capstan peek mail --payload-bytes 200 -o json | jq -r .id`;
