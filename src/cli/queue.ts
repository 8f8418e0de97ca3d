// Owns: the verbs `capstan queue show|set|pause|resume|delete`: one queue and its settings. Called by the command line's
// main.

import { Command } from "commander";
import type { QueueChanges, QueueInfo } from "../client/index.js";
import { confirm } from "./confirm.js";
import { type Exit, type Use, withClient } from "./connect.js";
import { exitCode } from "./exit_codes.js";
import { finishOperation } from "./operation.js";
import { attempts, count, duration, positiveDuration, withClientFlags } from "./options.js";
import { queueJson, queueRecord } from "./shapes.js";

interface SetFlags {
  readonly maxAttempts?: number | "unlimited";
  readonly backoffBase?: number;
  readonly backoffFactor?: number;
  readonly backoffMax?: number;
  readonly jitter?: number;
  readonly deadKeep?: number;
  readonly groupQuantum?: number;
}

export function queueCommand(exit: Exit): Command {
  return new Command("queue")
    .description("show, set, pause, resume or delete a queue")
    .addCommand(showCommand(exit))
    .addCommand(setCommand(exit))
    .addCommand(pauseCommand(exit, "pause", true))
    .addCommand(pauseCommand(exit, "resume", false))
    .addCommand(deleteCommand(exit))
    .addHelpText("after", "\nExamples:\n  capstan queue show mail\n  capstan queue set mail --max-attempts 5");
}

function showCommand(exit: Exit): Command {
  return withClientFlags(new Command("show"))
    .description("show a queue: counts and settings")
    .argument("<name>")
    .addHelpText("after", "\nExamples:\n  capstan queue show mail\n  capstan queue show mail -o json | jq .ready")
    .action(async (name: string, _flags: unknown, command: Command) => {
      await withClient(command, exit, async (use) => print(use, await use.client.getQueue(name)));
    });
}

function setCommand(exit: Exit): Command {
  return withClientFlags(new Command("set"))
    .description("change settings of a queue, and make it when there is none; what is not given stays")
    .argument("<name>")
    .option("--max-attempts <number>", "a number, or unlimited", attempts)
    .option("--backoff-base <duration>", "before the second attempt; 0s: none", duration)
    .option("--backoff-factor <percent>", "200 doubles it with every attempt", count(100, 10_000))
    .option("--backoff-max <duration>", "the longest", positiveDuration)
    .option("--jitter <percent>", "of the back-off, at random; 0: none", count(0, 100))
    .option("--dead-keep <duration>", "how long dead jobs are kept: 1m to 3650d", positiveDuration)
    .option("--group-quantum <jobs>", "jobs of a group before the next group's turn", count(1, 10_000))
    .addHelpText("after", setHelp)
    .action(async (name: string, flags: SetFlags, command: Command) => {
      const changes: QueueChanges = {
        maxAttempts: flags.maxAttempts,
        backoffBaseMs: flags.backoffBase,
        backoffFactorPercent: flags.backoffFactor,
        backoffMaxMs: flags.backoffMax,
        backoffJitterPercent: flags.jitter,
        deadKeepMs: flags.deadKeep,
        groupQuantum: flags.groupQuantum,
      };
      await withClient(command, exit, async (use) => print(use, await use.client.setQueue(name, changes)));
    });
}

const setHelp = `
Examples:
  capstan queue set mail --max-attempts 5 --backoff-base 10s --backoff-max 1h
  capstan queue set mail --max-attempts unlimited --dead-keep 30d`;

function pauseCommand(exit: Exit, verb: "pause" | "resume", paused: boolean): Command {
  return withClientFlags(new Command(verb))
    .description(paused ? "let nobody fetch from a queue; enqueue still works" : "let a paused queue be fetched again")
    .argument("<name>")
    .addHelpText("after", `\nExamples:\n  capstan queue ${verb} mail`)
    .action(async (name: string, _flags: unknown, command: Command) => {
      await withClient(command, exit, async (use) => {
        // A mistyped name must not make a queue.
        await use.client.getQueue(name);
        return print(use, await use.client.setQueue(name, { paused }));
      });
    });
}

function deleteCommand(exit: Exit): Command {
  return withClientFlags(new Command("delete"))
    .description("delete a queue with everything in it")
    .argument("<name>")
    .option("-y, --yes", "do not ask")
    .option("--no-wait", "do not wait until it is done")
    .addHelpText("after", "\nExamples:\n  capstan queue delete mail\n  capstan queue delete mail --yes --no-wait")
    .action(async (name: string, flags: { yes?: boolean; wait: boolean }, command: Command) => {
      await confirm(`Delete the queue ${name} with every job in it?`, flags.yes);
      await withClient(command, exit, async (use) =>
        finishOperation(use, await use.client.deleteQueue(name), "deleted", flags),
      );
    });
}

function print({ output }: Use, queue: QueueInfo): number {
  if (output.isTable) output.record(queueRecord(queue));
  else output.json(queueJson(queue));
  return exitCode.ok;
}
