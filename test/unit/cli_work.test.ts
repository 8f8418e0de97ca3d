// The worker behind `capstan work`, with real commands and a server that is a list in memory: what becomes of each job,
// however its command, its lease or the server ends. Failure first.

import assert from "node:assert/strict";
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, it } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { commandProblem, Tail } from "../../src/cli/worker/command.js";
import { HeldLease } from "../../src/cli/worker/held_lease.js";
import { Worker, type WorkerOptions, type WorkTarget } from "../../src/cli/worker/worker.js";
import {
  CapstanError,
  type Extended,
  type FailedJob,
  type FetchOptions,
  type Grant,
  type Job,
  type JobIds,
  type Settled,
} from "../../src/client/index.js";

const scratch = mkdtempSync(join(tmpdir(), "capstan-test-"));
after(() => rmSync(scratch, { recursive: true, force: true }));
let files = 0;
const fresh = (): string => join(scratch, `file-${files++}`);

const accepted: Settled = { accepted: 1, refused: [] };

/** Gives out jobs in grants of what is asked for; then nothing. */
class Target implements WorkTarget {
  readonly waiting: Job[] = [];
  readonly events: string[] = [];
  readonly failures: FailedJob[] = [];
  readonly asked: number[] = [];
  extends = 0;
  private grants = 0;
  beforeFetch: () => void = () => {};
  onExtend: (times: number) => Extended = () => ({ openJobs: 1, leaseMs: this.leaseMs });
  onAck: () => Settled = () => accepted;
  private watchers: (() => void)[] = [];

  constructor(
    payloads: readonly string[],
    private readonly leaseMs = 30_000,
  ) {
    payloads.forEach((payload, index) => {
      this.waiting.push(job(index + 1, payload));
    });
  }

  async fetch(_queue: string, options: FetchOptions): Promise<Grant | null> {
    this.asked.push(options.jobsMax ?? 1);
    this.beforeFetch();
    const jobs = this.waiting.splice(0, options.jobsMax ?? 1);
    if (jobs.length > 0) {
      const token = BigInt(++this.grants);
      return { lease: String(token).padStart(32, "0"), token, leaseMs: this.leaseMs, jobs };
    }
    if ((options.waitMs ?? 0) === 0) return null;
    return new Promise((_resolve, reject) => {
      options.signal?.addEventListener("abort", () => reject(new CapstanError("canceled", "given up")));
    });
  }

  async ack(_lease: string, ids: JobIds): Promise<Settled> {
    const answer = this.onAck();
    if (answer.refused.length === 0) this.say(`ack ${numbers(ids)}`);
    return answer;
  }

  async fail(_lease: string, jobs: readonly FailedJob[]): Promise<Settled> {
    this.failures.push(...jobs);
    this.say(`fail ${numbers(jobs.map((one) => one.id))}`);
    return accepted;
  }

  async release(_lease: string, ids: JobIds): Promise<Settled> {
    this.say(`release ${numbers(ids)}`);
    return accepted;
  }

  async extend(): Promise<Extended> {
    const answer = this.onExtend(++this.extends);
    this.changed();
    return answer;
  }

  async until(isMet: () => boolean): Promise<void> {
    while (!isMet()) {
      await new Promise<void>((resolve) => {
        this.watchers.push(resolve);
      });
    }
  }

  changed(): void {
    const watchers = this.watchers;
    this.watchers = [];
    for (const watcher of watchers) watcher();
  }

  private say(event: string): void {
    this.events.push(event);
    this.changed();
  }
}

function job(number: number, payload: string): Job {
  return {
    id: String(number).padStart(32, "0"),
    queue: "q",
    payload: Buffer.from(payload),
    priority: 0,
    attempt: 2,
    maxAttempts: 5,
    enqueuedMs: 0,
    group: "a\0b",
    headers: {},
    contentType: "text/plain",
  };
}

const numbers = (ids: JobIds): string => (ids === "all" ? ids : (ids as readonly string[]).map(Number).join(" "));

interface Setup {
  readonly worker: Worker;
  readonly messages: string[];
  /** Of the commands, as far as it has come. */
  readonly errors: string[];
}

