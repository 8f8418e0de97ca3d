// Finds the value of every setting: flag before environment before file before default; checks each against its bounds
// and the settings against one another. Owns no table (config.ts does) and changes nothing. Called by main.ts and by
// `capstan config`; every refusal is a ConfigError that names key, bound and source.

import { readFileSync } from "node:fs";
import { parse as parseToml } from "smol-toml";
import {
  type Config,
  type Context,
  flagOf,
  type Key,
  type Knob,
  keys,
  knobs,
  type Machine,
  type NumberKnob,
  processBytes,
  variableOf,
  workerHeapBytes,
} from "./config.js";
import { ConfigError } from "./errors.js";
import {
  formatBytes,
  formatCount,
  formatDurationMs,
  KiB,
  MiB,
  parseBytes,
  parseCount,
  parseDurationMs,
} from "./units.js";

/** Where a value came from, as people read it: "default", "file PATH", "environment NAME", "flag --NAME". */
export type Source = string;

export interface Effective {
  key: Key;
  flag: string;
  variable: string;
  value: string | number | boolean;
  unit: string;
  source: Source;
  /** Undefined where a setting has no order. */
  min: number | undefined;
  max: number | undefined;
  choices: readonly string[] | undefined;
  default: string | number | boolean;
  why: string;
}

export interface Sources {
  /** Flag name without dashes (`rpc-listen`) to what stood behind it; a switch that was given is `true`. */
  flags: Readonly<Record<string, string | boolean | undefined>>;
  environment: Readonly<Record<string, string | undefined>>;
  /** Path of the file; undefined: the environment's CAPSTAN_CONFIG, else none. */
  file?: string | undefined;
  machine: Machine;
}

export interface LoadedConfig {
  config: Config;
  effective: readonly Effective[];
  /** The file that was read, so that SIGHUP reads the same one. */
  file: string | undefined;
}

/** Variables that begin with CAPSTAN_ and belong to others: the client, commands that `capstan work` runs, tests. */
const foreignVariables =
  /^CAPSTAN_((CONFIG|SERVER|OUTPUT|ADDR|QUEUE|ATTEMPT|TOKEN|LEASE)$|ADDRESS|CLIENT_|CLUSTER|JOB_|TEST_|WORK_|BENCH_|BUILD_)/;

interface Given {
  text: string | number | boolean;
  source: Source;
}

/** Reads all sources; throws ConfigError for the first thing that cannot be used. */
export function loadConfig(sources: Sources): LoadedConfig {
  const file = sources.file ?? nonEmpty(sources.environment["CAPSTAN_CONFIG"]);
  // Later ones win.
  const given = new Map<Key, Given>();
  if (file !== undefined) takeFile(file, given);
  takeEnvironment(sources.environment, given);
  takeFlags(sources.flags, given);

  const values = new Map<string, string | number | boolean>();
  const context: Context = {
    machine: sources.machine,
    number(key) {
      const value = values.get(key);
      if (typeof value !== "number") throw new Error(`setting ${key} is asked for before it is known`);
      return value;
    },
  };
  const effective = keys.map((key) => {
    const row = evaluate(key, given.get(key), context);
    values.set(key, row.value);
    return row;
  });
  const config = Object.fromEntries(values) as unknown as Config;
  checkTogether(config, new Map(effective.map((row) => [row.key, row.source])));
  return { config, effective, file };
}

/** What requests may pin in all: three quarters of the node's memory without its caches. The last quarter is for what is
 *  there for a moment: the copies of one large entry while it is proposed, written and applied, of one large reply while
 *  it is encoded, and what the allocator keeps. */
export function requestBytesMax(config: Config): number {
  const rest =
    config.memoryBytesMax -
    config.blockCacheBytes -
    config.writeBufferBytes -
    config.windowBytesMax -
    config.payloadCacheBytes -
    config.logCacheBytes -
    processBytes -
    config.workers * (workerHeapBytes + config.slabsMax * config.slabBytes);
  return Math.floor(rest * requestShare);
}

const requestShare = 3 / 4;

/** One value as people write it. */
export function formatValue(unit: string, value: string | number | boolean): string {
  if (typeof value !== "number") return value === "" ? "none" : String(value);
  switch (unit) {
    case "ms":
      return formatDurationMs(value);
    case "bytes":
      return formatBytes(value);
    case "percent":
      return `${value} %`;
    default:
      return formatCount(value);
  }
}

