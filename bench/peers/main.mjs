// Owns: the same three loads on each peer, one after another on one machine: batches of 64 from 10 connections, 512 single
// enqueues outstanding on 16, and fetch with ack by 10 workers; 256 B a job. It counts every peer's jobs back and leaves
// out, with a word, what is not installed. It never compares by itself: the table and the plot come from the raw lines.
// Called by `npm run bench:peers`, after a build and after `npm run bench:peers:install`:
//
//     node bench/peers/main.mjs [--seconds 10] [--warm-up 2] [--only NAME[,NAME]] [--dir .] [--results bench/results]

import { randomFillSync } from "node:crypto";
import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { join, resolve } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { Histogram } from "../../dist/bench/histogram.js";
import { machineFacts } from "../../dist/bench/machine.js";
import { peersTable, plotPeers } from "../../dist/bench/peers_table.js";
import { Recording } from "../../dist/bench/raw_results.js";
import { percentilesOf } from "../../dist/bench/result.js";
import * as beanstalkd from "./beanstalkd.mjs";
import * as capstan from "./capstan.mjs";
import * as nats from "./nats.mjs";
import * as rabbitmq from "./rabbitmq.mjs";
import * as redis from "./redis.mjs";

const peers = { capstan, redis, rabbitmq, nats, beanstalkd };
const payloadBytes = 256;
const batches = { connections: 10, outstandingPerConnection: 1, batchJobs: 64 };
const singles = { connections: 16, outstandingPerConnection: 32, batchJobs: 1 };
const workers = 10;
/** BullMQ and RabbitMQ tell of what their servers have not counted yet. */
const settleMsMax = 10_000;

async function main() {
  const { values } = parseArgs({
    options: {
      seconds: { type: "string", default: "10" },
      "warm-up": { type: "string", default: "2" },
      only: { type: "string" },
      dir: { type: "string", default: "." },
      results: { type: "string", default: fileURLToPath(new URL("../results", import.meta.url)) },
    },
  });
  const seconds = Number(values.seconds);
  const warmUpSeconds = Number(values["warm-up"]);
  if (!(seconds > 0) || !(warmUpSeconds >= 0)) throw new Error("--seconds and --warm-up are numbers of seconds");
  const names = values.only?.split(",") ?? Object.keys(peers);
  const unknown = names.find((name) => !Object.hasOwn(peers, name));
  if (unknown !== undefined) throw new Error(`no peer ${unknown}: there are ${Object.keys(peers).join(", ")}`);
  const recording = new Recording(values.results, "peers");
  const command = `npm run bench:peers -- --seconds ${seconds}`;
  let measured = 0;
  try {
    for (const name of names) {
      const peer = peers[name];
      const missing = peer.missing();
      if (missing !== undefined) {
        say(`${peer.name}: left out, since ${missing} is not installed (npm run bench:peers:install)`);
        continue;
      }
      recording.add(command, 1, await measurePeer(peer, seconds, warmUpSeconds, values.dir));
      measured++;
    }
    if (measured === 0) throw new Error("none of the peers is installed");
    recording.finish();
  } catch (error) {
    recording.discard();
    throw error;
  }
  process.stdout.write(`${peersTable(values.results)}\nplotted in ${plotPeers(values.results)}\n`);
}

async function measurePeer(peer, seconds, warmUpSeconds, dir) {
  const directory = resolve(mkdtempSync(join(dir, "capstan-bench-")));
  try {
    const data = join(directory, "data");
    mkdirSync(data);
    say(`${peer.name}: starting`);
    const session = await peer.start(data);
    try {
      const load = { session, peer, seconds, warmUpSeconds };
      const single = await produce({ ...load, ...singles }, "singles");
      const batch = await produce({ ...load, ...batches }, "batches");
      const fetchAck = await consume(load);
      return {
        bench: "peers",
        peer: peer.name,
        version: session.version,
        durability: peer.durability,
        seconds,
        settings: { payloadBytes, batches, singles, workers },
        machine: machineFacts(directory),
        batches: batch,
        fetchAck,
        singles: single,
      };
    } finally {
      await session.stop();
    }
  } finally {
    rmSync(directory, { recursive: true, force: true, maxRetries: 5 });
  }
}

