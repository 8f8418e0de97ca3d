// Owns: beanstalkd as a peer: its binlog fsynced after each write, its line protocol with several commands under way on a
// connection. Called by main.mjs; the interface is at the head of capstan.mjs.

import { execFileSync } from "node:child_process";
import { once } from "node:events";
import { connect } from "node:net";
import { program } from "../../scripts/lib/packages.mjs";
import { freePort, startProcess } from "./process.mjs";

const batchJobs = 64;
const timeToRunSeconds = 120;

export const name = "beanstalkd";
export const durability = "binlog, fsync after each write (-b, -f 0)";

export function missing() {
  return program("beanstalkd") ? undefined : "beanstalkd";
}

export async function start(directory) {
  const port = await freePort();
  const words = ["-l", "127.0.0.1", "-p", String(port), "-b", directory, "-f", "0"];
  const server = await startProcess("beanstalkd", words, { port });
  const own = await Connection.open(port);
  return {
    version: /([\d.]+)/.exec(execFileSync("beanstalkd", ["-v"], { encoding: "utf8" }))?.[1] ?? "unknown",
    stop: async () => {
      own.close();
      await server.stop();
    },
    producer: async () => {
      const connection = await Connection.open(port);
      return {
        enqueue: async (payloads) => {
          const replies = payloads.map((payload) =>
            connection.ask(`put 0 0 ${timeToRunSeconds} ${payload.length}\r\n`, payload),
          );
          for (const { line } of await Promise.all(replies)) expect(line, "INSERTED");
        },
        close: () => connection.close(),
      };
    },
    consumer: async () => {
      const connection = await Connection.open(port);
      return {
        take: async () => {
          const asked = Array.from({ length: batchJobs }, () => connection.ask("reserve-with-timeout 0\r\n"));
          const reserved = (await Promise.all(asked)).filter(({ line }) => line.startsWith("RESERVED"));
          const deleted = reserved.map(({ line }) => connection.ask(`delete ${line.split(" ")[1]}\r\n`));
          for (const { line } of await Promise.all(deleted)) expect(line, "DELETED");
          return deleted.length;
        },
        close: () => connection.close(),
      };
    },
    count: async () => {
      const { body } = await own.ask("stats\r\n");
      const of = (name) => Number(new RegExp(`^${name}: (\\d+)`, "m").exec(body.toString())?.[1] ?? 0);
      return of("current-jobs-ready") + of("current-jobs-reserved");
    },
  };
}

function expect(line, word) {
  if (!line.startsWith(word)) throw new Error(`beanstalkd answered ${line} and not ${word}`);
}

/** Replies come in the order of the commands. */
class Connection {
  #socket;
  #waiting = [];
  #outgoing = [];
  #bytes = Buffer.alloc(0);

  static async open(port) {
    const connection = new Connection();
    connection.#socket = connect({ port, host: "127.0.0.1", noDelay: true });
    await once(connection.#socket, "connect");
    connection.#socket.on("data", (chunk) => connection.#take(chunk));
    connection.#socket.on("error", (error) => {
      for (const { reject } of connection.#waiting.splice(0)) reject(error);
    });
    return connection;
  }

  /** The commands of one turn go out in one write. */
  ask(command, body) {
    if (this.#outgoing.length === 0) queueMicrotask(() => this.#socket.write(Buffer.concat(this.#outgoing.splice(0))));
    this.#outgoing.push(Buffer.from(command));
    if (body !== undefined) this.#outgoing.push(body, Buffer.from("\r\n"));
    return new Promise((resolve, reject) => this.#waiting.push({ resolve, reject }));
  }

  close() {
    this.#socket.destroy();
  }

  #take(chunk) {
    this.#bytes = this.#bytes.length === 0 ? chunk : Buffer.concat([this.#bytes, chunk]);
    let start = 0;
    for (;;) {
      const end = this.#bytes.indexOf("\r\n", start);
      if (end === -1) break;
      const line = this.#bytes.toString("latin1", start, end);
      const bodyBytes = Number(/^(?:RESERVED \d+|OK) (\d+)$/.exec(line)?.[1] ?? -1);
      const next = bodyBytes < 0 ? end + 2 : end + 2 + bodyBytes + 2;
      if (next > this.#bytes.length) break;
      const body = bodyBytes < 0 ? undefined : Buffer.from(this.#bytes.subarray(end + 2, end + 2 + bodyBytes));
      this.#waiting.shift()?.resolve({ line, body });
      start = next;
    }
    this.#bytes = this.#bytes.subarray(start);
  }
}
