// Judges a history (history.ts) by the first four promises of the queue. Pure: owns nothing, reads no clock, and says
// how much it looked at, so that a check of nothing is seen. Called by the fault tests at their end.
//
//     1  what was answered ok is delivered, or lies dead; once, under the id that was answered, with what was sent; a
//        command is carried out whole or not at all, and what was refused never is
//     2  at most one live lease a job; its tokens only grow; a lease that is over settles nothing, one that is not does
//     3  what was acked is not in the answer of any fetch that began afterwards
//     4  within a lane ids grow with the order of commits, and first deliveries follow them
//
// An operation whose outcome is unknown may have happened at any time after it was begun: it excuses, and never accuses.

import type {
  DeliveredJob,
  EnqueueOperation,
  ExtendOperation,
  FetchOperation,
  History,
  SettleOperation,
} from "./history.js";

export interface Violation {
  readonly promise: 1 | 2 | 3 | 4;
  readonly text: string;
}

export interface Checked {
  operations: number;
  unknown: number;
  /** Jobs answered ok; of these each must have been delivered. */
  jobsOk: number;
  jobsUnknown: number;
  jobsRefused: number;
  deliveries: number;
  dead: number;
  /** Consecutive grants of one job that were compared. */
  grantPairs: number;
  acks: number;
  /** Deliveries that were compared with an ack of their job. */
  deliveriesOfAcked: number;
  lanes: number;
  /** First deliveries whose order was compared. */
  firstDeliveries: number;
}

export interface Verdict {
  readonly violations: readonly Violation[];
  readonly checked: Checked;
}

interface Delivery extends DeliveredJob {
  readonly fetch: FetchOperation;
}

interface Sent {
  readonly enqueue: EnqueueOperation;
  readonly index: number;
}

/** The queue's stopwatch counts whole milliseconds, at both ends of a lease. */
const roundingMs = 2;

export function checkHistory(history: History): Verdict {
  const check = new Check(history);
  check.delivery();
  check.leases();
  check.acks();
  check.order();
  return { violations: check.violations, checked: check.checked };
}

class Check {
  readonly violations: Violation[] = [];
  readonly checked: Checked;
  private readonly history: History;
  private readonly enqueues: EnqueueOperation[] = [];
  private readonly settles: SettleOperation[] = [];
  private readonly sent = new Map<string, Sent>();
  /** By job id, in the order of their tokens. */
  private readonly deliveries = new Map<string, Delivery[]>();
  private readonly settlesOfJob = new Map<string, SettleOperation[]>();
  private readonly extendsOfLease = new Map<string, ExtendOperation[]>();
  /** When the first fetch of a queue whose outcome is unknown was begun. */
  private readonly unknownFetches = new Map<string, number>();

  constructor(history: History) {
    this.history = history;
    for (const one of history.operations) {
      if (one.kind === "enqueue") this.addEnqueue(one);
      else if (one.kind === "fetch") this.addFetch(one);
      else if (one.kind === "extend") append(this.extendsOfLease, one.lease, one);
      else {
        this.settles.push(one);
        for (const id of one.ids) append(this.settlesOfJob, id, one);
      }
    }
    for (const list of this.deliveries.values()) list.sort((a, b) => compare(a.fetch.token, b.fetch.token));
    const jobs = (outcome: string) =>
      sum(
        this.enqueues.filter((one) => one.outcome === outcome),
        (one) => one.keys.length,
      );
    this.checked = {
      operations: history.operations.length,
      unknown: history.operations.filter((one) => one.outcome === "unknown").length,
      jobsOk: jobs("ok"),
      jobsUnknown: jobs("unknown"),
      jobsRefused: jobs("refused"),
      deliveries: sum([...this.deliveries.values()], (list) => list.length),
      dead: history.dead.length,
      grantPairs: 0,
      acks: this.settles.filter((one) => one.kind === "ack" && one.outcome === "ok").length,
      deliveriesOfAcked: 0,
      lanes: 0,
      firstDeliveries: 0,
    };
  }

