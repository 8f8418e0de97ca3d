// One side of the baseline, in a process of its own: writers over the npm package `rocksdb`, or over the addon, for a
// time; then one JSON object. Owns the process's event loop, which is what is measured. It never compares. Started by
// baseline.ts:
//
//     baseline_side.js rocksdb|addon DIRECTORY SECONDS WARM-UP-SECONDS

import { monitorEventLoopDelay, performance } from "node:perf_hooks";
import { setTimeout as pause } from "node:timers/promises";
import { baselineSettings, type SideResult } from "./baseline.js";
import { AddonTarget } from "./baseline_addon.js";
import { RocksdbTarget } from "./baseline_rocksdb.js";
import { Histogram } from "./histogram.js";
import { percentilesOf } from "./result.js";

/** Something that makes batches durable. */
export interface Target {
  /** Resolves when every job of a batch of this writer is durable. */
  write(writer: number): Promise<void>;
  /** How many jobs there are, found by reading. */
  count(): Promise<number>;
  close(): Promise<void>;
}

const loopResolutionMs = 1;

async function measureTarget(target: Target, seconds: number, warmUpSeconds: number): Promise<SideResult> {
  const { writers, batchJobs } = baselineSettings;
  const state = { isOver: false, isMeasuring: false, written: 0, measured: 0 };
  const latencies = new Histogram();
  const write = async (writer: number): Promise<void> => {
    while (!state.isOver) {
      const sentMs = performance.now();
      await target.write(writer);
      state.written += batchJobs;
      if (!state.isMeasuring) continue;
      state.measured += batchJobs;
      latencies.record(performance.now() - sentMs);
    }
  };
  const all = Promise.all(Array.from({ length: writers }, (_, writer) => write(writer)));
  await Promise.race([pause(warmUpSeconds * 1000), all]);
  const delay = monitorEventLoopDelay({ resolution: loopResolutionMs });
  delay.enable();
  const start = { ms: performance.now(), loop: performance.eventLoopUtilization(), cpu: process.cpuUsage() };
  state.isMeasuring = true;
  await Promise.race([pause(seconds * 1000), all]);
  state.isMeasuring = false;
  const tookSeconds = (performance.now() - start.ms) / 1000;
  const { utilization } = performance.eventLoopUtilization(start.loop);
  const { user, system } = process.cpuUsage(start.cpu);
  delay.disable();
  state.isOver = true;
  await all;
  const found = await target.count();
  const late = (nanoseconds: number) => Math.max(0, Number((nanoseconds / 1e6 - loopResolutionMs).toFixed(3)));
  const { count: _, ...latencyMs } = percentilesOf(latencies);
  return {
    jobsPerSecond: Math.round(state.measured / tookSeconds),
    seconds: tookSeconds,
    latencyMs,
    eventLoopDelayMs: {
      p50: late(delay.percentile(50)),
      p99: late(delay.percentile(99)),
      p999: late(delay.percentile(99.9)),
      max: late(delay.max),
    },
    eventLoopUtilization: Number(utilization.toFixed(4)),
    cpuSeconds: (user + system) / 1e6,
    counted: { written: state.written, found },
  };
}

const [side, directory = "", seconds, warmUpSeconds] = process.argv.slice(2);
const target = side === "rocksdb" ? await RocksdbTarget.open(directory) : await AddonTarget.open(directory);
const result = await measureTarget(target, Number(seconds), Number(warmUpSeconds));
await target.close();
process.stdout.write(`${JSON.stringify(result)}\n`);
