// Owns: the verb `capstan ack`: ends jobs that were fetched. Never fetches and never guesses: ids, or --all. Called by the
// command line's main.

import type { Command } from "commander";
import type { Exit } from "./connect.js";
import { settlingCommand } from "./settling.js";

export function ackCommand(exit: Exit): Command {
  return settlingCommand(exit, {
    name: "ack",
    description: "end jobs of a lease: they are done",
    help,
    done: "acked",
    settle: (client, lease, ids) => client.ack(lease, ids),
  });
}

const help = `
Examples:
  capstan ack 6f1d…c2 0192…7a
  capstan ack 6f1d…c2 --all

Exit codes: 0 all acked, 4 the lease is over, 5 no server reached.`;