function setUp(target: Target, command: readonly string[], options: Partial<WorkerOptions> = {}): Setup {
  const messages: string[] = [];
  const errors: string[] = [];
  const worker = new Worker(target, {
    queue: "q",
    command,
    concurrency: 1,
    leaseMs: 30_000,
    waitMs: 60_000,
    graceMs: 5_000,
    drain: true,
    worker: "test",
    environment: process.env,
    say: (message) => messages.push(message),
    errors: (chunk) => {
      errors.push(chunk.toString());
      target.changed();
    },
    ...options,
  });
  return { worker, messages, errors };
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
  } catch {
    return false;
  }
  // A process that nobody has waited for yet is dead all the same.
  return !/^State:\s+Z/m.test(existsSync(`/proc/${pid}`) ? readFileSync(`/proc/${pid}/status`, "utf8") : "State: Z");
}

/** The kernel ends a process some time after its SIGKILL was sent. */
async function hasEnded(pid: number): Promise<void> {
  for (const endMs = performance.now() + 5000; isAlive(pid); ) {
    assert.ok(performance.now() < endMs, `process ${pid} is left`);
    await pause(5);
  }
}

describe("the worker", () => {
  it("releases the jobs of a command that cannot be started, and stops", async () => {
    const target = new Target(["a", "b", "c"]);
    const { worker } = setUp(target, ["/nonexistent/command"], { concurrency: 2 });
    const report = await worker.run();
    assert.match(report.problem?.message ?? "", /cannot run \/nonexistent\/command: there is no such command/);
    assert.deepEqual(target.events.sort(), ["release 1", "release 2"]);
    assert.equal(report.released, 2);
    assert.equal(target.waiting.length, 1, "nothing more is fetched");
  });

  it("fails a job with the end of what its command wrote to standard error", async () => {
    const target = new Target(["a", "b", "c"]);
    const script =
      'read -r n; case "$n" in a) yes x | head -c 20000 >&2; echo "the end" >&2; exit 3;; b) exit 7;; esac';
    const { worker } = setUp(target, ["sh", "-c", `${script}; kill -9 $$`]);
    const report = await worker.run();
    assert.equal(report.failed, 3);
    const [first, second, third] = target.failures.map((one) => one.reason ?? "");
    assert.match(first ?? "", /x\nthe end$/);
    assert.ok(Buffer.byteLength(first ?? "") <= 8192);
    assert.equal(second, "exit status 7");
    assert.equal(third, "ended by SIGKILL");
  });

  it("acks at exit status 0, whether the command reads its input or not", async () => {
    const target = new Target(["x".repeat(1 << 20), "y".repeat(1 << 20)]);
    const { worker } = setUp(target, ["true"]);
    assert.equal((await worker.run()).acked, 2);
    assert.deepEqual(target.events, ["ack 1", "ack 2"]);
  });

  it("gives the payload and what the job is", async () => {
    const path = fresh();
    const target = new Target(["pay\0load"]);
    const names = ["JOB_ID", "QUEUE", "ATTEMPT", "TOKEN", "LEASE", "JOB_GROUP"].map((name) => `$CAPSTAN_${name}`);
    const { worker } = setUp(target, ["sh", "-c", `echo ${names.join(" ")} > "$1"; cat >> "$1"`, "sh", path]);
    await worker.run();
    const text = readFileSync(path, "utf8");
    assert.equal(text, `${"1".padStart(32, "0")} q 2 1 ${"1".padStart(32, "0")} ab\npay\0load`);
  });

  it("runs as many at once as it may, and fetches as many as there are free slots", async () => {
    const target = new Target(["1", "2", "3", "4", "5"]);
    // Each waits until three have begun.
    const folder = mkdtempSync(join(scratch, "at-once-"));
    const script = 'touch "$1/$CAPSTAN_JOB_ID"; until [ "$(ls "$1" | wc -l)" -ge 3 ]; do sleep 0.01; done';
    const { worker } = setUp(target, ["sh", "-c", script, "sh", folder], { concurrency: 3 });
    assert.equal((await worker.run()).acked, 5);
    assert.equal(target.asked[0], 3);
    assert.ok(target.asked.every((count) => count >= 1 && count <= 3));
  });

  it("extends a lease at a third of its time while its command runs, and no longer", async () => {
    const path = fresh();
    const target = new Target(["a"], 150);
    const { worker } = setUp(target, ["sh", "-c", 'until [ -e "$1" ]; do sleep 0.01; done', "sh", path]);
    const run = worker.run();
    await target.until(() => target.extends >= 5);
    const { worker: touching } = setUp(new Target(["x"]), ["touch", path]);
    await touching.run();
    const report = await run;
    assert.equal(report.acked, 1);
    assert.equal(report.lost, 0);
  });

  it("ends the whole process group when the lease is lost, and settles nothing", async () => {
    const target = new Target(["a"], 150);
    const path = fresh();
    target.onExtend = () => {
      // Not before both processes are there.
      if (!existsSync(path) || readFileSync(path, "utf8").split("\n").length < 3) return { openJobs: 1, leaseMs: 150 };
      throw new CapstanError("leaseLost", "over");
    };
    const script = 'trap "" TERM; sleep 600 & echo $! >> "$1"; echo $$ >> "$1"; wait; wait';
    const { worker, messages } = setUp(target, ["sh", "-c", script, "sh", path], { graceMs: 50 });
    const report = await worker.run();
    assert.equal(report.lost, 1);
    assert.deepEqual(target.events, []);
    assert.ok(messages.some((message) => /lease lost: the server says/.test(message)));
    const pids = readFileSync(path, "utf8").trim().split("\n").map(Number);
    assert.equal(pids.length, 2);
    for (const pid of pids) await hasEnded(pid);
  });

  it("ends the command when the lease could not be extended in time", async () => {
    const target = new Target(["a"], 120);
    target.onExtend = () => {
      throw new CapstanError("connection", "gone");
    };
    const { worker, messages } = setUp(target, ["sleep", "600"]);
    const report = await worker.run();
    assert.equal(report.lost, 1);
    assert.ok(messages.some((message) => /could not be extended in time/.test(message)));
  });

  it("calls no lease lost that its own ack, not answered yet, has ended", async () => {
    const target = new Target(["a"], 90);
    let isAcking = false;
    let isOver = false;
    target.onExtend = () => {
      if (!isAcking) return { openJobs: 1, leaseMs: 90 };
      isOver = true;
      setImmediate(() => target.changed());
      throw new CapstanError("leaseLost", "over");
    };
    target.ack = async () => {
      isAcking = true;
      await target.until(() => isOver);
      return accepted;
    };
    const { worker, messages } = setUp(target, ["true"]);
    const report = await worker.run();
    assert.deepEqual([report.acked, report.lost], [1, 0]);
    assert.deepEqual(messages, []);
  });

  it("tries an ack again until the server is back, and counts a refusal as lost", async () => {
    const target = new Target(["a", "b"]);
    let tries = 0;
    target.onAck = () => {
      if (++tries === 1) throw new CapstanError("connection", "gone");
      return tries === 2 ? accepted : { accepted: 0, refused: [{ index: 0, code: "leaseLost" }] };
    };
    const { worker, messages } = setUp(target, ["true"]);
    const report = await worker.run();
    assert.deepEqual([report.acked, report.lost], [1, 1]);
    assert.ok(messages.some((message) => /ack of job 0+1 is tried again: connection/.test(message)));
    assert.ok(messages.some((message) => /ack of job 0+2 was refused: leaseLost/.test(message)));
  });

  it("goes on fetching when the server comes back, and says both once", async () => {
    const target = new Target(["a"]);
    let fetches = 0;
    target.beforeFetch = () => {
      if (++fetches <= 2) throw new CapstanError("connection", "gone");
    };
    const { worker, messages } = setUp(target, ["true"]);
    assert.equal((await worker.run()).acked, 1);
    assert.equal(messages.filter((message) => /cannot fetch, trying again: connection/.test(message)).length, 1);
    assert.equal(messages.filter((message) => /answers again/.test(message)).length, 1);
  });

  it("stops at an error that trying again cannot mend", async () => {
    const target = new Target(["a"]);
    target.beforeFetch = () => {
      throw new CapstanError("forbidden", "not this queue");
    };
    const report = await setUp(target, ["true"], { drain: false }).worker.run();
    assert.equal(report.problem?.error?.code, "forbidden");
  });

  it("lets a running command end when it is told to stop, and takes no more", async () => {
    const path = fresh();
    const target = new Target(["a", "b"]);
    const script = 'echo begun >&2; until [ -e "$1" ]; do sleep 0.01; done';
    const { worker, errors } = setUp(target, ["sh", "-c", script, "sh", path], { drain: false });
    const run = worker.run();
    await target.until(() => errors.length > 0);
    worker.stop();
    await setUp(new Target(["x"]), ["touch", path]).worker.run();
    assert.equal((await run).acked, 1);
    assert.equal(target.waiting.length, 1);
  });

  it("ends a waiting fetch when it is told to stop", async () => {
    const target = new Target([]);
    const { worker } = setUp(target, ["true"], { drain: false });
    const run = worker.run();
    worker.stop();
    assert.deepEqual(await run, { acked: 0, failed: 0, released: 0, lost: 0, problem: null });
  });

  it("kills and releases what runs when it is told so", async () => {
    const target = new Target(["a", "b"]);
    const { worker, errors } = setUp(target, ["sh", "-c", 'trap "" TERM INT; echo begun >&2; sleep 600; :'], {
      concurrency: 2,
      drain: false,
    });
    const run = worker.run();
    await target.until(() => errors.join("").split("begun").length === 3);
    worker.kill();
    const report = await run;
    assert.equal(report.released, 2);
    assert.deepEqual(target.events.sort(), ["release 1", "release 2"]);
    assert.deepEqual(target.failures, []);
  });

  it("does not wait for a process that its command left in the background", async () => {
    const path = fresh();
    const target = new Target(["a"]);
    const { worker } = setUp(target, ["sh", "-c", 'sleep 600 & echo $! > "$1"', "sh", path]);
    assert.equal((await worker.run()).acked, 1);
    process.kill(Number(readFileSync(path, "utf8")), "SIGKILL");
  });
});

