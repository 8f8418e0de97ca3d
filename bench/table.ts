// A result as a table for people: what was asked, what came out, beside its budget and the floor of the same run. Owns
// nothing and writes nowhere. Called by main.ts.

import type { Budget } from "./question.js";
import type { Result } from "./run.js";

export function tableOf(result: Result): string {
  const { settings, machine, server, floor, counted } = result;
  const rows: [string, string][] = [
    ["question", `${result.bench}: ${result.title}`],
    ["machine", `${machine.processor}, ${machine.cores} cores, ${gibibytes(machine.memoryBytes)}`],
    ["system", `Linux ${machine.kernel}, Node ${machine.node}, ${machine.fileSystem || "file system not known"}`],
    [
      "load",
      `${settings.connections} connections, ${settings.outstandingPerConnection} calls under way on each, ` +
        `${settings.batchJobs} jobs a call, ${settings.payloadBytes} B a job, ${settings.threads} load threads`,
    ],
    ...(settings.serverFlags.length > 0
      ? ([["server flags", settings.serverFlags.join(" ")]] as [string, string][])
      : []),
    ["measured", `${result.seconds.toFixed(1)} s`],
    ["throughput", `${number(result.jobsPerSecond)} jobs/s`],
    ...Object.entries(result.latencies).map(([name, latency]): [string, string] => [
      `${name} latency`,
      `p50 ${ms(latency.p50Ms)}, p99 ${ms(latency.p99Ms)}, p99.9 ${ms(latency.p999Ms)} (${number(latency.count)} timed)`,
    ]),
    ["budget", `${budgetText(result.budget)}: ${result.isWithinBudget ? "kept" : "missed"}`],
  ];
  if (server !== undefined) {
    rows.push([
      "server",
      `${server.cpuSeconds.toFixed(2)} CPU seconds, ${server.cpuMicrosecondsPerJob.toFixed(2)} µs a job, ` +
        `peak resident ${(server.peakResidentBytes / 2 ** 20).toFixed(0)} MiB`,
    ]);
  }
  if (floor !== undefined) {
    rows.push([
      "floor",
      `${number(floor.jobsPerSecond)} jobs/s (append, fdatasync, Put in one thread); appends ` +
        `${(floor.appendBytesPerSecond / 1e6).toFixed(0)} MB/s, Puts ${number(floor.putsPerSecond)}/s, ` +
        `one sync ${floor.syncMicroseconds} µs`,
    ]);
  }
  rows.push([
    "counted back",
    `${number(counted.enqueued)} enqueued, ${number(counted.acked)} acked; the queue has ${number(counted.ready)} ` +
      `ready, ${number(counted.leased)} leased, ${number(counted.ackedTotal)} acked`,
  ]);
  const width = Math.max(...rows.map(([name]) => name.length));
  return rows.map(([name, text]) => `${name.padEnd(width)}  ${text}\n`).join("");
}

function budgetText(budget: Budget): string {
  if (budget.unit === "jobs/s") return `${number(budget.must)} jobs/s must, ${number(budget.goal)} goal`;
  return `p50 / p99 ${budget.must.join(" / ")} ms must, ${budget.goal.join(" / ")} ms goal`;
}

function number(value: number): string {
  return value.toLocaleString("en-US", { maximumFractionDigits: 0 });
}

function ms(value: number): string {
  return `${value.toFixed(value < 10 ? 2 : 1)} ms`;
}

function gibibytes(bytes: number): string {
  return `${(bytes / 2 ** 30).toFixed(0)} GiB`;
}
