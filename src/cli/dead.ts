// Owns: the verbs `capstan dead list|redrive|delete`: the jobs of a queue that are given up on. Called by the command
// line's main.

import { Command } from "commander";
import type { DeadSelection } from "../client/index.js";
import { confirm } from "./confirm.js";
import { type Exit, withClient } from "./connect.js";
import { usage } from "./exit_codes.js";
import { finishOperation } from "./operation.js";
import { count, hexIds, payloadBytesOption, withClientFlags } from "./options.js";
import { printPages } from "./peek.js";
import { deadColumns } from "./shapes.js";

interface ListFlags {
  readonly limit: number;
  readonly payloadBytes: number;
  readonly after?: string;
}

interface BulkFlags {
  readonly all?: boolean;
  readonly wait: boolean;
  readonly yes?: boolean;
}

const limitMax = 1_000_000_000;

export function deadCommand(exit: Exit): Command {
  return new Command("dead")
    .description("list, redrive or delete dead jobs: those out of attempts")
    .addCommand(listCommand(exit))
    .addCommand(redriveCommand(exit))
    .addCommand(deleteCommand(exit))
    .addHelpText("after", "\nExamples:\n  capstan dead list mail\n  capstan dead redrive mail --all");
}

function listCommand(exit: Exit): Command {
  return withClientFlags(new Command("list"))
    .description("list the dead jobs of a queue, the oldest first")
    .argument("<queue>")
    .option("--limit <number>", "at most so many", count(1, limitMax), 100)
    .addOption(payloadBytesOption())
    .option("--after <place>", "go on where the last page ended")
    .addHelpText("after", "\nExamples:\n  capstan dead list mail\n  capstan dead list mail -o json | jq -r .lastError")
    .action(async (queue: string, flags: ListFlags, command: Command) => {
      await withClient(command, exit, async ({ client, output }) =>
        printPages(output, deadColumns, flags, (limit, after) =>
          client.listDead(queue, { limit, after, payloadBytesMax: flags.payloadBytes }),
        ),
      );
    });
}

function redriveCommand(exit: Exit): Command {
  return withClientFlags(new Command("redrive"))
    .description("put dead jobs back into their queue, with fresh attempts")
    .argument("<queue>")
    .argument("[id...]", "these jobs", hexIds)
    .option("--all", "every dead job of the queue")
    .option("--no-wait", "do not wait until it is done")
    .addHelpText("after", "\nExamples:\n  capstan dead redrive mail 0192…7a\n  capstan dead redrive mail --all")
    .action(async (queue: string, ids: string[] | undefined, flags: BulkFlags, command: Command) => {
      const selection = selected(ids, flags.all);
      await withClient(command, exit, async (use) =>
        finishOperation(use, await use.client.redriveDead(queue, selection), "redriven", flags),
      );
    });
}

function deleteCommand(exit: Exit): Command {
  return withClientFlags(new Command("delete"))
    .description("delete dead jobs for good")
    .argument("<queue>")
    .argument("[id...]", "these jobs", hexIds)
    .option("--all", "every dead job of the queue")
    .option("--no-wait", "do not wait until it is done")
    .option("-y, --yes", "do not ask")
    .addHelpText("after", "\nExamples:\n  capstan dead delete mail 0192…7a\n  capstan dead delete mail --all --yes")
    .action(async (queue: string, ids: string[] | undefined, flags: BulkFlags, command: Command) => {
      const selection = selected(ids, flags.all);
      const what = "all" in selection ? "all dead jobs" : `${selection.ids.length} dead jobs`;
      await confirm(`Delete ${what} of ${queue}?`, flags.yes);
      await withClient(command, exit, async (use) =>
        finishOperation(use, await use.client.deleteDead(queue, selection), "deleted", flags),
      );
    });
}

function selected(ids: readonly string[] | undefined, isAll: boolean | undefined): DeadSelection {
  const given = ids ?? [];
  if (isAll === true && given.length > 0) throw usage("give ids or --all, not both");
  if (isAll === true) return { all: true };
  if (given.length === 0) throw usage("give the ids of dead jobs, or --all");
  return { ids: given };
}
