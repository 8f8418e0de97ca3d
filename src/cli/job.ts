// Owns: the verbs `capstan job show` and `capstan job delete`: single jobs by their ids, in whatever state they are.
// Called by the command line's main.

import { Command } from "commander";
import { confirm } from "./confirm.js";
import { type Exit, withClient } from "./connect.js";
import { exitCode, exitCodeOfRefusals } from "./exit_codes.js";
import { hexIds, size, withClientFlags } from "./options.js";
import { jobJson, jobRecord, printSettled } from "./shapes.js";

export function jobCommand(exit: Exit): Command {
  return new Command("job")
    .description("show or delete single jobs")
    .addCommand(showCommand(exit))
    .addCommand(deleteCommand(exit))
    .addHelpText("after", "\nExamples:\n  capstan job show 0192…7a\n  capstan job delete 0192…7a --yes");
}

function showCommand(exit: Exit): Command {
  return withClientFlags(new Command("show"))
    .description("show jobs: state, attempts, last error, payload")
    .argument("<id...>", "", hexIds)
    .option("--payload-bytes <size>", "of each payload (default: all of it)", size)
    .addHelpText(
      "after",
      "\nExamples:\n  capstan job show 0192…7a\n  capstan job show 0192…7a -o json | jq -r .payload",
    )
    .action(async (ids: string[], flags: { payloadBytes?: number }, command: Command) => {
      await withClient(command, exit, async ({ client, output }) => {
        for (const id of ids) {
          const job = await client.getJob(id, { payloadBytesMax: flags.payloadBytes });
          if (output.isTable) output.record(jobRecord(job));
          else output.json(jobJson(job));
        }
        return exitCode.ok;
      });
    });
}

function deleteCommand(exit: Exit): Command {
  return withClientFlags(new Command("delete"))
    .description("delete jobs; a leased one goes when its lease ends")
    .argument("<id...>", "", hexIds)
    .option("-y, --yes", "do not ask")
    .addHelpText("after", "\nExamples:\n  capstan job delete 0192…7a 0192…7b --yes")
    .action(async (ids: string[], flags: { yes?: boolean }, command: Command) => {
      await confirm(`Delete ${ids.length === 1 ? `job ${ids[0]}` : `${ids.length} jobs`}?`, flags.yes);
      await withClient(command, exit, async ({ client, output }) => {
        const settled = await client.deleteJobs(ids);
        printSettled(output, settled, "deleted");
        return exitCodeOfRefusals(settled.refused);
      });
    });
}
