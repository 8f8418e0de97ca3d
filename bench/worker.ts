// A worker of the load: fetches a batch, acks all of it, and says how many the server took. Owns one connection and its
// two prepared calls; does one at a time. It never looks at a payload but for the first 8 bytes. Called by L1 and P2.

import { layouts } from "../src/generated/layouts.js";
import type { StructView } from "./answers.js";
import { ackFrame, fetchFrame, leaseBytes } from "./frames.js";
import type { Call, LoadConnection } from "./load_connection.js";

export interface Grant {
  readonly jobs: number;
  /** The first 8 bytes of the first job's payload, as a number. */
  readonly stamp: number;
  /** Of the fetch, from its sending. */
  readonly tookMs: number;
}

const { fields: fetchFields } = layouts.FetchResponse;
const { fields: jobFields } = layouts.FetchedJob;
const { fields: settleFields } = layouts.SettleResponse;

export class Worker {
  private readonly fetchCall: Call;
  private readonly ackCall: Call;
  private leaseAt = 0;
  private fetched: (grant: Grant | undefined) => void = () => {};
  private acked: (accepted: number) => void = () => {};

  constructor(
    private readonly connection: LoadConnection,
    queue: string,
    jobsMax: number,
    waitMs: number,
  ) {
    this.fetchCall = connection.prepare(
      (target) => fetchFrame(target, queue, jobsMax, waitMs),
      (response) => this.fetched(this.takeGrant(response)),
    );
    this.ackCall = connection.prepare(
      (target) => {
        const { frame, leaseAt } = ackFrame(target);
        this.leaseAt = leaseAt;
        return frame;
      },
      (response) => this.acked(response.uint32(settleFields.accepted.offset)),
    );
  }

  /** Undefined when there was no job in the time. */
  fetch(): Promise<Grant | undefined> {
    const answer = new Promise<Grant | undefined>((resolve) => {
      this.fetched = resolve;
    });
    this.connection.send(this.fetchCall);
    return Promise.race([answer, this.connection.failed]);
  }

  /** Acks every job of the last grant; resolves with how many were accepted, and throws unless that is all. */
  async ack(grant: Grant): Promise<number> {
    const answer = new Promise<number>((resolve) => {
      this.acked = resolve;
    });
    this.connection.send(this.ackCall);
    const accepted = await Promise.race([answer, this.connection.failed]);
    if (accepted !== grant.jobs)
      throw new Error(`of ${grant.jobs} jobs of a live lease ${accepted} acks were accepted`);
    return accepted;
  }

  /** Of the last ack, from its sending. */
  get ackSentMs(): number {
    return this.ackCall.sentMs;
  }

  close(): void {
    this.connection.close();
  }

  private takeGrant(response: StructView): Grant | undefined {
    const jobs = response.list(fetchFields.jobs.offset);
    if (jobs.count === 0) return undefined;
    const lease = response.bytes(fetchFields.lease.offset);
    if (lease.length !== leaseBytes) throw new Error(`a lease of ${lease.length} bytes`);
    lease.copy(this.ackCall.frame, this.leaseAt);
    const payload = jobs.at(0).bytes(jobFields.payload.offset);
    return {
      jobs: jobs.count,
      stamp: payload.readDoubleLE(0),
      tookMs: performance.now() - this.fetchCall.sentMs,
    };
  }
}
