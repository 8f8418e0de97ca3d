// Owns: the verb `capstan release`: gives fetched jobs back untouched, without counting the attempt. Called by the command
// line's main.

import type { Command } from "commander";
import type { Exit } from "./connect.js";
import { settlingCommand } from "./settling.js";

export function releaseCommand(exit: Exit): Command {
  return settlingCommand(exit, {
    name: "release",
    description: "give jobs of a lease back; the attempt is not counted",
    help,
    done: "released",
    settle: (client, lease, ids) => client.release(lease, ids),
  });
}

const help = `
Examples:
  capstan release 6f1d…c2 --all`;
