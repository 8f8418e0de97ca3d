// Owns: the way of many lines into a queue: bounded batches, a few under way at once and in order, and the count of what
// was accepted and what was not. Never prints and never reads a flag. Called by enqueue.ts.
//
//   lines ──▶ pending ──▶ batch (all its jobs are taken, or none) ──▶ under way, at most `batchesMax` ──▶ accepted
//                                                                     └▶ refused: nothing more is sent

import { CapstanError, type NewJob } from "../client/index.js";

export interface LineTarget {
  enqueueMany(queue: string, jobs: readonly NewJob[]): Promise<string[]>;
}

export interface LineOptions {
  readonly queue: string;
  /** What each job has besides its payload. */
  readonly job: Omit<NewJob, "payload">;
  readonly jobsMax: number;
  readonly bytesMax: number;
  readonly batchesMax: number;
  /** After each accepted batch. */
  readonly accepted?: (total: number, firstLine: number, ids: readonly string[]) => void;
}

export interface LineRange {
  readonly first: number;
  readonly last: number;
}

export interface LineReport {
  readonly accepted: number;
  /** Null: every line that was read has been accepted. */
  readonly firstUnaccepted: number | null;
  readonly error: CapstanError | null;
  /** Behind the first unaccepted line, but accepted: batches that were under way with it. */
  readonly acceptedBehind: readonly LineRange[];
  /** Their answer was lost. */
  readonly unknown: readonly LineRange[];
}

interface Batch extends LineRange {
  readonly jobs: readonly NewJob[];
  state: "under way" | "accepted" | "refused" | "unknown";
}

export class LineSender {
  private readonly pending: Buffer[] = [];
  private linesRead = 0;
  private linesSent = 0;
  private acceptedJobs = 0;
  /** In order; those before the first that is not accepted are forgotten. */
  private readonly batches: Batch[] = [];
  private readonly underWay = new Set<Promise<void>>();
  private error: CapstanError | null = null;
  /** Not the server's word: a fault. */
  private fault: unknown;
  private isCut = false;

  constructor(
    private readonly target: LineTarget,
    private readonly options: LineOptions,
  ) {}

  /** Nothing more will be sent. */
  get isBroken(): boolean {
    return this.isCut || this.error !== null || this.fault !== undefined;
  }

  /** Send nothing more; what is under way may end. */
  cut(): void {
    this.isCut = true;
  }

  /** Takes the lines of one chunk; resolves when there is room for more. */
  async push(lines: readonly Buffer[]): Promise<void> {
    for (const line of lines) this.pending.push(line);
    this.linesRead += lines.length;
    // What a slow writer sends leaves at once; a fast one fills whole batches.
    this.pump();
    while (!this.isBroken && this.pending.length >= this.options.jobsMax) await this.oneEnds();
  }

  /** Sends what is left, waits for every answer, and says what became of the lines. */
  async end(): Promise<LineReport> {
    this.pump();
    while (this.underWay.size > 0) await this.oneEnds();
    if (this.fault !== undefined) throw this.fault;
    if (!this.isCut) await this.findRefused();
    return this.report();
  }

  private pump(): void {
    while (!this.isBroken && this.pending.length > 0 && this.underWay.size < this.options.batchesMax) this.send();
  }

  private async oneEnds(): Promise<void> {
    await Promise.race(this.underWay);
    this.pump();
  }

  private send(): void {
    const { jobsMax, bytesMax, job } = this.options;
    let jobs = 0;
    for (let bytes = 0; jobs < Math.min(jobsMax, this.pending.length); jobs++) {
      bytes += (this.pending[jobs] as Buffer).length;
      if (jobs > 0 && bytes > bytesMax) break;
    }
    const batch: Batch = {
      first: this.linesSent + 1,
      last: this.linesSent + jobs,
      jobs: this.pending.splice(0, jobs).map((payload) => ({ ...job, payload })),
      state: "under way",
    };
    this.linesSent += jobs;
    this.batches.push(batch);
    const way = this.carry(batch).finally(() => this.underWay.delete(way));
    this.underWay.add(way);
  }

  private async carry(batch: Batch): Promise<void> {
    try {
      const ids = await this.target.enqueueMany(this.options.queue, batch.jobs);
      batch.state = "accepted";
      this.acceptedJobs += ids.length;
      this.options.accepted?.(this.acceptedJobs, batch.first, ids);
    } catch (error) {
      if (error instanceof CapstanError) {
        batch.state = error.code === "unknown" ? "unknown" : "refused";
        this.error ??= error;
      } else {
        this.fault ??= error;
      }
    }
    while (this.batches[0]?.state === "accepted") this.batches.shift();
  }

  /** A batch is refused whole for one bad job: its jobs go one by one until that one is met. */
  private async findRefused(): Promise<void> {
    const batch = this.batches[0];
    const isAboutContent = this.error?.code === "tooLarge" || this.error?.code === "invalidArgument";
    if (batch === undefined || batch.state !== "refused" || batch.jobs.length === 1 || !isAboutContent) return;
    const refusal = this.error;
    this.batches.shift();
    for (const [index, job] of batch.jobs.entries()) {
      const line = batch.first + index;
      const single: Batch = { first: line, last: line, jobs: [job], state: "under way" };
      this.error = null;
      this.batches.unshift(single);
      await this.carry(single);
      if (this.fault !== undefined) throw this.fault;
      if (single.state !== "accepted") return;
    }
    // Each job alone was fine, so the batch as such was not: what was not sent yet is still refused.
    this.error = refusal;
  }

  private report(): LineReport {
    const first = this.batches[0]?.first ?? (this.linesSent < this.linesRead ? this.linesSent + 1 : null);
    const ranges = (state: Batch["state"]): LineRange[] =>
      this.batches.filter((batch) => batch.state === state).map((batch) => ({ first: batch.first, last: batch.last }));
    return {
      accepted: this.acceptedJobs,
      firstUnaccepted: first,
      error: this.error,
      acceptedBehind: ranges("accepted"),
      unknown: ranges("unknown"),
    };
  }
}
