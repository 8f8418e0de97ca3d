// Computes checksums for as long as it runs: `node worker.mjs --out DIRECTORY [--addr ADDRESS] [--queue NAME]
// [--batch JOBS] [--lease-ms MS] [--until-done]`. Owns the results that it writes; SIGINT or SIGTERM ends it after the
// batch in hand. It may be killed at any moment:
//
//   fetch a batch ▶ checksums ▶ results to a temporary file, synced, renamed ▶ ack
//
// Before the rename nothing of the batch counts, and its jobs come back when the lease is over. After it the results are
// there, and if the ack is missing the jobs are done once more with the same outcome. So a result may be there twice and
// never half. A file of results is named for its first job and the lease under which it was made, which no other worker
// has.

import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { mkdir, open, rename } from "node:fs/promises";
import { join } from "node:path";
import { pipeline } from "node:stream/promises";
import { parseArgs } from "node:util";
import { CapstanClient } from "capstan/client";

const { values } = parseArgs({
  options: {
    addr: { type: "string", default: process.env.CAPSTAN_ADDR ?? "127.0.0.1:9090" },
    queue: { type: "string", default: "checksums" },
    out: { type: "string" },
    batch: { type: "string", default: "32" },
    "lease-ms": { type: "string", default: "30000" },
    "until-done": { type: "boolean", default: false },
  },
});
if (values.out === undefined) {
  process.stderr.write("usage: node worker.mjs --out DIRECTORY [--addr ADDRESS] [--queue NAME] [--until-done]\n");
  process.exit(2);
}
const out = values.out;
const waitMs = 1000;

const stop = new AbortController();
process.on("SIGINT", () => stop.abort()).on("SIGTERM", () => stop.abort());

const client = new CapstanClient({ addresses: [values.addr] });
try {
  await mkdir(out, { recursive: true });
  let count = 0;
  while (!stop.signal.aborted) {
    const grant = await fetch();
    if (grant === null) {
      if (values["until-done"] && (await isDone())) break;
      continue;
    }
    count += await work(grant);
  }
  process.stdout.write(`${count} files done\n`);
} finally {
  await client.close();
}

async function fetch() {
  try {
    return await client.fetch([values.queue], {
      jobsMax: Number(values.batch),
      leaseMs: Number(values["lease-ms"]),
      waitMs,
      worker: `checksum-${process.pid}`,
      signal: stop.signal,
    });
  } catch (error) {
    if (stop.signal.aborted) return null;
    throw error;
  }
}

/** Does one batch; returns how many of its jobs were acked. */
async function work(grant) {
  const done = [];
  const failed = [];
  for (const job of grant.jobs) {
    try {
      done.push({ id: job.id, line: lineOf(await checksum(job.payload), job.payload) });
    } catch (error) {
      // Tried again after a back-off, and kept as dead after the last attempt; what has gone is dead at once.
      failed.push({ id: job.id, reason: error.message, dead: error.code === "ENOENT" });
    }
  }
  const ids = done.map((one) => one.id);
  if (ids.length > 0) await keep(`${ids[0]}-${grant.lease}`, done.map((one) => one.line).join(""));
  try {
    if (failed.length > 0) await client.fail(grant.lease, failed);
    if (ids.length === 0) return 0;
    const { accepted } = await client.ack(grant.lease, ids);
    process.stderr.write(`${accepted} files\n`);
    return accepted;
  } catch (error) {
    // The batch took longer than its lease: another worker has the jobs now and will write the same.
    if (error.code !== "leaseLost") throw error;
    return 0;
  }
}

async function checksum(path) {
  const hash = createHash("sha256");
  await pipeline(createReadStream(Buffer.from(path)), hash);
  return hash.digest("hex");
}

/** As sha256sum writes it: a name with a backslash or a line break is escaped, and the line says so. */
function lineOf(digest, path) {
  const name = Buffer.from(path).toString("latin1");
  const escaped = name.replaceAll("\\", "\\\\").replaceAll("\n", "\\n").replaceAll("\r", "\\r");
  return `${escaped === name ? "" : "\\"}${digest}  ${escaped}\n`;
}

/** All of it or nothing, whenever the process or the machine dies. */
async function keep(name, text) {
  const temporary = join(out, `${name}.tmp`);
  const file = await open(temporary, "w");
  await file.writeFile(text, "latin1");
  await file.sync();
  await file.close();
  await rename(temporary, join(out, `${name}.sha256`));
  const directory = await open(out, "r");
  await directory.sync();
  await directory.close();
}

async function isDone() {
  try {
    const { ready, leased, scheduled } = await client.getQueue(values.queue);
    return ready + leased + scheduled === 0;
  } catch (error) {
    // Nothing was enqueued yet.
    if (error.code === "notFound") return false;
    throw error;
  }
}
