// Durations and byte counts as people write them ("30s", "512MiB") and as the server keeps them (whole milliseconds,
// whole bytes). Owns the table of suffixes; never guesses: what it does not know is an error. Called by config.ts's
// loader and by whoever prints a value for people.

const second = 1000;
const minute = 60 * second;
const hour = 60 * minute;
const day = 24 * hour;

export const KiB = 1024;
export const MiB = 1024 * KiB;
export const GiB = 1024 * MiB;
export const TiB = 1024 * GiB;

export const msOf = { second, minute, hour, day, year: 365 * day } as const;

const durationSuffixes: ReadonlyMap<string, number> = new Map([
  ["", 1],
  ["ms", 1],
  ["s", second],
  ["m", minute],
  ["min", minute],
  ["h", hour],
  ["d", day],
]);

const byteSuffixes: ReadonlyMap<string, number> = new Map([
  ["", 1],
  ["B", 1],
  ["KiB", KiB],
  ["MiB", MiB],
  ["GiB", GiB],
  ["TiB", TiB],
  ["kB", 1000],
  ["MB", 1000 ** 2],
  ["GB", 1000 ** 3],
  ["TB", 1000 ** 4],
]);

/** Whole milliseconds of "250ms", "30s", "10min", "24h", "14d" or a bare number of milliseconds; undefined otherwise. */
export function parseDurationMs(text: string): number | undefined {
  return parseWithSuffix(text, durationSuffixes);
}

/** Whole bytes of "512MiB", "64 KiB", "2GB" or a bare number of bytes; undefined otherwise. */
export function parseBytes(text: string): number | undefined {
  return parseWithSuffix(text, byteSuffixes);
}

/** A whole number, underscores allowed between digits; undefined otherwise. */
export function parseCount(text: string): number | undefined {
  if (!/^\d+(_\d+)*$/.test(text)) return undefined;
  const value = Number(text.replaceAll("_", ""));
  return Number.isSafeInteger(value) ? value : undefined;
}

/** The shortest exact form: 30000 is "30 s", 1500 is "1500 ms", 0 is "0". */
export function formatDurationMs(ms: number): string {
  if (ms === 0) return "0";
  if (ms % msOf.year === 0) return plural(ms / msOf.year, "year");
  if (ms % day === 0) return plural(ms / day, "day");
  if (ms % hour === 0) return `${ms / hour} h`;
  if (ms % minute === 0) return `${ms / minute} min`;
  if (ms % second === 0) return `${ms / second} s`;
  return `${ms} ms`;
}

/** The shortest exact form: 1048576 is "1 MiB", 1000 is "1000 bytes". */
export function formatBytes(bytes: number): string {
  if (bytes === 0) return "0";
  if (bytes % TiB === 0) return `${bytes / TiB} TiB`;
  if (bytes % GiB === 0) return `${bytes / GiB} GiB`;
  if (bytes % MiB === 0) return `${bytes / MiB} MiB`;
  if (bytes % KiB === 0) return `${bytes / KiB} KiB`;
  return `${bytes} bytes`;
}

/** 1234567 is "1,234,567", whatever the locale. */
export function formatCount(value: number): string {
  return String(value).replace(/\B(?=(\d{3})+$)/g, ",");
}

function plural(value: number, word: string): string {
  return value === 1 ? `1 ${word}` : `${value} ${word}s`;
}

function parseWithSuffix(text: string, suffixes: ReadonlyMap<string, number>): number | undefined {
  const match = /^(\d+(?:_\d+)*(?:\.\d+)?)\s*([A-Za-z]*)$/.exec(text.trim());
  if (match === null) return undefined;
  const factor = suffixes.get(match[2] ?? "");
  if (factor === undefined) return undefined;
  const value = Number((match[1] ?? "").replaceAll("_", "")) * factor;
  return Number.isSafeInteger(value) ? value : undefined;
}
