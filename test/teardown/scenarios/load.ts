// A process that loads the addon and ends. Words: `main` or `worker` (which thread loads it), `end` or `exit` (how the
// process ends). Never opens the engine. Run by load.test.ts.

import { once } from "node:events";
import { fileURLToPath } from "node:url";
import { isMainThread, Worker, workerData } from "node:worker_threads";
import { native } from "../../../src/native.js";

const [thread, ending] = isMainThread ? process.argv.slice(2) : (workerData as string[]);

if (isMainThread && thread === "worker") {
  const worker = new Worker(fileURLToPath(import.meta.url), { workerData: ["worker", "end"] });
  const [code] = (await once(worker, "exit")) as [number];
  process.stdout.write(`worker ended with ${code}\n`);
} else {
  process.stdout.write(`${typeof native.engineOpen}\n`);
}
if (ending === "exit") process.exit(0);
