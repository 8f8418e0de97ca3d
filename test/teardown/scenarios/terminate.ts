// A process whose listener worker is terminated in the midst of its work: it has connections, and fetches are parked. The
// worker is a real one; only its `park` is watched. Word: the directory. Run by worker_terminated.test.ts.

import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { fileURLToPath } from "node:url";
import { isMainThread, parentPort, Worker, workerData } from "node:worker_threads";
import { writeFetch } from "../../../src/client/wire/encode.js";
import { writeBootstrap } from "../../../src/client/wire/library.js";
import { beginCall } from "../../../src/client/wire/rpc.js";
import { FrameWriter } from "../../../src/client/wire/writer.js";
import { systemClock } from "../../../src/clock.js";
import { requestBytesMax } from "../../../src/config_load.js";
import { JobQueue } from "../../../src/generated/protocol.js";
import { createLogger } from "../../../src/log.js";
import { type Native, native } from "../../../src/native.js";
import { ListenerWorker } from "../../../src/net/listener_worker.js";
import { createSharedBudget } from "../../../src/server/memory_budget.js";
import { configOn, openEngine } from "../../support/addon_scenario.js";

const connectionCount = 3;
const fetchesEach = 4;

if (isMainThread) await terminateWorker(process.argv[2] ?? "");
else runWorker(workerData as string);

async function terminateWorker(dataDir: string): Promise<void> {
  await openEngine(dataDir);
  let address: string | undefined;
  for (let round = 0; round < 3; round++) {
    const worker = new Worker(fileURLToPath(import.meta.url), { workerData: dataDir });
    await messages(worker, "serving", 1);
    address ??= native.listen(0, "127.0.0.1:0", 100, 16);
    const port = Number(address.slice(address.lastIndexOf(":") + 1));
    const sockets = await Promise.all(Array.from({ length: connectionCount }, () => connected(port)));
    const parked = messages(worker, "parked", connectionCount * fetchesEach);
    for (const socket of sockets) socket.write(fetches());
    await parked;
    const closed = sockets.map((socket) => once(socket.resume(), "close"));
    process.stdout.write(`terminated with ${await worker.terminate()}\n`);
    // Their descriptors went with the thread.
    await Promise.all(closed);
  }
  native.stopListening();
  // Refused while a worker counts as open.
  await native.engineClose();
  process.stdout.write("closed\n");
}

function runWorker(dataDir: string): void {
  const config = configOn(dataDir);
  const watched = new Proxy(native, {
    get: (target, name) => {
      if (name !== "park") return target[name as keyof Native];
      return (worker: number, handle: number): boolean => {
        const isParked = native.park(worker, handle);
        if (isParked) parentPort?.postMessage("parked");
        return isParked;
      };
    },
  });
  new ListenerWorker({
    native: watched,
    config,
    version: "0",
    clock: systemClock,
    log: createLogger({ level: "error", format: "json", thread: "listener" }),
    budget: createSharedBudget(),
    requestBytesMax: requestBytesMax(config),
    alive: () => {},
    stateChanged: () => {},
    stopped: () => {},
  });
  // Keeps the thread alive.
  parentPort?.on("message", () => {});
  parentPort?.postMessage("serving");
}

function messages(worker: Worker, wanted: string, count: number): Promise<void> {
  let left = count;
  return new Promise((resolve, reject) => {
    worker.on("error", reject);
    worker.on("message", (message) => {
      if (message === wanted && --left === 0) resolve();
    });
  });
}

async function connected(port: number): Promise<Socket> {
  const socket = connect(port, "127.0.0.1");
  socket.on("error", () => {});
  await once(socket, "connect");
  return socket;
}

/** A bootstrap and calls on its answer, each a fetch from an empty queue that waits long. */
function fetches(): Buffer {
  const writer = new FrameWriter();
  writeBootstrap(writer, 0);
  for (let question = 1; question <= fetchesEach; question++) {
    const request = beginCall(writer, question, { question: 0 }, JobQueue.methods.fetch);
    writeFetch(writer, request, null, [`empty ${question}`], { waitMs: 600_000 });
    writer.end();
  }
  return writer.take();
}
