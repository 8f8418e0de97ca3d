// Enqueues the path of every file under a directory: `node enqueue.mjs DIRECTORY [--addr ADDRESS] [--queue NAME]`. Owns
// nothing; a call is answered once its jobs are on disk, so what it printed as enqueued survives any crash after that.
// It never follows a symbolic link. Paths are bytes from end to end: a file name need not be text.

import { readdirSync } from "node:fs";
import { resolve } from "node:path";
import { parseArgs } from "node:util";
import { CapstanClient, CapstanError } from "capstan/client";

const jobsPerCall = 500;

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    addr: { type: "string", default: process.env.CAPSTAN_ADDR ?? "127.0.0.1:9090" },
    queue: { type: "string", default: "checksums" },
  },
});
const [directory] = positionals;
if (directory === undefined) {
  process.stderr.write("usage: node enqueue.mjs DIRECTORY [--addr ADDRESS] [--queue NAME]\n");
  process.exit(2);
}

const client = new CapstanClient({ addresses: [values.addr] });
try {
  // Once, so that a server that is not there is said now; later the client waits for it.
  await client.connect();
  let count = 0;
  let jobs = [];
  const send = async () => {
    // The client's session makes a retry safe: a call whose answer was lost is not carried out twice.
    await client.enqueueMany(values.queue, jobs);
    count += jobs.length;
    jobs = [];
  };
  for (const path of filesUnder(Buffer.from(resolve(directory)))) {
    jobs.push({ payload: path });
    if (jobs.length === jobsPerCall) await send();
  }
  if (jobs.length > 0) await send();
  process.stdout.write(`${count} files enqueued\n`);
} catch (error) {
  if (!(error instanceof CapstanError)) throw error;
  process.stderr.write(`${error.code}: ${error.message}\n`);
  process.exitCode = 1;
} finally {
  await client.close();
}

function* filesUnder(directory) {
  for (const entry of readdirSync(directory, { withFileTypes: true, encoding: "buffer" })) {
    const path = Buffer.concat([directory, Buffer.from("/"), entry.name]);
    if (entry.isDirectory()) yield* filesUnder(path);
    else if (entry.isFile()) yield path;
  }
}
