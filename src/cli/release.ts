// Owns: the verb `capstan release`: gives fetched jobs back untouched, without counting the attempt. Called by the command
// line's main.

import { Command } from "commander";
import { chosenIds } from "./ack.js";
import { type Exit, withClient } from "./connect.js";
import { exitCodeOfRefusals } from "./exit_codes.js";
import { hexId, hexIds, withClientFlags } from "./options.js";
import { printSettled } from "./shapes.js";

export function releaseCommand(exit: Exit): Command {
  return withClientFlags(new Command("release"))
    .description("give jobs of a lease back; the attempt is not counted")
    .argument("<lease>", "the lease that `fetch` printed", hexId)
    .argument("[id...]", "jobs of that lease", hexIds)
    .option("--all", "every job still open in the lease")
    .addHelpText("after", help)
    .action(async (lease: string, ids: string[] | undefined, options: { all?: boolean }, command: Command) => {
      const chosen = chosenIds(ids, options.all);
      await withClient(command, exit, async ({ client, output }) => {
        const settled = await client.release(lease, chosen);
        printSettled(output, settled, "released");
        return exitCodeOfRefusals(settled.refused);
      });
    });
}

const help = `
Examples:
  capstan release 6f1d…c2 --all`;