/** Each connection keeps so many calls under way. */
async function produce(load, what) {
  const { session, peer, seconds, warmUpSeconds, connections, outstandingPerConnection, batchJobs } = load;
  const before = await session.count();
  const producers = await Promise.all(Array.from({ length: connections }, () => session.producer()));
  const state = { isOver: false, isMeasuring: false, enqueued: 0, measured: 0 };
  const latencies = new Histogram();
  const stream = async (producer) => {
    const payloads = Array.from({ length: batchJobs }, () => randomFillSync(Buffer.alloc(payloadBytes)));
    while (!state.isOver) {
      const sentMs = performance.now();
      await producer.enqueue(payloads);
      state.enqueued += batchJobs;
      if (!state.isMeasuring) continue;
      state.measured += batchJobs;
      latencies.record(performance.now() - sentMs);
    }
  };
  const streams = Promise.all(
    producers.flatMap((producer) => Array.from({ length: outstandingPerConnection }, () => stream(producer))),
  );
  const tookSeconds = await timed(state, streams, seconds, warmUpSeconds);
  for (const producer of producers) await producer.close();
  await settled(session, before + state.enqueued, `${peer.name}, ${what}`);
  return told(peer, what, state.measured / tookSeconds, latencies);
}

/** Ends early where the queue is empty: what the producers left there is all there is. */
async function consume(load) {
  const { session, peer, seconds } = load;
  const before = await session.count();
  const latencies = new Histogram();
  const state = { acked: 0, lastMs: 0, isOver: false };
  const consumers = await Promise.all(Array.from({ length: workers }, () => session.consumer()));
  const startMs = performance.now();
  const timer = setTimeout(() => {
    state.isOver = true;
  }, seconds * 1000);
  const add = (jobs) => {
    if (jobs === 0) return;
    state.acked += jobs;
    state.lastMs = performance.now();
  };
  await Promise.all(
    consumers.map(async (consumer) => {
      while (!state.isOver && state.acked < before) {
        const sentMs = performance.now();
        const jobs = await consumer.take();
        if (jobs > 0) latencies.record(performance.now() - sentMs);
        add(jobs);
      }
    }),
  );
  clearTimeout(timer);
  const inTime = state.acked === 0 ? 0 : state.acked / ((state.lastMs - startMs) / 1000);
  for (const consumer of consumers) state.acked += (await consumer.close()) ?? 0;
  await settled(session, before - state.acked, `${peer.name}, fetch + ack`);
  return told(peer, "fetch + ack", inTime, latencies);
}

async function timed(state, work, seconds, warmUpSeconds) {
  await Promise.race([pause(warmUpSeconds * 1000), work]);
  const startMs = performance.now();
  state.isMeasuring = true;
  await Promise.race([pause(seconds * 1000), work]);
  state.isMeasuring = false;
  const tookSeconds = (performance.now() - startMs) / 1000;
  state.isOver = true;
  await work;
  return tookSeconds;
}

/** Throws unless the peer comes to count what was answered. */
async function settled(session, expected, what) {
  const deadlineMs = Date.now() + settleMsMax;
  for (;;) {
    const found = await session.count();
    if (found === expected) return;
    if (Date.now() > deadlineMs) throw new Error(`${what}: ${expected} jobs are to be in the queue, but ${found} are`);
    await pause(100);
  }
}

function told(peer, what, jobsPerSecond, latencies) {
  const { count: _, ...latencyMs } = percentilesOf(latencies);
  say(`${peer.name}, ${what}: ${Math.round(jobsPerSecond)} jobs/s, p50 ${latencyMs.p50} ms, p99 ${latencyMs.p99} ms`);
  return { jobsPerSecond: Math.round(jobsPerSecond), latencyMs };
}

function say(line) {
  process.stderr.write(`${line}\n`);
}

try {
  await main();
} catch (error) {
  say(`bench:peers: ${error instanceof Error ? (error.stack ?? error.message) : error}`);
  process.exitCode = 1;
}