  /** Promise 1. */
  delivery(): void {
    const ids = new Map<string, string>();
    for (const [id, list] of this.deliveries) {
      for (const { key } of list) {
        const known = ids.get(key);
        if (known !== undefined && known !== id) this.say(1, `${key} was carried out twice, as ${known} and ${id}`);
        ids.set(key, id);
        const sent = this.sent.get(key);
        if (sent === undefined) this.say(1, `${id} was delivered with ${key}, which nobody sent`);
        else if (sent.enqueue.outcome === "refused") this.say(1, `${key} was refused and delivered as ${id}`);
        else if (sent.enqueue.outcome === "ok" && sent.enqueue.ids[sent.index] !== id) {
          this.say(1, `${key} was answered as ${sent.enqueue.ids[sent.index]} and delivered as ${id}`);
        }
      }
    }
    const dead = new Set(this.history.dead);
    for (const { outcome, keys, client } of this.enqueues) {
      const missing = keys.filter((key) => !ids.has(key) && !dead.has(key));
      if (outcome === "ok") for (const key of missing) this.say(1, `${key} of ${client} was answered ok and is lost`);
      if (outcome === "unknown" && missing.length > 0 && missing.length < keys.length) {
        this.say(1, `a command of ${client} was carried out in part: ${missing[0]} is missing`);
      }
    }
  }

  /** Promise 2. */
  leases(): void {
    for (const [id, list] of this.deliveries) {
      list.forEach((earlier, at) => {
        const later = list[at + 1];
        if (later === undefined) return;
        this.checked.grantPairs++;
        const [first, second] = [earlier.fetch, later.fetch];
        if (first.token === second.token) this.say(2, `${id} was granted twice under token ${first.token}`);
        else if (second.completedMs < first.invokedMs) {
          this.say(2, `${id}: token ${second.token} was granted before ${first.token}`);
        } else if (second.completedMs < this.aliveUntil(first) && !this.mayHaveClosed(id, first, second.completedMs)) {
          this.say(2, `${id}: leased under tokens ${first.token} and ${second.token} at once`);
        }
      });
      for (const settle of this.settlesOfJob.get(id) ?? []) this.settled(id, list, settle);
    }
  }

  /** Promise 3. */
  acks(): void {
    for (const [id, settles] of this.settlesOfJob) {
      const acked = settles.filter((one) => one.kind === "ack" && one.accepted.includes(id));
      if (acked.length === 0) continue;
      const sinceMs = Math.min(...acked.map((one) => one.completedMs));
      for (const { fetch } of this.deliveries.get(id) ?? []) {
        this.checked.deliveriesOfAcked++;
        if (fetch.invokedMs > sinceMs) this.say(3, `${id} was acked and then delivered under token ${fetch.token}`);
      }
    }
  }

  /** Promise 4. */
  order(): void {
    const lanes = new Map<string, { id: string; enqueue: EnqueueOperation }[]>();
    for (const [id, list] of this.deliveries) {
      const sent = this.sent.get(list[0]?.key ?? "");
      if (sent?.enqueue.isReady !== true) continue;
      const { queue, priority, group } = sent.enqueue;
      append(lanes, `${queue} ${priority} ${group}`, { id, enqueue: sent.enqueue });
    }
    for (const [lane, jobs] of lanes) {
      this.checked.lanes++;
      jobs.sort((a, b) => compare(a.id, b.id));
      this.orderOfCommits(lane, jobs);
      this.orderOfDeliveries(
        lane,
        jobs.map((job) => job.id),
      );
    }
    for (const one of this.enqueues) {
      const unsorted = one.ids.findIndex((id, at) => at > 0 && id <= (one.ids[at - 1] as string));
      if (unsorted >= 0) this.say(4, `${one.keys[unsorted]} has a smaller id than the job before it in its command`);
    }
  }

  private orderOfCommits(lane: string, jobs: readonly { id: string; enqueue: EnqueueOperation }[]): void {
    let answeredMs = Number.POSITIVE_INFINITY;
    // From the end: the earliest answer of all larger ids.
    for (const { id, enqueue } of jobs.toReversed()) {
      if (answeredMs < enqueue.invokedMs)
        this.say(4, `${lane}: ${id} was sent after a job of a larger id was answered`);
      if (enqueue.outcome === "ok") answeredMs = Math.min(answeredMs, enqueue.completedMs);
    }
  }

