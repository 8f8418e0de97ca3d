// Owns: Redis with BullMQ as a peer: a server that fsyncs its append-only file before it answers, BullMQ's bulk and single
// adds, its workers. Called by main.mjs; the interface is at the head of capstan.mjs.

import { execFileSync } from "node:child_process";
import { program } from "../../scripts/lib/packages.mjs";
import { Arrivals } from "./arrivals.mjs";
import { freePort, startProcess } from "./process.mjs";

const queueName = "peers";
const concurrency = 64;

export const name = "Redis + BullMQ";
export const durability = "appendonly yes, appendfsync always, no snapshots";

export function missing() {
  return program("redis-server") ? undefined : "redis-server";
}

export async function start(directory) {
  const { Queue, Worker } = await import("bullmq");
  const { Redis } = await import("ioredis");
  const port = await freePort();
  const words = ["--port", port, "--bind", "127.0.0.1", "--dir", directory, "--save", "", "--appendonly", "yes"];
  const server = await startProcess("redis-server", [...words.map(String), "--appendfsync", "always"], { port });
  const connect = () => new Redis({ host: "127.0.0.1", port, maxRetriesPerRequest: null });
  const open = () => {
    const connection = connect();
    return { connection, queue: new Queue(queueName, { connection }) };
  };
  const own = open();
  const options = { removeOnComplete: true, removeOnFail: true };
  return {
    version: `${/v=([\d.]+)/.exec(execFileSync("redis-server", ["--version"], { encoding: "utf8" }))?.[1]}`,
    stop: async () => {
      await own.queue.close();
      own.connection.disconnect();
      await server.stop();
    },
    producer: async () => {
      const { connection, queue } = open();
      return {
        enqueue: async (payloads) => {
          const jobs = payloads.map((payload) => ({ name: "job", data: payload.toString("base64"), opts: options }));
          if (jobs.length === 1) await queue.add("job", jobs[0].data, options);
          else await queue.addBulk(jobs);
        },
        close: async () => {
          await queue.close();
          connection.disconnect();
        },
      };
    },
    consumer: async () => {
      // A worker of BullMQ takes and completes by itself; what it has done since the last look is what `take` tells.
      const connection = connect();
      const worker = new Worker(queueName, async () => undefined, { connection, concurrency, autorun: true });
      let done = 0;
      const arrivals = new Arrivals();
      worker.on("completed", () => {
        done++;
        arrivals.came();
      });
      worker.on("drained", () => arrivals.came());
      return {
        take: async () => {
          if (done === 0) await arrivals.next();
          const taken = done;
          done = 0;
          return taken;
        },
        close: async () => {
          await worker.close();
          connection.disconnect();
          const left = done;
          done = 0;
          return left;
        },
      };
    },
    count: async () => {
      const {
        waiting = 0,
        active = 0,
        prioritized = 0,
      } = await own.queue.getJobCounts("waiting", "active", "prioritized");
      return waiting + active + prioritized;
    },
  };
}
