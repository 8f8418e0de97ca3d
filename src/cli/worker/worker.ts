// Owns: the life of `capstan work`: as many commands at once as it may, each under a lease that is kept while it runs, and
// what becomes of each job afterwards. Never parses a flag and handles no signal: work.ts does. Called by work.ts.
//
//   fetch (as many as there are free slots) ──▶ run ──▶ exit 0: ack │ else: fail, with the end of standard error
//                                                 │ lease lost: the process group is ended, nothing is said to the server
//                                                 └ cannot be started: release, and the worker stops
//   stop: fetch no more, let commands end        kill: end them, release their jobs

import { setTimeout as pause } from "node:timers/promises";
import {
  CapstanError,
  type Extended,
  type FailedJob,
  type FetchOptions,
  type Grant,
  type Job,
  type JobIds,
  type Settled,
  type WriteOptions,
} from "../../client/index.js";
import { tailText } from "../text.js";
import { type CommandEnd, RunningCommand, reasonBytesMax } from "./command.js";
import { HeldLease } from "./held_lease.js";

/** What of the client a worker uses. */
export interface WorkTarget {
  fetch(queue: string, options: FetchOptions): Promise<Grant | null>;
  ack(lease: string, ids: JobIds, options?: WriteOptions): Promise<Settled>;
  fail(lease: string, jobs: readonly FailedJob[], options?: WriteOptions): Promise<Settled>;
  release(lease: string, ids: JobIds, options?: WriteOptions): Promise<Settled>;
  extend(lease: string, leaseMs: number, options: WriteOptions): Promise<Extended>;
}

export interface WorkerOptions {
  readonly queue: string;
  readonly command: readonly string[];
  readonly concurrency: number;
  readonly leaseMs: number;
  /** How long one fetch waits at the server. */
  readonly waitMs: number;
  /** Between `SIGTERM` and `SIGKILL` when a lease is lost. */
  readonly graceMs: number;
  /** End when no job is ready and none runs. */
  readonly drain: boolean;
  readonly worker: string;
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly say: (message: string) => void;
  readonly errors: (chunk: Buffer) => void;
}

export interface WorkReport {
  readonly acked: number;
  readonly failed: number;
  readonly released: number;
  readonly lost: number;
  /** What stopped it, if nobody asked for it. */
  readonly problem: { readonly message: string; readonly error: CapstanError | null } | null;
}

/** A fetch that is sent anew after these may succeed: the server comes back, or has room again. */
const temporary: ReadonlySet<string> = new Set([
  "connection",
  "shuttingDown",
  "notLeader",
  "busy",
  "diskFull",
  "deadlineExceeded",
  "unknown",
  "sessionExpired",
  "queueDeleting",
  "notFound",
  "limitReached",
]);
const fetchTimeoutMs = 5_000;
const settleTimeoutMs = 10_000;
const backoffMsFirst = 100;
const backoffMsMax = 5_000;

export class Worker {
  private readonly running = new Map<RunningCommand, HeldLease>();
  private readonly fetching = new AbortController();
  /** Jobs that were taken and are not settled. */
  private open = 0;
  private isKilled = false;
  private wake: () => void = () => {};
  private problem: WorkReport["problem"] = null;
  private acked = 0;
  private failed = 0;
  private released = 0;
  private lost = 0;

  constructor(
    private readonly target: WorkTarget,
    private readonly options: WorkerOptions,
  ) {}

  get runningCount(): number {
    return this.open;
  }