  private orderOfDeliveries(lane: string, ids: readonly string[]): void {
    const ofLane = new Set(ids);
    let laterMs = Number.POSITIVE_INFINITY;
    for (const id of ids.toReversed()) {
      const first = this.deliveries.get(id)?.[0];
      if (first === undefined) continue;
      // Else an earlier delivery was not seen. One that its client gave up may have gone back uncounted.
      if (first.attempt === 1 && !this.mayHaveBeenGivenBack(first.fetch)) {
        this.checked.firstDeliveries++;
        if (laterMs < first.fetch.invokedMs) this.say(4, `${lane}: ${id} was first delivered after a later job`);
      }
      laterMs = Math.min(laterMs, first.fetch.completedMs);
      const before = first.fetch.jobs.slice(
        0,
        first.fetch.jobs.findIndex((job) => job.id === id),
      );
      const overtaken = before.find((job) => job.id > id && ofLane.has(job.id) && job.attempt === 1);
      if (overtaken !== undefined && first.attempt === 1)
        this.say(4, `${lane}: ${overtaken.id} came before ${id} in one grant`);
    }
  }

  private mayHaveBeenGivenBack(fetch: FetchOperation): boolean {
    return (this.unknownFetches.get(fetch.queue) ?? Number.POSITIVE_INFINITY) < fetch.completedMs;
  }

  /** An answer about `id` under one of its leases. */
  private settled(id: string, list: readonly Delivery[], settle: SettleOperation): void {
    if (settle.outcome === "unknown") return;
    const at = list.findIndex((one) => one.fetch.lease === settle.lease);
    const grant = list[at]?.fetch;
    if (grant === undefined) return;
    if (settle.accepted.includes(id)) {
      const newer = list.slice(at + 1).find((one) => one.fetch.completedMs < settle.invokedMs);
      if (newer === undefined) return;
      this.say(
        2,
        `${id}: ${settle.kind} under token ${grant.token} was taken after token ${newer.fetch.token} was granted`,
      );
    } else if (
      settle.completedMs < this.aliveUntil(grant) &&
      !this.mayHaveClosed(id, grant, settle.completedMs, settle)
    ) {
      this.say(2, `${id}: ${settle.kind} under token ${grant.token} was refused while its lease was live`);
    }
  }

  /** Until when a lease cannot have fallen due: it began when it was asked for at the earliest. */
  private aliveUntil(fetch: FetchOperation): number {
    let untilMs = fetch.invokedMs + fetch.leaseMs - roundingMs;
    for (const one of this.extendsOfLease.get(fetch.lease) ?? []) {
      if (one.outcome === "refused") continue;
      const extendedMs = one.invokedMs + one.leaseMs - roundingMs;
      const wasAlone = one.outcome === "ok" && this.extendsOfLease.get(fetch.lease)?.length === 1;
      untilMs = wasAlone ? extendedMs : Math.min(untilMs, extendedMs);
    }
    return untilMs;
  }

  private mayHaveClosed(id: string, fetch: FetchOperation, beforeMs: number, except?: SettleOperation): boolean {
    return (this.settlesOfJob.get(id) ?? []).some(
      (one) =>
        one !== except &&
        one.lease === fetch.lease &&
        one.invokedMs < beforeMs &&
        (one.outcome === "unknown" || one.accepted.includes(id)),
    );
  }

  private addEnqueue(one: EnqueueOperation): void {
    this.enqueues.push(one);
    one.keys.forEach((key, index) => {
      if (this.sent.has(key)) throw new Error(`the history holds the key ${key} twice`);
      this.sent.set(key, { enqueue: one, index });
    });
  }

  private addFetch(fetch: FetchOperation): void {
    for (const job of fetch.jobs) append(this.deliveries, job.id, { ...job, fetch });
    if (fetch.outcome !== "unknown") return;
    const known = this.unknownFetches.get(fetch.queue) ?? Number.POSITIVE_INFINITY;
    this.unknownFetches.set(fetch.queue, Math.min(known, fetch.invokedMs));
  }

  private say(promise: Violation["promise"], text: string): void {
    this.violations.push({ promise, text: `promise ${promise}: ${text}` });
  }
}

function append<T>(to: Map<string, T[]>, key: string, value: T): void {
  const list = to.get(key);
  if (list === undefined) to.set(key, [value]);
  else list.push(value);
}

function compare<T>(a: T, b: T): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

function sum<T>(list: readonly T[], of: (one: T) => number): number {
  return list.reduce((total, one) => total + of(one), 0);
}
