// Owns: the verbs that say one thing of jobs of one lease, `ack` and `release`: their arguments, and what they print. What
// is said is the caller's. Called by ack.ts and release.ts.

import { Command } from "commander";
import type { CapstanClient, JobIds, Settled } from "../client/index.js";
import { type Exit, withClient } from "./connect.js";
import { exitCodeOfRefusals, usage } from "./exit_codes.js";
import { hexId, hexIds, withClientFlags } from "./options.js";
import { printSettled } from "./shapes.js";

interface Verb {
  readonly name: string;
  readonly description: string;
  readonly help: string;
  /** What became of the jobs, for people. */
  readonly done: string;
  readonly settle: (client: CapstanClient, lease: string, ids: JobIds) => Promise<Settled>;
}

export function settlingCommand(exit: Exit, verb: Verb): Command {
  return withClientFlags(new Command(verb.name))
    .description(verb.description)
    .argument("<lease>", "the lease that `fetch` printed", hexId)
    .argument("[id...]", "jobs of that lease", hexIds)
    .option("--all", "every job still open in the lease")
    .addHelpText("after", verb.help)
    .action(async (lease: string, ids: string[] | undefined, options: { all?: boolean }, command: Command) => {
      const chosen = chosenIds(ids, options.all);
      await withClient(command, exit, async ({ client, output }) => {
        const settled = await verb.settle(client, lease, chosen);
        printSettled(output, settled, verb.done);
        return exitCodeOfRefusals(settled.refused);
      });
    });
}

function chosenIds(ids: readonly string[] | undefined, isAll: boolean | undefined): JobIds {
  const given = ids ?? [];
  if (isAll === true && given.length > 0) throw usage("give ids or --all, not both");
  if (isAll === true) return "all";
  if (given.length === 0) throw usage("give the ids of the jobs, or --all for every job still open in the lease");
  return given;
}
