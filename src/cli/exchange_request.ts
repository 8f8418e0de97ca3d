// Owns: the reading of an exchange as people write it in JSON, into what the client takes. A field that is not known is
// refused: a mistyped one must not be left out in silence. Never sends anything. Called by exchange.ts.

import type { ExchangeRequest, FailedJob, NewJob } from "../client/index.js";
import { parseDurationMs } from "../units.js";
import { usage } from "./exit_codes.js";

type Fields = Record<string, unknown>;
type Part<K extends keyof ExchangeRequest> = NonNullable<ExchangeRequest[K]>;

export function parseExchange(text: string): ExchangeRequest {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw usage(`the exchange is no JSON: ${(error as Error).message}`);
  }
  const all = fields(value, "the exchange", [
    "requireAcks",
    "acks",
    "fails",
    "releases",
    "extends",
    "enqueues",
    "fetch",
  ]);
  if (all["requireAcks"] !== undefined && typeof all["requireAcks"] !== "boolean") {
    throw usage("requireAcks must be true or false");
  }
  return {
    requireAcks: all["requireAcks"] as boolean | undefined,
    acks: list(all["acks"], "acks", idsPart),
    fails: list(all["fails"], "fails", failPart),
    releases: list(all["releases"], "releases", idsPart),
    extends: list(all["extends"], "extends", extendPart),
    enqueues: list(all["enqueues"], "enqueues", enqueuePart),
    fetch: all["fetch"] === undefined ? undefined : fetchPart(all["fetch"]),
  };
}

// The client checks the types of what it takes; here only what it would not see: names of fields, and other forms.

function idsPart(value: unknown, at: string): Part<"acks">[number] {
  return fields(value, at, ["lease", "ids"]) as unknown as Part<"acks">[number];
}

function failPart(value: unknown, at: string): Part<"fails">[number] {
  const part = fields(value, at, ["lease", "jobs"]);
  const jobs = list(part["jobs"], `${at}.jobs`, (one, where) => {
    const job = fields(one, where, ["id", "reason", "retryDelayMs", "dead"]);
    return { ...job, retryDelayMs: ms(job["retryDelayMs"], `${where}.retryDelayMs`) } as unknown as FailedJob;
  });
  if (jobs === undefined) throw usage(`${at}.jobs is missing`);
  return { lease: part["lease"] as string, jobs };
}

function extendPart(value: unknown, at: string): Part<"extends">[number] {
  const part = fields(value, at, ["lease", "leaseMs"]);
  const leaseMs = ms(part["leaseMs"], `${at}.leaseMs`);
  if (leaseMs === undefined) throw usage(`${at}.leaseMs is missing`);
  return { lease: part["lease"] as string, leaseMs };
}

function enqueuePart(value: unknown, at: string): Part<"enqueues">[number] {
  const part = fields(value, at, ["queue", "jobs"]);
  const jobs = list(part["jobs"], `${at}.jobs`, newJob);
  if (jobs === undefined) throw usage(`${at}.jobs is missing`);
  return { queue: part["queue"] as string, jobs };
}

function newJob(value: unknown, at: string): NewJob {
  const { payloadEncoding, runAt, headers, ...job } = fields(value, at, [
    "payload",
    "payloadEncoding",
    "delayMs",
    "runAt",
    "priority",
    "maxAttempts",
    "group",
    "headers",
    "contentType",
  ]);
  if (payloadEncoding !== undefined && payloadEncoding !== "base64") {
    throw usage(`${at}.payloadEncoding must be base64, or absent for text`);
  }
  const runAtMs = typeof runAt === "string" ? Date.parse(runAt) : undefined;
  if (runAt !== undefined && (runAtMs === undefined || Number.isNaN(runAtMs))) {
    throw usage(`${at}.runAt must be an instant such as 2027-01-31T08:00:00Z`);
  }
  return {
    ...job,
    payload: payloadEncoding === "base64" ? bytes(job["payload"], `${at}.payload`) : (job["payload"] as string),
    delayMs: ms(job["delayMs"], `${at}.delayMs`),
    runAtMs,
    headers: headers === undefined ? undefined : headerValues(headers, `${at}.headers`),
  };
}

function headerValues(value: unknown, at: string): Record<string, string | Uint8Array> {
  const entries = Object.entries(object(value, at)).map(([name, one]) => {
    if (typeof one === "string") return [name, one] as const;
    return [name, bytes(fields(one, `${at}.${name}`, ["base64"])["base64"], `${at}.${name}.base64`)] as const;
  });
  return Object.fromEntries(entries);
}

function fetchPart(value: unknown): Part<"fetch"> {
  const part = fields(value, "fetch", ["queues", "jobsMax", "bytesMax", "leaseMs", "waitMs", "worker"]);
  const leaseMs = ms(part["leaseMs"], "fetch.leaseMs");
  return { ...part, leaseMs, waitMs: ms(part["waitMs"], "fetch.waitMs") } as unknown as Part<"fetch">;
}

function list<T>(value: unknown, at: string, read: (one: unknown, at: string) => T): T[] | undefined {
  if (value === undefined) return undefined;
  if (!Array.isArray(value)) throw usage(`${at} must be a list`);
  return value.map((one, index) => read(one, `${at}[${index}]`));
}

function fields(value: unknown, at: string, known: readonly string[]): Fields {
  const all = object(value, at);
  for (const name of Object.keys(all)) {
    if (!known.includes(name)) throw usage(`${at} has no field ${name}; it has ${known.join(", ")}`);
  }
  return all;
}

function object(value: unknown, at: string): Fields {
  if (typeof value !== "object" || value === null || Array.isArray(value)) throw usage(`${at} must be an object`);
  return value as Fields;
}

/** Milliseconds as a number, or a duration such as "30s". */
function ms(value: unknown, at: string): number | undefined {
  if (value === undefined || typeof value === "number") return value;
  const parsed = typeof value === "string" ? parseDurationMs(value) : undefined;
  if (parsed === undefined) throw usage(`${at} must be a number of milliseconds, or a duration such as "30s"`);
  return parsed;
}

function bytes(value: unknown, at: string): Uint8Array {
  if (typeof value !== "string" || !/^[A-Za-z0-9+/]*={0,2}$/.test(value)) throw usage(`${at} must be base64`);
  return Buffer.from(value, "base64");
}
