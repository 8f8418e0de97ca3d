// Owns: the flags of the server's settings as the command line takes them: one for each knob of config.ts, with its text.
// Never checks a value: config_load.ts does. Called by the verbs `server` and `config`.

import { type Command, Option } from "commander";
import { flagOf, groups, type Knob, keys, knobs } from "../config.js";
import { formatValue } from "../config_load.js";

export type ServerFlags = Readonly<Record<string, string | boolean | undefined>>;

const placeholders: Readonly<Record<string, string>> = {
  ms: "duration",
  bytes: "size",
  count: "number",
  percent: "percent",
  path: "path",
  addresses: "host:port",
};

export function withServerFlags(command: Command): Command {
  command.option("--config <file>", "a TOML file of settings (env: CAPSTAN_CONFIG)");
  for (const key of keys) {
    const knob: Knob = knobs[key];
    const flag = flagOf(key);
    const option = new Option(`--${flag} ${argumentOf(knob)}`, describe(knob)).helpGroup(`${groups[knob.group]}:`);
    command.addOption(option);
  }
  return command;
}

/** What was given, by the name of the flag; `config` is the path of the file. */
export function serverFlags(command: Command): ServerFlags {
  const given = command.opts<Record<string, string | boolean | undefined>>();
  return Object.fromEntries(
    command.options
      .map((option) => [option.long?.slice(2) ?? "", given[option.attributeName()]] as const)
      .filter(([name, value]) => value !== undefined && (name === "config" || names.has(name))),
  );
}

const names: ReadonlySet<string> = new Set(keys.map((key) => flagOf(key)));

function argumentOf(knob: Knob): string {
  if (knob.unit === "boolean") return "[true|false]";
  if (knob.unit === "choice") return `<${knob.choices.join("|")}>`;
  return `<${placeholders[knob.unit] ?? "value"}>`;
}

function describe(knob: Knob): string {
  return `${knob.why} (default: ${defaultOf(knob)})`;
}

/** As it may be given: counts without separators. */
function defaultOf(knob: Knob): string {
  if (typeof knob.default === "function") return "depends on the machine and other settings";
  return knob.unit === "count" ? String(knob.default) : formatValue(knob.unit, knob.default);
}