function takeFile(path: string, given: Map<Key, Given>): void {
  const source = `file ${path}`;
  let text: string;
  try {
    text = readFileSync(path, "utf8");
  } catch (error) {
    throw new ConfigError("unreadableFile", `cannot read ${path}: ${(error as Error).message}`, "config", source);
  }
  let table: Record<string, unknown>;
  try {
    table = parseToml(text);
  } catch (error) {
    throw new ConfigError("unreadableFile", `${path} is not TOML: ${(error as Error).message}`, "config", source);
  }
  for (const [name, value] of Object.entries(table)) {
    if (!isKey(name)) throw unknown(name, source, keys);
    if (Array.isArray(value) && knobs[name].unit === "addresses" && value.every((one) => typeof one === "string")) {
      given.set(name, { text: value.join(","), source });
    } else if (typeof value === "string" || typeof value === "number" || typeof value === "boolean") {
      given.set(name, { text: value, source });
    } else {
      throw new ConfigError("invalidValue", `${name} must be a plain value (${source})`, name, source);
    }
  }
}

function takeEnvironment(environment: Sources["environment"], given: Map<Key, Given>): void {
  const byVariable = new Map(keys.map((key) => [variableOf(key), key]));
  for (const [name, value] of Object.entries(environment)) {
    if (!name.startsWith("CAPSTAN_") || foreignVariables.test(name) || value === undefined) continue;
    const source = `environment ${name}`;
    const key = byVariable.get(name);
    if (key === undefined) throw unknown(name, source, [...byVariable.keys()]);
    given.set(key, { text: value, source });
  }
}

function takeFlags(flags: Sources["flags"], given: Map<Key, Given>): void {
  const byFlag = new Map(keys.map((key) => [flagOf(key), key]));
  for (const [name, value] of Object.entries(flags)) {
    if (value === undefined) continue;
    const source = `flag --${name}`;
    const key = byFlag.get(name);
    if (key === undefined)
      throw unknown(
        `--${name}`,
        source,
        [...byFlag.keys()].map((flag) => `--${flag}`),
      );
    given.set(key, { text: value, source });
  }
}

function evaluate(key: Key, given: Given | undefined, context: Context): Effective {
  const knob: Knob = knobs[key];
  const byDefault = typeof knob.default === "function" ? knob.default(context) : knob.default;
  const row = {
    key,
    flag: flagOf(key),
    variable: variableOf(key),
    unit: knob.unit,
    source: given?.source ?? "default",
    min: undefined as number | undefined,
    max: undefined as number | undefined,
    choices: undefined as readonly string[] | undefined,
    default: byDefault,
    why: knob.why,
  };
  switch (knob.unit) {
    case "ms":
    case "bytes":
    case "count":
    case "percent": {
      row.min = resolve(knob.min, context);
      row.max = resolve(knob.max, context);
      const value = given === undefined ? (byDefault as number) : parseNumber(key, knob, given);
      // A default obeys the bounds too: another setting may have moved them.
      checkBounds(key, knob, value, row.min, row.max, row.source);
      return { ...row, value };
    }
    case "choice": {
      row.choices = knob.choices;
      const value = given === undefined ? byDefault : given.text;
      if (typeof value !== "string" || !knob.choices.includes(value)) {
        throw invalid(key, String(value), `one of ${knob.choices.join(", ")}`, row.source);
      }
      return { ...row, value };
    }
    case "boolean":
      return { ...row, value: given === undefined ? (byDefault as boolean) : parseBoolean(key, given) };
    case "options": {
      const value = given === undefined ? byDefault : given.text;
      if (typeof value !== "string" || value.includes("\0")) {
        throw invalid(key, String(value), "name=value;name=value", row.source);
      }
      return { ...row, value };
    }
    case "path":
    case "addresses": {
      const value = given === undefined ? byDefault : given.text;
      if (typeof value !== "string" || value.trim() === "" || value.includes("\0")) {
        throw invalid(
          key,
          String(value),
          knob.unit === "path" ? "a path" : "HOST:PORT, [HOST]:PORT or unix:PATH",
          row.source,
        );
      }
      return { ...row, value };
    }
  }
}

function resolve(bound: NumberKnob["min"], context: Context): number {
  return typeof bound === "function" ? bound(context) : bound;
}

const forms = {
  ms: { parse: parseDurationMs, what: "a duration such as 250ms, 30s, 10min, 24h or 14d" },
  bytes: { parse: parseBytes, what: "a number of bytes such as 4096, 64KiB or 2GiB" },
  count: { parse: parseCount, what: "a whole number" },
  percent: { parse: (text: string) => parseCount(text.replace(/\s*%$/, "")), what: "a percentage such as 20" },
} as const;

