// Owns: Capstan among its peers: its own server with its defaults, driven by the load generator of bench/. Called by
// main.mjs through the interface that every peer's file has:
//
//     name, durability                        in words, for the table
//     missing()                               what is not installed; undefined when all is there
//     start(directory)                        a session:
//       version, stop()
//       producer()                            one connection: enqueue(payloads) resolves when all are durable; close()
//       consumer()                            one connection: take() fetches and acks some, resolves with how many
//       count()                               jobs that lie in the queue

import { ChildServer } from "../../dist/bench/child_server.js";
import { enqueueFrame } from "../../dist/bench/frames.js";
import { LoadConnection } from "../../dist/bench/load_connection.js";
import { countsOf } from "../../dist/bench/measure.js";
import { Worker } from "../../dist/bench/worker.js";
import { packageVersion } from "../../dist/src/cli/version.js";

const queue = "peers";
const fetchJobsMax = 64;

export const name = "Capstan";
export const durability = "fsync before each answer";

export function missing() {
  return undefined;
}

export async function start(directory) {
  const server = await ChildServer.start(directory, []);
  return {
    version: packageVersion(),
    stop: () => server.stop(),
    producer: () => producer(server.address),
    consumer: () => consumer(server.address),
    count: () => count(server.address),
  };
}

/** A queue comes to be with its first job. */
async function count(address) {
  try {
    return (await countsOf(address, queue)).ready;
  } catch (error) {
    if (/notFound/.test(error.message)) return 0;
    throw error;
  }
}

async function producer(address) {
  const connection = await LoadConnection.open(address);
  // A prepared call is for one outstanding enqueue; as many as are needed at a time are kept for the next ones.
  const idle = new Map();
  return {
    enqueue: async (payloads) => {
      const spare = idle.get(payloads.length) ?? [];
      idle.set(payloads.length, spare);
      const one = spare.pop() ?? prepare(connection, payloads);
      await Promise.race([one.send(), connection.failed]);
      spare.push(one);
    },
    close: () => connection.close(),
  };
}

function prepare(connection, payloads) {
  let answered;
  const call = connection.prepare(
    (target) => enqueueFrame(target, queue, payloads).frame,
    () => answered(),
  );
  return {
    send: () =>
      new Promise((resolve) => {
        answered = resolve;
        connection.send(call);
      }),
  };
}

async function consumer(address) {
  const worker = new Worker(await LoadConnection.open(address), queue, fetchJobsMax, 0);
  return {
    take: async () => {
      const grant = await worker.fetch();
      return grant === undefined ? 0 : worker.ack(grant);
    },
    close: () => worker.close(),
  };
}
