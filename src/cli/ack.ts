// Owns: the verb `capstan ack`: ends jobs that were fetched. Never fetches and never guesses: ids, or --all. Called by the
// command line's main.

import { Command } from "commander";
import { type Exit, withClient } from "./connect.js";
import { exitCodeOfRefusals, usage } from "./exit_codes.js";
import { hexId, hexIds, withClientFlags } from "./options.js";
import { printSettled } from "./shapes.js";

/** What a verb on jobs of one lease is about: the ids, or all that are open. */
export function chosenIds(ids: readonly string[] | undefined, isAll: boolean | undefined): readonly string[] | "all" {
  const given = ids ?? [];
  if (isAll === true && given.length > 0) throw usage("give ids or --all, not both");
  if (isAll === true) return "all";
  if (given.length === 0) throw usage("give the ids of the jobs, or --all for every job still open in the lease");
  return given;
}

export function ackCommand(exit: Exit): Command {
  return withClientFlags(new Command("ack"))
    .description("end jobs of a lease: they are done")
    .argument("<lease>", "the lease that `fetch` printed", hexId)
    .argument("[id...]", "jobs of that lease", hexIds)
    .option("--all", "every job still open in the lease")
    .addHelpText("after", help)
    .action(async (lease: string, ids: string[] | undefined, options: { all?: boolean }, command: Command) => {
      const chosen = chosenIds(ids, options.all);
      await withClient(command, exit, async ({ client, output }) => {
        const settled = await client.ack(lease, chosen);
        printSettled(output, settled, "acked");
        return exitCodeOfRefusals(settled.refused);
      });
    });
}

const help = `
Examples:
  capstan ack 6f1d…c2 0192…7a
  capstan ack 6f1d…c2 --all

Exit codes: 0 all acked, 4 the lease is over, 5 no server reached.`;
