// Owns: the verb `capstan config`: the server's settings as they are in effect here, with unit, source and bounds. Never
// starts anything and asks no server: it reads the same flags, environment and file as `capstan server` would. Called by
// the command line's main.

import { Command } from "commander";
import { type Effective, formatValue, loadConfig } from "../config_load.js";
import { probeMachine } from "../machine.js";
import type { Exit } from "./connect.js";
import { exitCode, Failure } from "./exit_codes.js";
import { clientFlags, outputOption } from "./options.js";
import { type Column, Output } from "./output.js";
import { serverFlags, withServerFlags } from "./server_flags.js";

export function configCommand(exit: Exit): Command {
  return withServerFlags(
    new Command("config")
      .description("print the server's settings in effect, with unit, source and bounds")
      .argument("[setting...]", "these alone: by name (leaseMsDefault) or flag (lease-ms-default)")
      .addOption(outputOption()),
  )
    .addHelpText("after", help)
    .action(async (wanted: string[], _options: unknown, command: Command) => {
      const { config: file, ...flags } = serverFlags(command);
      const { effective } = loadConfig({
        flags,
        environment: process.env,
        file: typeof file === "string" ? file : undefined,
        machine: probeMachine(),
      });
      const output = new Output(clientFlags(command).output);
      const rows = selected(effective, wanted);
      if (output.isTable) output.table(columns, rows);
      else for (const row of rows) output.json(ordered(row));
      await output.flush();
      exit(exitCode.ok);
    });
}

function selected(effective: readonly Effective[], wanted: readonly string[]): readonly Effective[] {
  if (wanted.length === 0) return effective;
  return wanted.map((name) => {
    const bare = name.replace(/^--/, "");
    const row = effective.find((one) => one.key === bare || one.flag === bare || one.variable === bare);
    if (row === undefined) {
      throw new Failure(`there is no setting ${name}; \`capstan config\` lists them all`, exitCode.nothing);
    }
    return row;
  });
}

/** What is looked for stands first. */
function ordered({ key, value, unit, source, min, max, choices, ...rest }: Effective): Record<string, unknown> {
  return { key, value, unit, source, min, max, choices, ...rest };
}

const columns: readonly Column<Effective>[] = [
  { title: "SETTING", value: (row) => row.key },
  { title: "VALUE", value: (row) => formatValue(row.unit, row.value) },
  { title: "UNIT", value: (row) => row.unit },
  { title: "BOUNDS", value: boundsText },
  { title: "SOURCE", value: (row) => row.source },
];

function boundsText(row: Effective): string {
  if (row.choices !== undefined) return row.choices.join("|");
  if (row.min === undefined || row.max === undefined) return "-";
  return `${formatValue(row.unit, row.min)} to ${formatValue(row.unit, row.max)}`;
}

const help = `
Examples:
  capstan config
  capstan config leaseMsDefault workers -o json
  capstan config --config /etc/capstan.toml --workers 4`;
