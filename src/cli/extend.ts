// Owns: the verb `capstan extend`: a lease lasts so long from now on. It never fetches and never settles a job. Called by
// the command line's main.

import { Command } from "commander";
import { formatCount } from "../units.js";
import { type Exit, withClient } from "./connect.js";
import { exitCode } from "./exit_codes.js";
import { hexId, positiveDuration, withClientFlags } from "./options.js";
import { durationText } from "./text.js";

export function extendCommand(exit: Exit): Command {
  return withClientFlags(new Command("extend"))
    .description("let a lease last for a duration from now; that may also shorten it")
    .argument("<lease>", "the lease that `fetch` printed", hexId)
    .argument("<duration>", "100ms to 24h, as the server's settings allow", positiveDuration)
    .addHelpText("after", help)
    .action(async (lease: string, leaseMs: number, _options: unknown, command: Command) => {
      await withClient(command, exit, async ({ client, output }) => {
        const extended = await client.extend(lease, leaseMs);
        if (!output.isTable) output.json({ openJobs: extended.openJobs, leaseMs: extended.leaseMs });
        else output.line(`${durationText(extended.leaseMs)} for ${formatCount(extended.openJobs)} open jobs`);
        return extended.openJobs === 0 ? exitCode.leaseLost : exitCode.ok;
      });
    });
}

const help = `
Examples:
  capstan extend 6f1d…c2 5m

Exit codes: 0 extended, 4 the lease is over or has no open job, 5 no server reached.`;
