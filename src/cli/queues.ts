// Owns: the verb `capstan queues`: the list of queues with their counts. Changes nothing: `capstan queue` does. Called by
// the command line's main.

import { Command } from "commander";
import { type Exit, withClient } from "./connect.js";
import { exitCode } from "./exit_codes.js";
import { count, withClientFlags } from "./options.js";
import { pageMax } from "./peek.js";
import { queueColumns, queueJson } from "./shapes.js";

interface Flags {
  readonly prefix?: string;
  readonly limit?: number;
  readonly after?: string;
}

export function queuesCommand(exit: Exit): Command {
  return withClientFlags(new Command("queues"))
    .description("list the queues with their counts")
    .option("--prefix <text>", "whose name begins so")
    .option("--limit <number>", "at most so many (default: all)", count(1, 1_000_000_000))
    .option("--after <name>", "behind this name")
    .addHelpText("after", help)
    .action(async (flags: Flags, command: Command) => {
      await withClient(command, exit, async ({ client, output }) => {
        let { after } = flags;
        for (let left = flags.limit ?? Number.POSITIVE_INFINITY; left > 0 && !output.isClosed; ) {
          const page = await client.listQueues({ after, limit: Math.min(left, pageMax), prefix: flags.prefix });
          if (output.isTable) output.table(queueColumns, page.queues);
          else for (const queue of page.queues) output.json(queueJson(queue));
          await output.flush();
          left -= page.queues.length;
          after = page.next;
          if (page.next === "") break;
        }
        return exitCode.ok;
      });
    });
}

const help = `
Examples:
  capstan queues
  capstan queues --prefix mail. -o json | jq -r 'select(.dead > 0).name'`;