  /** Takes jobs until it is told to stop; resolves when every command has ended and its job is settled. */
  async run(): Promise<WorkReport> {
    const stopped = this.fetching.signal;
    for (let failures = 0; !stopped.aborted; ) {
      const free = this.options.concurrency - this.open;
      if (free === 0) {
        await this.oneSettles();
        continue;
      }
      try {
        const grant = await this.fetch(free);
        if (failures > 0) this.options.say("the server answers again");
        failures = 0;
        if (grant !== null) this.take(grant);
        else if (this.options.drain && this.open === 0) break;
        else if (this.options.drain) await this.oneSettles();
      } catch (error) {
        if (stopped.aborted && error instanceof CapstanError) break;
        await this.fetchFailed(error, failures++);
      }
    }
    while (this.open > 0) await this.oneSettles();
    const { acked, failed, released, lost, problem } = this;
    return { acked, failed, released, lost, problem };
  }

  /** Fetches no more; commands that run may end. */
  stop(): void {
    this.fetching.abort();
    this.wake();
  }

  /** Ends every command at once; their jobs are released. */
  kill(): void {
    this.isKilled = true;
    this.stop();
    for (const command of this.running.keys()) command.kill();
  }

  private fetch(free: number): Promise<Grant | null> {
    return this.target.fetch(this.options.queue, {
      jobsMax: free,
      leaseMs: this.options.leaseMs,
      waitMs: this.options.drain ? 0 : this.options.waitMs,
      worker: this.options.worker,
      timeoutMs: fetchTimeoutMs,
      signal: this.fetching.signal,
    });
  }

  private async fetchFailed(error: unknown, failures: number): Promise<void> {
    if (!(error instanceof CapstanError)) throw error;
    if (!temporary.has(error.code)) {
      this.problem = { message: `${error.code}: ${error.message}`, error };
      this.stop();
      return;
    }
    if (failures === 0) this.options.say(`cannot fetch, trying again: ${error.code}: ${error.message}`);
    const backoffMs = Math.min(backoffMsMax, backoffMsFirst * 2 ** Math.min(failures, 10));
    const waitMs = Math.max(error.retryAfterMs, backoffMs * (0.5 + Math.random() / 2));
    await pause(waitMs, undefined, { signal: this.fetching.signal }).catch(() => {});
  }

  private take(grant: Grant): void {
    // A command is begun for every job at once: no more were fetched than there are free slots.
    const held = new HeldLease(this.target, grant.lease, grant.leaseMs, (reason) => this.leaseLost(held, reason));
    this.open += grant.jobs.length;
    const ways = grant.jobs.map((job) =>
      this.work(held, grant, job).finally(() => {
        this.open--;
        this.wake();
      }),
    );
    // `work` rejects only by a fault of our own, which must not be lost.
    void Promise.all(ways).finally(() => held.close());
  }

  private async work(held: HeldLease, grant: Grant, job: Job): Promise<void> {
    if (this.fetching.signal.aborted) {
      await this.release(held, job);
      return;
    }
    const { command, environment, errors } = this.options;
    const running = new RunningCommand({
      command,
      input: job.payload,
      environment: { ...environment, ...jobEnvironment(grant, job) },
      errors,
    });
    this.running.set(running, held);
    const end = await running.ended;
    this.running.delete(running);
    if (end.kind === "notStarted") {
      this.cannotStart(end.error);
      await this.release(held, job);
    } else if (held.isLost) {
      this.lost++;
    } else if (end.kind === "exited" && end.code === 0) {
      if (await this.settle(held, job, "ack", (options) => this.target.ack(held.lease, [job.id], options)))
        this.acked++;
    } else if (this.isKilled) {
      await this.release(held, job);
    } else {
      await this.failJob(held, job, end);
    }
  }

  private async failJob(held: HeldLease, job: Job, end: Exclude<CommandEnd, { kind: "notStarted" }>): Promise<void> {
    const how = end.kind === "killed" ? `ended by ${end.signal}` : `exit status ${end.code}`;
    const reason = tailText(end.errorTail, reasonBytesMax).trim() || how;
    this.options.say(`job ${job.id} failed at attempt ${job.attempt} of ${job.maxAttempts}: ${how}`);
    const isTaken = await this.settle(held, job, "fail", (options) =>
      this.target.fail(held.lease, [{ id: job.id, reason }], options),
    );
    if (isTaken) this.failed++;
  }