describe("a held lease", () => {
  it("is lost when the server knows no open job of it, and says so once", async () => {
    const reasons: string[] = [];
    await new Promise<void>((resolve) => {
      const held = new HeldLease(
        { extend: async () => ({ openJobs: 0, leaseMs: 60 }) },
        "a".repeat(32),
        60,
        (reason) => {
          reasons.push(reason);
          held.lose("again");
          resolve();
        },
      );
    });
    assert.deepEqual(reasons, ["the server knows no open job of the lease"]);
  });

  it("counts from when an extension was sent", async () => {
    let sentMs = 0;
    let finish: (value: Extended) => void = () => {};
    const sent = new Promise<void>((resolve) => {
      const extend = (): Promise<Extended> => {
        sentMs = performance.now();
        resolve();
        return new Promise((answered) => {
          finish = answered;
        });
      };
      held = new HeldLease({ extend }, "a".repeat(32), 1_000, () => {});
    });
    await sent;
    finish({ openJobs: 1, leaseMs: 5_000 });
    await new Promise((resolve) => setImmediate(resolve));
    assert.ok(held.leftMs <= 5_000 - (performance.now() - sentMs) + 1);
    assert.ok(held.leftMs > 4_000);
    held.close();
  });
  let held: HeldLease;
});

describe("the command of a worker", () => {
  it("is looked for as the system does", () => {
    assert.match(commandProblem("") ?? "", /empty/);
    assert.match(commandProblem("no-such-command-anywhere") ?? "", /no command no-such-command-anywhere in PATH/);
    assert.match(commandProblem("./no/such/file") ?? "", /no file/);
    assert.match(commandProblem("/") ?? "", /no file/);
    assert.equal(commandProblem("sh"), undefined);
    assert.match(commandProblem("sh", { PATH: "/nonexistent" }) ?? "", /PATH/);
  });

  it("leaves the tail of what it writes, in whatever pieces", () => {
    const tail = new Tail(5);
    for (let i = 0; i < 1000; i++) tail.push(Buffer.from(String(i % 10)));
    assert.equal(tail.bytes().toString(), "56789");
    tail.push(Buffer.from("abcdefgh"));
    assert.equal(tail.bytes().toString(), "defgh");
    assert.equal(new Tail(5).bytes().length, 0);
  });
});
