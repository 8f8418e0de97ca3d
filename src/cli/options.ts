// Owns: how flags and arguments are read: durations, sizes, counts, instants, headers, and the flags that every verb of
// the client shares. Never talks to a server and never prints. Each reader refuses with commander's InvalidArgumentError,
// which ends with exit code 2. Called by the verbs.

import { type Command, InvalidArgumentError, Option } from "commander";
import { KiB, parseBytes, parseCount, parseDurationMs } from "../units.js";
import { usage } from "./exit_codes.js";

export type OutputFormat = "json" | "table";

export interface ClientFlags {
  readonly addresses: readonly string[];
  /** Undefined: a table on a terminal, lines of JSON otherwise. */
  readonly output: OutputFormat | undefined;
  readonly timeoutMs: number;
}

interface Given {
  readonly addr?: readonly string[];
  readonly output?: OutputFormat;
  readonly timeout?: number;
}

const addressDefault = "127.0.0.1:9090";
const timeoutMsDefault = 30_000;
/** What a timer of Node can hold. */
const timerMsMax = 2 ** 31 - 1;
const attemptsMax = 0xffff_fffe;
const addressesMax = 64;

/** Milliseconds of "500ms", "30s", "5m", "2h", "3d". A number without a unit is refused, for it could mean seconds. */
export function duration(text: string): number {
  const value = text.trim() !== "0" && /^[\d_.]+$/.test(text.trim()) ? undefined : parseDurationMs(text);
  if (value === undefined) throw new InvalidArgumentError("It is a duration with its unit: 500ms, 30s, 5m, 2h or 3d.");
  return value;
}

export function positiveDuration(text: string): number {
  const value = duration(text);
  if (value === 0) throw new InvalidArgumentError("It is a duration above 0.");
  return value;
}

/** How long this process itself waits for something: a longer timer of Node would ring at once. */
export function timer(text: string): number {
  const value = duration(text);
  if (value > timerMsMax) throw new InvalidArgumentError("It is a duration up to 24 days.");
  return value;
}

function timeout(text: string): number {
  return positiveDuration(text) && timer(text);
}

export function size(text: string): number {
  const value = parseBytes(text);
  if (value === undefined) throw new InvalidArgumentError("It is a number of bytes: 4096, 64KiB or 2MiB.");
  return value;
}

export function count(least: number, most: number): (text: string) => number {
  return (text) => {
    const value = parseCount(text);
    if (value === undefined || value < least || value > most) {
      throw new InvalidArgumentError(`It is a whole number from ${least} to ${most}.`);
    }
    return value;
  };
}

export function attempts(text: string): number | "unlimited" {
  if (text === "unlimited") return text;
  const value = parseCount(text);
  if (value === undefined || value === 0 || value > attemptsMax) {
    throw new InvalidArgumentError(`It is a whole number from 1 to ${attemptsMax}, or unlimited.`);
  }
  return value;
}

/** Milliseconds since 1970 of an RFC 3339 instant. The zone is demanded: what is meant must not depend on the machine. */
export function instant(text: string): number {
  const isWhole = /^\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d(:\d\d(\.\d+)?)?([Zz]|[+-]\d\d:\d\d)$/.test(text);
  const value = isWhole ? Date.parse(text.replace(" ", "T")) : Number.NaN;
  if (Number.isNaN(value) || value <= 0) {
    throw new InvalidArgumentError("It is an instant such as 2027-01-31T08:00:00Z or 2027-01-31T09:00:00+01:00.");
  }
  return value;
}

/** Collects `NAME=VALUE`; the same name twice is refused. */
export function header(text: string, before: Readonly<Record<string, string>> = {}): Record<string, string> {
  const at = text.indexOf("=");
  if (at < 1) throw new InvalidArgumentError("It is NAME=VALUE.");
  const name = text.slice(0, at);
  if (Object.hasOwn(before, name)) throw new InvalidArgumentError(`The header ${name} is given twice.`);
  return { ...before, [name]: text.slice(at + 1) };
}

export function hexId(text: string): string {
  if (!/^[0-9a-fA-F]{32}$/.test(text)) throw new InvalidArgumentError("It is 32 hex digits.");
  return text.toLowerCase();
}

/** For an argument that may be repeated. */
export function hexIds(text: string, before: readonly string[] = []): string[] {
  return [...before, hexId(text)];
}

/** Several with commas, or the flag several times. */
export function addresses(text: string, before: readonly string[] = []): string[] {
  const list = text.split(",").map((one) => one.trim());
  for (const one of list) {
    const port = /^(?:\[[^\]]+\]|[^:[\]/]+):(\d{1,5})$/.exec(one)?.[1];
    const isSocket = one.startsWith("unix:") && one.length > "unix:".length;
    if (!isSocket && (port === undefined || Number(port) < 1 || Number(port) > 65_535)) {
      throw new InvalidArgumentError(`"${one}" is not HOST:PORT, [HOST]:PORT or unix:PATH.`);
    }
  }
  const all = [...before, ...list];
  if (all.length > addressesMax) throw new InvalidArgumentError(`There are more than ${addressesMax} addresses.`);
  return all;
}

export function outputOption(): Option {
  return new Option("-o, --output <format>", "table on a terminal, else JSON, one object a line").choices([
    "json",
    "table",
  ]);
}

/** For lists of jobs, which must stay small. */
export function payloadBytesOption(): Option {
  return new Option("--payload-bytes <size>", "of each payload").argParser(size).default(64 * KiB, "64KiB");
}

/** The flags that all verbs of the client share; they may stand before the verb or behind it. */
export function withClientFlags(command: Command): Command {
  return command
    .option(
      "--addr <host:port>",
      `a server; may be repeated (env: CAPSTAN_ADDR; default: ${addressDefault})`,
      addresses,
    )
    .addOption(outputOption())
    .option("--timeout <duration>", "for each request, its retries included (default: 30s)", timeout);
}

/** What the shared flags say, the ones behind the verb first. */
export function clientFlags(command: Command, environment: NodeJS.ProcessEnv = process.env): ClientFlags {
  let given: Given = {};
  for (let at: Command | null = command; at !== null; at = at.parent) {
    given = { ...at.opts<Given>(), ...given };
  }
  return {
    addresses: given.addr ?? fromEnvironment(environment["CAPSTAN_ADDR"]) ?? [addressDefault],
    output: given.output,
    timeoutMs: given.timeout ?? timeoutMsDefault,
  };
}

function fromEnvironment(text: string | undefined): string[] | undefined {
  if (text === undefined || text === "") return undefined;
  try {
    return addresses(text);
  } catch (error) {
    throw usage(`CAPSTAN_ADDR: ${(error as Error).message}`);
  }
}
