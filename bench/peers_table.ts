// What the peers' raw results say, as a table and as bars. Owns the shape of a peer's line; bench/peers measures it.
// Called by bench/peers/main.mjs and performance_document.ts.

import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { barChart } from "./chart.js";
import type { MachineFacts } from "./machine.js";
import { markdownTable } from "./markdown.js";
import { readRecording } from "./raw_results.js";
import type { Percentiles } from "./result.js";
import { ms, number } from "./words.js";

export interface PeerLoad {
  readonly jobsPerSecond: number;
  readonly latencyMs: Percentiles;
}

export interface PeerResult {
  readonly bench: "peers";
  readonly peer: string;
  readonly version: string;
  readonly durability: string;
  readonly seconds: number;
  readonly machine: MachineFacts;
  readonly batches: PeerLoad;
  readonly fetchAck: PeerLoad;
  readonly singles: PeerLoad;
}

const loads = [
  ["batches", "batches of 64"],
  ["fetchAck", "fetch + ack"],
  ["singles", "singles"],
] as const;

export function peersTable(results: string): string {
  return markdownTable(
    ["queue", "durable how", ...loads.map(([, title]) => `${title}: jobs/s (p50 / p99 of a call)`)],
    readRecording<PeerResult>(results, "peers").map((result) => [
      `${result.peer} ${result.version}`,
      result.durability,
      ...loads.map(([key]) => {
        const { jobsPerSecond, latencyMs } = result[key];
        return `${number(jobsPerSecond)} (${ms(latencyMs.p50)} / ${ms(latencyMs.p99)})`;
      }),
    ]),
  );
}

/** Draws the last recording; returns the path. */
export function plotPeers(results: string): string {
  const peers = readRecording<PeerResult>(results, "peers");
  const groups = loads.map(([key, title]) => ({
    name: title,
    values: peers.map((result) => ({ name: result.peer, value: result[key].jobsPerSecond })),
  }));
  const path = join(results, "peers.svg");
  writeFileSync(path, barChart("The same load on each queue, durable as the table says", "jobs a second", groups));
  return path;
}
