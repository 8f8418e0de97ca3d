// Watches a server's system calls (strace) while clients enqueue, and finds for each job the write of its entry into the
// log, the fdatasync that covers it and the socket write that answered it. Owns the server, its directory and clients of
// one run. Called by sync_order.test.ts.
//
// strace stops a thread at the beginning and at the end of each call, so a line that comes first in its output happened
// first wherever the order counts: no thread can answer before strace has let the fdatasync return.

import assert from "node:assert/strict";
import { readFileSync, realpathSync, rmSync } from "node:fs";
import { join } from "node:path";
import { CapstanClient } from "../../src/client/index.js";
import { ServerProcess, temporaryDirectory } from "../support/server_process.js";

export interface SyncOrder {
  readonly jobs: number;
  readonly answered: number;
  readonly syncs: number;
  /** Jobs whose answer did not wait for the fdatasync of their entry. */
  readonly early: readonly string[];
}

interface Call {
  readonly name: string;
  /** What the descriptor is: a path, or socket:[…]. */
  readonly target: string;
  /** Everything that was written, as bytes in latin1. */
  readonly bytes: string;
  readonly beginsAt: number;
  endsAt: number;
  isGood: boolean;
}

const producers = 4;
const callsOfProducer = 25;

export async function syncOrder(flags: readonly string[]): Promise<SyncOrder> {
  const directory = realpathSync(temporaryDirectory());
  const trace = join(directory, "trace");
  // Twice its largest payload's batch, so that nothing is shortened.
  const strace = ["strace", "-f", "-y", "-xx", "-s", "1000000", "-o", trace];
  const calls = ["-e", "trace=fdatasync,fsync,write,writev,pwrite64,pwritev,sendto,sendmsg"];
  const server = new ServerProcess({ dataDir: join(directory, "data"), flags, under: [...strace, ...calls] });
  try {
    const address = await server.ready();
    const jobs = new Map<string, string>();
    await Promise.all(
      Array.from({ length: producers }, async (_, producer) => {
        const client = new CapstanClient({ addresses: [address] });
        for (let call = 0; call < callsOfProducer; call++) {
          const key = `<job ${producer} ${call}>`;
          jobs.set(await client.enqueue("order", { payload: key }), key);
        }
        await client.close();
      }),
    );
    await server.stop();
    return judge(parse(readFileSync(trace, "latin1")), jobs);
  } finally {
    await server.dispose();
    rmSync(directory, { recursive: true, force: true });
  }
}

function judge(calls: readonly Call[], jobs: ReadonlyMap<string, string>): SyncOrder {
  const logWrites = calls.filter(({ name, target }) => /^p?write/.test(name) && target.endsWith(".log"));
  const syncs = calls.filter(({ name, target, isGood }) => name === "fdatasync" && target.endsWith(".log") && isGood);
  const sent = calls.filter(({ target }) => /^(socket|TCP|UNIX)/.test(target));
  const early: string[] = [];
  let answered = 0;
  for (const [id, key] of jobs) {
    const bytes = Buffer.from(id, "hex").toString("latin1");
    const answer = sent.find((call) => call.bytes.includes(bytes));
    const write = logWrites.find((call) => call.bytes.includes(key));
    assert.ok(answer !== undefined && write !== undefined, `${key} is not in the trace`);
    answered++;
    const isCovered = syncs.some(
      (sync) => sync.target === write.target && sync.beginsAt > write.endsAt && sync.endsAt < answer.beginsAt,
    );
    if (!isCovered) early.push(key);
  }
  return { jobs: jobs.size, answered, syncs: syncs.length, early };
}

/** Lines of strace; a call that another thread's line interrupts comes in two, `<unfinished ...>` and `resumed`. */
function parse(text: string): Call[] {
  const calls: Call[] = [];
  const unfinished = new Map<string, Call>();
  text.split("\n").forEach((line, at) => {
    const begun = /^(\d+) +(\w+)\(\d+<((?:[^>\\]|\\.)*)>(.*)$/.exec(line);
    if (begun !== null) {
      const [, thread, name, target, rest] = begun as unknown as [string, string, string, string, string];
      const bytes = [...rest.matchAll(/"((?:\\x[0-9a-f]{2})*)"/g)]
        .map((match) => unescaped(match[1] as string))
        .join("");
      const call: Call = {
        name,
        target: unescaped(target),
        bytes,
        beginsAt: at,
        endsAt: at,
        isGood: / = \d+$/.test(rest),
      };
      calls.push(call);
      if (rest.endsWith("<unfinished ...>")) unfinished.set(thread, call);
      return;
    }
    const ended = /^(\d+) +<\.\.\. (\w+) resumed>.* = (-?\d+)/.exec(line);
    const call = ended === null ? undefined : unfinished.get(ended[1] as string);
    if (ended === null || call === undefined) return;
    assert.equal(ended[2], call.name, line);
    call.endsAt = at;
    call.isGood = !(ended[3] as string).startsWith("-");
    unfinished.delete(ended[1] as string);
  });
  return calls;
}

function unescaped(text: string): string {
  return text.replaceAll(/\\x([0-9a-f]{2})/g, (_, digits: string) => String.fromCharCode(Number.parseInt(digits, 16)));
}
