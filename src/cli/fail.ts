// Owns: the verb `capstan fail`: says that fetched jobs did not work out; they come back after a back-off, or are dead.
// Called by the command line's main.

import { Command } from "commander";
import { type Exit, withClient } from "./connect.js";
import { exitCodeOfRefusals, usage } from "./exit_codes.js";
import { hexId, hexIds, positiveDuration, withClientFlags } from "./options.js";
import { printSettled } from "./shapes.js";

interface Flags {
  readonly reason?: string;
  readonly retryIn?: number;
  readonly dead?: boolean;
}

export function failCommand(exit: Exit): Command {
  return withClientFlags(new Command("fail"))
    .description("say that jobs of a lease failed: they come back later, or are dead after the last attempt")
    .argument("<lease>", "the lease that `fetch` printed", hexId)
    .argument("<id...>", "jobs of that lease", hexIds)
    .option("--reason <text>", "what went wrong; at most 8 KiB are kept")
    .option("--retry-in <duration>", "instead of the queue's back-off", positiveDuration)
    .option("--dead", "no further attempt")
    .addHelpText("after", help)
    .action(async (lease: string, ids: string[], flags: Flags, command: Command) => {
      if (flags.dead === true && flags.retryIn !== undefined) throw usage("--dead and --retry-in exclude each other");
      const { reason, retryIn: retryDelayMs, dead } = flags;
      await withClient(command, exit, async ({ client, output }) => {
        const settled = await client.fail(
          lease,
          ids.map((id) => ({ id, reason, retryDelayMs, dead })),
        );
        printSettled(output, settled, "failed");
        return exitCodeOfRefusals(settled.refused);
      });
    });
}

const help = `
Examples:
  capstan fail 6f1d…c2 0192…7a --reason "mailbox full" --retry-in 10m
  capstan fail 6f1d…c2 0192…7a --dead

Exit codes: 0 all failed as told, 4 the lease is over, 5 no server reached.`;
