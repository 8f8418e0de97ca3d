// Owns: NATS JetStream as a peer: a stream in files whose messages go when they are acked, publishes that wait for the
// stream's answer, a pull consumer. Called by main.mjs; the interface is at the head of capstan.mjs.

import { execFileSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { program } from "../../scripts/lib/packages.mjs";
import { freePort, startProcess } from "./process.mjs";

const stream = "peers";
const subject = "peers.jobs";
const consumerName = "workers";
const fetchJobsMax = 64;
const fetchMs = 500;
/** The first version that can fsync each message. */
const syncAlwaysSince = [2, 10];

const version = program("nats-server")
  ? /v([\d.]+)/.exec(execFileSync("nats-server", ["--version"], { encoding: "utf8" }))?.[1]
  : undefined;
const canSync = version !== undefined && isAtLeast(version, syncAlwaysSince);

export const name = "NATS JetStream";
export const durability = canSync
  ? "file storage, one replica, sync_interval always"
  : "file storage, one replica; this version has no fsync for each message (every 2 minutes)";

export function missing() {
  return version === undefined ? "nats-server" : undefined;
}

export async function start(directory) {
  const { AckPolicy, connect, RetentionPolicy, StorageType } = await import("nats");
  const port = await freePort();
  const sync = canSync ? "sync_interval: always" : "";
  const config = join(directory, "nats.conf");
  writeFileSync(config, `jetstream { store_dir: ${JSON.stringify(join(directory, "store"))} ${sync} }\n`);
  const words = ["-c", config, "-a", "127.0.0.1", "-p", String(port)];
  const server = await startProcess("nats-server", words, { port });
  const open = () => connect({ servers: `127.0.0.1:${port}` });
  const own = await open();
  const manager = await own.jetstreamManager();
  await manager.streams.add({
    name: stream,
    subjects: [subject],
    retention: RetentionPolicy.Workqueue,
    storage: StorageType.File,
  });
  await manager.consumers.add(stream, {
    durable_name: consumerName,
    ack_policy: AckPolicy.Explicit,
    max_ack_pending: -1,
  });
  return {
    version,
    stop: async () => {
      await own.close();
      await server.stop();
    },
    producer: async () => {
      const connection = await open();
      const jetstream = connection.jetstream();
      return {
        enqueue: async (payloads) => {
          await Promise.all(payloads.map((payload) => jetstream.publish(subject, payload)));
        },
        close: () => connection.close(),
      };
    },
    consumer: async () => {
      const connection = await open();
      const consumer = await connection.jetstream().consumers.get(stream, consumerName);
      return {
        take: async () => {
          let taken = 0;
          const acks = [];
          for await (const message of await consumer.fetch({ max_messages: fetchJobsMax, expires: fetchMs * 2 })) {
            taken++;
            acks.push(message.ackAck());
          }
          await Promise.all(acks);
          return taken;
        },
        close: () => connection.close(),
      };
    },
    count: async () => (await manager.streams.info(stream)).state.messages,
  };
}

function isAtLeast(text, [major, minor]) {
  const [ownMajor = 0, ownMinor = 0] = text.split(".").map(Number);
  return ownMajor > major || (ownMajor === major && ownMinor >= minor);
}
