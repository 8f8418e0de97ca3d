// Owns: the verb `capstan exchange`: acks, fails, enqueues and a fetch in one commit, described in JSON. A refused exchange
// is printed part by part, too. Called by the command line's main.

import { readFileSync } from "node:fs";
import { Command } from "commander";
import { CapstanError, type ExchangeRequest, type ExchangeResult } from "../client/index.js";
import { type Exit, withClient } from "./connect.js";
import { parseExchange } from "./exchange_request.js";
import { exitCode, exitCodeOf, exitCodeOfRefusals, Failure } from "./exit_codes.js";
import { withClientFlags } from "./options.js";
import { type Column, type Output, say } from "./output.js";
import { grantedJson, grantedRecord, refusalJson } from "./shapes.js";

export function exchangeCommand(exit: Exit): Command {
  return withClientFlags(new Command("exchange"))
    .description("ack, fail, release, extend, enqueue and fetch in one commit, described in JSON")
    .argument("[file]", "the description; - is standard input", "-")
    .option("--key <text>", "idempotency key: the same exchange with the same key is carried out once")
    .addHelpText("after", help)
    .action(async (file: string, flags: { key?: string }, command: Command) => {
      const request = parseExchange(readText(file));
      await withClient(
        command,
        exit,
        async ({ client, output }) => {
          try {
            const result = await client.exchange(request, { idempotencyKey: flags.key });
            print(output, result);
            return codeOf(request, result);
          } catch (error) {
            const parts = error instanceof CapstanError ? error.parts : undefined;
            if (parts !== undefined && rows(parts).length > 0) print(output, parts);
            throw error;
          }
        },
        { session: true },
      );
    });
}

function readText(file: string): string {
  try {
    return readFileSync(file === "-" ? 0 : file, "utf8");
  } catch (error) {
    const what = file === "-" ? "standard input" : file;
    throw new Failure(`cannot read ${what}: ${(error as Error).message}`, exitCode.usage);
  }
}

function codeOf(request: ExchangeRequest, result: ExchangeResult): number {
  const settled = [...result.acks, ...result.fails, ...result.releases];
  const parts = [...settled, ...result.extends, ...result.enqueues, ...(result.fetch === null ? [] : [result.fetch])];
  const failed = parts.find((part) => part.error !== null)?.error;
  if (failed !== undefined && failed !== null) {
    say(`${failed.code}: ${failed.message}`);
    return exitCodeOf(failed);
  }
  const refused = exitCodeOfRefusals(settled.flatMap((part) => part.refused));
  if (refused !== exitCode.ok) return refused;
  // A fetch alone is a fetch: empty means nothing was done.
  const isFetchAlone = request.fetch !== undefined && parts.length === 1;
  return isFetchAlone && result.fetch?.grant === null ? exitCode.nothing : exitCode.ok;
}

function print(output: Output, result: ExchangeResult): void {
  const grant = result.fetch?.grant ?? null;
  if (!output.isTable) {
    output.json(exchangeJson(result));
    return;
  }
  output.table(columns, rows(result));
  if (grant === null) return;
  for (const job of grant.jobs) {
    output.line("");
    output.record(grantedRecord(grant, job));
  }
}

function exchangeJson(result: ExchangeResult): unknown {
  const error = (part: { error: CapstanError | null }) => (part.error === null ? {} : { error: part.error.code });
  const settled = (parts: ExchangeResult["acks"]) =>
    parts.map((part) => ({ accepted: part.accepted, refused: part.refused.map(refusalJson), ...error(part) }));
  const { fetch } = result;
  return {
    acks: settled(result.acks),
    fails: settled(result.fails),
    releases: settled(result.releases),
    extends: result.extends.map((part) => ({ openJobs: part.openJobs, leaseMs: part.leaseMs, ...error(part) })),
    enqueues: result.enqueues.map((part) => ({ ids: part.ids, ...error(part) })),
    fetch:
      fetch === null
        ? null
        : { jobs: fetch.grant?.jobs.map((job) => grantedJson(fetch.grant as never, job)) ?? [], ...error(fetch) },
  };
}

interface Row {
  readonly part: string;
  readonly outcome: string;
}

const columns: readonly Column<Row>[] = [
  { title: "PART", value: (row) => row.part },
  { title: "OUTCOME", value: (row) => row.outcome },
];

function rows(result: ExchangeResult): Row[] {
  const named = <T extends { error: CapstanError | null }>(
    name: string,
    parts: readonly T[],
    text: (part: T) => string,
  ): Row[] =>
    parts.map((part, index) => ({
      part: `${name} ${index}`,
      outcome: part.error === null ? text(part) : `${part.error.code}: ${part.error.message}`,
    }));
  const settled = (part: ExchangeResult["acks"][number]): string => {
    const refused = part.refused.map((one) => `${one.id ?? `#${one.index}`} ${one.code}`).join(", ");
    return `${part.accepted} accepted${refused === "" ? "" : `, refused: ${refused}`}`;
  };
  return [
    ...named("ack", result.acks, settled),
    ...named("fail", result.fails, settled),
    ...named("release", result.releases, settled),
    ...named("extend", result.extends, (part) => `${part.openJobs} open jobs`),
    ...named("enqueue", result.enqueues, (part) => part.ids.join(" ")),
    ...named("fetch", result.fetch === null ? [] : [result.fetch], (part) => `${part.grant?.jobs.length ?? 0} jobs`),
  ];
}

const help = `
The description has any of these fields; durations are milliseconds, or text such as "30s":
  requireAcks  true: every part but the fetch applies, or none does
  acks         [{"lease": "…", "ids": ["…"] or "all"}]
  fails        [{"lease": "…", "jobs": [{"id": "…", "reason": "…", "retryDelayMs": "10s", "dead": false}]}]
  releases     as acks
  extends      [{"lease": "…", "leaseMs": "5m"}]
  enqueues     [{"queue": "…", "jobs": [{"payload": "…", "delayMs": 0, "priority": 0}]}]
  fetch        {"queues": ["…"], "jobsMax": 10, "leaseMs": "30s"}

Examples:
  echo '{"fetch":{"queues":["mail"]}}' | capstan exchange
  capstan exchange hand-over.json -o json

Exit codes: 0 all applied, 1 refused, 3 a fetch alone found nothing, 4 a lease is over, 5 no server reached.`;