function parseNumber(key: Key, knob: NumberKnob, given: Given): number {
  const { parse, what } = forms[knob.unit];
  const text = String(given.text);
  const special = knob.special?.[text];
  if (special !== undefined) return special;
  const value = typeof given.text === "boolean" ? undefined : parse(text);
  if (value === undefined) throw invalid(key, text, what, given.source);
  return value;
}

function parseBoolean(key: Key, given: Given): boolean {
  switch (given.text) {
    case true:
    case "true":
    case "1":
    case "yes":
    case "on":
      return true;
    case false:
    case "false":
    case "0":
    case "no":
    case "off":
      return false;
    default:
      throw invalid(key, String(given.text), "true or false", given.source);
  }
}

function checkBounds(key: Key, knob: NumberKnob, value: number, min: number, max: number, source: Source): void {
  if (value >= min && value <= max) return;
  if (Object.values(knob.special ?? {}).includes(value)) return;
  const [word, bound] = value < min ? ["below", min] : ["above", max];
  const which = value < min ? "least" : "most";
  throw new ConfigError(
    "outOfBounds",
    `${key} = ${formatValue(knob.unit, value)} is ${word} its bound: at ${which} ${formatValue(knob.unit, bound)} (${source})`,
    key,
    source,
  );
}

/** Settings that fit only together. */
function checkTogether(config: Config, sources: ReadonlyMap<Key, Source>): void {
  const demand = (holds: boolean, key: Key, message: string): void => {
    const source = sources.get(key) ?? "default";
    if (!holds) throw new ConfigError("contradiction", `${message} (${source})`, key, source);
  };
  demand(
    config.payloadBytesMax + config.headersBytesMax <= config.commandBytesMax,
    "payloadBytesMax",
    `payloadBytesMax + headersBytesMax must not exceed commandBytesMax = ${formatBytes(config.commandBytesMax)}`,
  );
  demand(
    config.commandBytesMax + 4 * KiB <= config.frameBytesMax,
    "commandBytesMax",
    `commandBytesMax must stay 4 KiB below frameBytesMax = ${formatBytes(config.frameBytesMax)}`,
  );
  demand(
    config.queueBackoffBaseMs <= config.queueBackoffMaxMs,
    "queueBackoffBaseMs",
    `queueBackoffBaseMs must not exceed queueBackoffMaxMs = ${formatDurationMs(config.queueBackoffMaxMs)}`,
  );
  demand(
    config.peekJobsMax <= 1000 && config.fetchJobsMax <= config.entryJobsMax,
    "entryJobsMax",
    `entryJobsMax must be at least fetchJobsMax = ${formatCount(config.fetchJobsMax)}`,
  );
  demand(
    requestBytesMax(config) >= 16 * MiB,
    "memoryBytesMax",
    `memoryBytesMax = ${formatBytes(config.memoryBytesMax)} leaves less than 16 MiB for requests after the caches and ` +
      `${config.workers} workers; raise it or lower the caches`,
  );
}

function unknown(name: string, source: Source, known: readonly string[]): ConfigError {
  const near = nearest(name, known);
  const hint = near === undefined ? "" : `; did you mean ${near}?`;
  return new ConfigError("unknownKey", `unknown setting ${name} (${source})${hint}`, name, source);
}

function invalid(key: Key, text: string, what: string, source: Source): ConfigError {
  return new ConfigError("invalidValue", `${key} = ${JSON.stringify(text)} is not ${what} (${source})`, key, source);
}

function isKey(name: string): name is Key {
  return Object.hasOwn(knobs, name);
}

function nonEmpty(text: string | undefined): string | undefined {
  return text === "" ? undefined : text;
}

/** The known name that differs least, if it differs little. */
function nearest(name: string, known: readonly string[]): string | undefined {
  let best: string | undefined;
  let bestDistance = Math.max(2, Math.floor(name.length / 4)) + 1;
  for (const candidate of known) {
    const distance = editDistance(name.toLowerCase(), candidate.toLowerCase(), bestDistance);
    if (distance < bestDistance) [best, bestDistance] = [candidate, distance];
  }
  return best;
}

/** Levenshtein's distance by rows; stops counting at `limit`. */
function editDistance(a: string, b: string, limit: number): number {
  if (Math.abs(a.length - b.length) >= limit) return limit;
  let previous = Array.from({ length: b.length + 1 }, (_, index) => index);
  for (let i = 1; i <= a.length; i++) {
    const current = [i];
    for (let j = 1; j <= b.length; j++) {
      const change = (previous[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1);
      current.push(Math.min(change, (previous[j] ?? 0) + 1, (current[j - 1] ?? 0) + 1));
    }
    previous = current;
  }
  return previous[b.length] ?? limit;
}
