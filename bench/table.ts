// A result as a table for people: what was asked, what came out, beside its budget and the floor of the same run. Owns
// nothing and writes nowhere. Called by main.ts.

import type { Budget, RestartBudget } from "./question.js";
import type { Result } from "./result.js";
import { bytesText, gibibytes, ms, number, times } from "./words.js";

type Row = readonly [string, string];

export function tableOf(result: Result): string {
  const rows = [...whatWasAsked(result), ...whatCameOut(result), ...whatItCost(result)];
  const width = Math.max(...rows.map(([name]) => name.length));
  return rows.map(([name, text]) => `${name.padEnd(width)}  ${text}\n`).join("");
}

function whatWasAsked({ bench, title, machine, settings }: Result): Row[] {
  const { serverFlags, queuedJobs } = settings;
  return [
    ["question", `${bench}: ${title}`],
    ["machine", `${machine.processor}, ${machine.cores} cores, ${gibibytes(machine.memoryBytes)}`],
    ["system", `Linux ${machine.kernel}, Node ${machine.node}, ${machine.fileSystem || "file system not known"}`],
    [
      "settings",
      `sync ${settings.sync}; ${settings.connections} connections, ${settings.outstandingPerConnection} calls under ` +
        `way on each, ${settings.batchJobs} jobs a call, ${settings.payloadBytes} B a job, ` +
        `${settings.threads} load threads`,
    ],
    ...(queuedJobs === undefined ? [] : [["queued before", `${number(queuedJobs)} jobs`] as const]),
    ...(serverFlags.length === 0 ? [] : [["server flags", serverFlags.join(" ")] as const]),
  ];
}

function whatCameOut(result: Result): Row[] {
  const { backlog, restart, latencies } = result;
  const rows: Row[] = [
    ["measured", `${result.seconds.toFixed(1)} s`],
    ["throughput", `${number(result.jobsPerSecond)} jobs/s`],
  ];
  for (const [name, latency] of Object.entries(latencies)) {
    rows.push([
      `${name} latency`,
      `p50 ${ms(latency.p50)}, p99 ${ms(latency.p99)}, p99.9 ${ms(latency.p999)} (${number(latency.count)} timed)`,
    ]);
  }
  for (const [name, ratio] of Object.entries(backlog ?? {})) {
    rows.push([
      `${name} queued / empty`,
      `${ratio.ratio.toFixed(3)} (${number(ratio.queued)} / ${number(ratio.empty)} jobs/s)`,
    ]);
  }
  if (restart !== undefined) {
    for (const [name, { seconds, rssBytes }] of [
      ["ready after a stop", restart.afterStop],
      ["ready after a kill", restart.afterKill],
    ] as const) {
      rows.push([name, `${seconds.toFixed(2)} s, ${bytesText(rssBytes)} resident`]);
    }
  }
  rows.push(["budget", `${budgetText(result.budget)}: ${result.isWithinBudget ? "kept" : "missed"}`]);
  return rows;
}

function whatItCost(result: Result): Row[] {
  const { cpuSeconds, floor, counted, writtenBytes } = result;
  const rows: Row[] = [];
  const jobs = result.jobsPerSecond * result.seconds;
  const aJob = (seconds: number) =>
    `${seconds.toFixed(2)} s (${((seconds / Math.max(1, jobs)) * 1e6).toFixed(2)} µs a job)`;
  const server = cpuSeconds.server === null ? "not known" : aJob(cpuSeconds.server);
  rows.push(["CPU", `server ${server}, client ${aJob(cpuSeconds.client)}`]);
  if (result.peakRssBytes.server !== null) {
    rows.push(["peak memory", `${bytesText(result.peakRssBytes.server)} resident, of the server`]);
  }
  if (writtenBytes.server !== null && result.writeAmplification !== null) {
    rows.push([
      "write amplification",
      `${times(result.writeAmplification)} (${bytesText(writtenBytes.server)} written for ` +
        `${bytesText(writtenBytes.payload)} of payload)`,
    ]);
  }
  if (floor !== null) {
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
      `more ready, ${number(counted.leased)} leased, ${number(counted.ackedTotal)} acked`,
  ]);
  return rows;
}

export function budgetText(budget: Budget): string {
  switch (budget.unit) {
    case "jobs/s":
      return `${number(budget.must)} jobs/s must, ${number(budget.goal)} goal`;
    case "ms":
      return `p50 / p99 ${budget.must.join(" / ")} ms must, ${budget.goal.join(" / ")} ms goal`;
    case "ratio":
      return `${budget.must} × must, ${budget.goal} × goal`;
    case "restart": {
      const one = ({ seconds, rssBytes }: RestartBudget) => `${seconds} s and ${bytesText(rssBytes)}`;
      return `${one(budget.must)} must, ${one(budget.goal)} goal`;
    }
  }
}