  private async release(held: HeldLease, job: Job): Promise<void> {
    const isTaken = await this.settle(held, job, "release", (options) =>
      this.target.release(held.lease, [job.id], options),
    );
    if (isTaken) this.released++;
  }

  private cannotStart(error: NodeJS.ErrnoException): void {
    if (this.problem === null) {
      const name = this.options.command[0] ?? "";
      this.problem = { message: `cannot run ${name}: ${startProblem(error)}`, error: null };
    }
    this.stop();
  }

  /** Tells the server until it has answered or the lease is over. True: it was taken. */
  private async settle(
    held: HeldLease,
    job: Job,
    verb: string,
    call: (options: WriteOptions) => Promise<Settled>,
  ): Promise<boolean> {
    for (let tries = 0; ; tries++) {
      if (held.isLost) {
        this.options.say(`the lease was over before the ${verb} of job ${job.id} was answered`);
        break;
      }
      try {
        const { refused } = await call({ timeoutMs: Math.max(1, Math.min(settleTimeoutMs, Math.ceil(held.leftMs))) });
        const refusal = refused[0];
        if (refusal === undefined) return true;
        this.options.say(`the ${verb} of job ${job.id} was refused: ${refusal.code}`);
        break;
      } catch (error) {
        if (!(error instanceof CapstanError)) throw error;
        if (!temporary.has(error.code) || error.code === "notFound") {
          this.options.say(`the ${verb} of job ${job.id} was refused: ${error.code}: ${error.message}`);
          break;
        }
        if (tries === 0) this.options.say(`the ${verb} of job ${job.id} is tried again: ${error.code}`);
        const backoffMs = Math.min(backoffMsMax, backoffMsFirst * 2 ** Math.min(tries, 10));
        await pause(Math.max(1, Math.min(Math.max(error.retryAfterMs, backoffMs), held.leftMs)));
      }
    }
    this.lost++;
    return false;
  }

  private leaseLost(held: HeldLease, reason: string): void {
    let ended = 0;
    for (const [command, lease] of this.running) {
      if (lease !== held) continue;
      command.terminate(this.options.graceMs);
      ended++;
    }
    // Its commands have ended already, and an answer still to come, perhaps to the very ack that ended the lease, tells.
    if (ended === 0) return;
    this.options.say(`lease lost: ${reason}; ${ended} ${ended === 1 ? "command is" : "commands are"} ended`);
  }

  private oneSettles(): Promise<void> {
    return new Promise((resolve) => {
      this.wake = resolve;
      if (this.open === 0) resolve();
    });
  }
}

function startProblem(error: NodeJS.ErrnoException): string {
  switch (error.code) {
    case "ENOENT":
      return "there is no such command, or its interpreter is missing";
    case "EACCES":
      return "it is not executable";
    default:
      return error.message;
  }
}

/** What a command learns of its job; docs/cli.md lists it. */
export function jobEnvironment(grant: Grant, job: Job): Record<string, string> {
  const fields: Record<string, string> = {
    CAPSTAN_JOB_ID: job.id,
    CAPSTAN_QUEUE: job.queue,
    CAPSTAN_ATTEMPT: String(job.attempt),
    CAPSTAN_TOKEN: String(grant.token),
    CAPSTAN_LEASE: grant.lease,
    CAPSTAN_JOB_MAX_ATTEMPTS: String(job.maxAttempts),
    CAPSTAN_JOB_PRIORITY: String(job.priority),
    CAPSTAN_JOB_GROUP: job.group,
    CAPSTAN_JOB_CONTENT_TYPE: job.contentType,
  };
  // The environment of a process cannot hold NUL.
  return Object.fromEntries(Object.entries(fields).map(([name, value]) => [name, value.replaceAll("\0", "")]));
}
