// Owns: RabbitMQ as a peer: one node with a quorum queue, publisher confirms, consumers that ack what they were given.
// Erlang's port mapper is a child of its own, so that none is left behind. Called by main.mjs; the interface is at the
// head of capstan.mjs.

import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { program } from "../../scripts/lib/packages.mjs";
import { Arrivals } from "./arrivals.mjs";
import { freePort, startProcess } from "./process.mjs";

const queue = "peers";
const prefetch = 64;
/** Debian's wrapper in the path changes the user; the program itself runs as whoever calls it. */
const serverProgram = "/usr/lib/rabbitmq/bin/rabbitmq-server";

export const name = "RabbitMQ quorum queue";
export const durability = "one node, quorum queue, publisher confirms (its log is fsynced before)";

export function missing() {
  return existsSync(serverProgram) && program("epmd") ? undefined : "rabbitmq-server";
}

export async function start(directory) {
  const { default: amqplib } = await import("amqplib");
  const [port, distributionPort, mapperPort] = [await freePort(), await freePort(), await freePort()];
  const mapper = await startProcess("epmd", ["-address", "127.0.0.1", "-port", String(mapperPort)], {
    port: mapperPort,
  });
  let server;
  try {
    server = await startProcess(serverProgram, [], {
      port,
      env: environment(directory, port, distributionPort, mapperPort),
      startMs: 120_000,
    });
  } catch (error) {
    await mapper.stop();
    throw error;
  }
  const connect = () => amqplib.connect(`amqp://127.0.0.1:${port}`);
  const own = await connect();
  const channel = await own.createChannel();
  await channel.assertQueue(queue, { durable: true, arguments: { "x-queue-type": "quorum" } });
  return {
    version: version(),
    stop: async () => {
      await own.close();
      await server.stop();
      await mapper.stop();
    },
    producer: () => producer(connect),
    consumer: () => consumer(connect),
    count: async () => (await channel.checkQueue(queue)).messageCount,
  };
}

function environment(directory, port, distributionPort, mapperPort) {
  const home = join(directory, "home");
  mkdirSync(home, { recursive: true });
  writeFileSync(join(directory, "rabbitmq.conf"), `listeners.tcp.1 = 127.0.0.1:${port}\nlog.console.level = error\n`);
  writeFileSync(join(directory, "enabled_plugins"), "[].\n");
  return {
    HOME: home,
    RABBITMQ_HOME: home,
    RABBITMQ_NODENAME: `bench${port}@localhost`,
    RABBITMQ_NODE_PORT: String(port),
    RABBITMQ_NODE_IP_ADDRESS: "127.0.0.1",
    RABBITMQ_DIST_PORT: String(distributionPort),
    RABBITMQ_CONFIG_FILE: join(directory, "rabbitmq.conf"),
    RABBITMQ_CONF_ENV_FILE: join(directory, "no-environment.conf"),
    RABBITMQ_ENABLED_PLUGINS_FILE: join(directory, "enabled_plugins"),
    RABBITMQ_MNESIA_BASE: join(directory, "mnesia"),
    RABBITMQ_LOG_BASE: join(directory, "log"),
    RABBITMQ_PID_FILE: join(directory, "pid"),
    ERL_EPMD_PORT: String(mapperPort),
    ERL_EPMD_ADDRESS: "127.0.0.1",
  };
}

async function producer(connect) {
  const connection = await connect();
  const channel = await connection.createConfirmChannel();
  const publish = (payload) =>
    new Promise((resolve, reject) => {
      channel.sendToQueue(queue, payload, { persistent: true }, (error) => (error ? reject(error) : resolve()));
    });
  return {
    enqueue: async (payloads) => {
      await Promise.all(payloads.map(publish));
    },
    close: () => connection.close(),
  };
}

async function consumer(connect) {
  const connection = await connect();
  const channel = await connection.createChannel();
  await channel.prefetch(prefetch);
  let arrived = [];
  const arrivals = new Arrivals();
  const { consumerTag } = await channel.consume(queue, (message) => {
    if (message === null) return;
    arrived.push(message);
    arrivals.came();
  });
  return {
    take: async () => {
      if (arrived.length === 0) await arrivals.next();
      const taken = arrived;
      arrived = [];
      const last = taken.at(-1);
      // One frame acks all that came before it on this channel.
      if (last !== undefined) channel.ack(last, true);
      return taken.length;
    },
    close: async () => {
      // What was delivered and not acked goes back when the channel closes, after the acks before it.
      await channel.cancel(consumerTag);
      await channel.close();
      await connection.close();
    },
  };
}

function version() {
  try {
    const words = ["-W", "-f", "$" + "{Version}", "rabbitmq-server"];
    return execFileSync("dpkg-query", words, { encoding: "utf8" }).replace(/-.*$/, "");
  } catch {
    return "unknown";
  }
}
