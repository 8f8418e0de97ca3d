// Owns: one call from its start to its end: its promise, deadline, signal, and what is known of its fate. It never sends
// itself: it encodes when the link asks it to, and hands every outcome to the link, which decides about retries. Settles
// exactly once.
//
//   waiting ──▶ sent ──▶ done
//      ▲          ├────▶ delayed (busy) ──▶ waiting
//      └──────────┘ connection lost, and it may be repeated

import type { Connection, OutgoingCall } from "./connection.js";
import { CapstanError, protocolFault } from "./errors.js";
import type { Operation } from "./operations.js";
import type { Session } from "./session.js";
import type { WriteOptions } from "./types.js";
import type { RequestFields } from "./wire/encode.js";
import type { MessageReader, StructView } from "./wire/reader.js";
import type { CallTarget } from "./wire/rpc.js";
import type { FrameWriter } from "./wire/writer.js";

export type CallState = "waiting" | "sent" | "delayed" | "done";

export interface CallOwner {
  succeeded<T>(call: Call<T>, value: T): void;
  refused(call: Call<unknown>, error: CapstanError): void;
  /** An answer to a call that was given up. */
  late<T>(call: Call<T>, value: T): void;
  aborted(call: Call<unknown>): void;
}

export interface CallSettings {
  readonly timeoutMs: number;
  readonly retryBusy: boolean;
  readonly usesSession: boolean;
}

export class Call<T> implements OutgoingCall {
  readonly operation: Operation<T>;
  readonly settings: CallSettings;
  readonly key: string;
  readonly startedMs: number;
  /**
   * Sent, it has the timeout for the answer beyond the time that the server may wait for jobs. While no server has it
   * there is no answer to wait for, so only the longer of the two counts.
   */
  deadlineMs: number;
  /** In the order of their starts. */
  readonly order: number;
  state: CallState = "waiting";
  session: Session | null = null;
  sequence = 0;
  /** Where it was sent last. */
  connection: Connection | null = null;
  question = -1;
  sentMs = 0;
  /** A write that was sent before and whose answer was lost: it may have been carried out. */
  isDoubtful = false;
  refusals = 0;
  delay: NodeJS.Timeout | null = null;
  private readonly owner: CallOwner;
  private readonly signal: AbortSignal | undefined;
  private readonly resolve: (value: T) => void;
  private readonly reject: (error: CapstanError) => void;
  private readonly onAbort = () => this.owner.aborted(this as Call<unknown>);

  constructor(
    owner: CallOwner,
    operation: Operation<T>,
    options: WriteOptions,
    settings: CallSettings,
    order: number,
    resolve: (value: T) => void,
    reject: (error: CapstanError) => void,
  ) {
    this.owner = owner;
    this.operation = operation;
    this.settings = settings;
    this.key = options.idempotencyKey ?? "";
    this.order = order;
    this.startedMs = performance.now();
    this.deadlineMs = this.unsentDeadlineMs;
    this.resolve = resolve;
    this.reject = reject;
    this.signal = options.signal;
    this.signal?.addEventListener("abort", this.onAbort, { once: true });
  }

  private get unsentDeadlineMs(): number {
    return this.startedMs + Math.max(this.settings.timeoutMs, this.operation.waitMs);
  }

  /** A server has it. */
  sent(connection: Connection, question: number): void {
    this.question = question;
    this.connection = connection;
    this.state = "sent";
    this.sentMs = performance.now();
    this.deadlineMs = this.startedMs + this.settings.timeoutMs + this.operation.waitMs;
  }

  /** No server has it any more. */
  wait(): void {
    this.state = "waiting";
    this.deadlineMs = this.unsentDeadlineMs;
  }

  get wantsSession(): boolean {
    return this.settings.usesSession && this.operation.kind !== "read";
  }

  /** Sent twice, it is carried out once. */
  get isRepeatable(): boolean {
    return this.operation.kind === "read" || this.session !== null || this.key !== "";
  }

  /** Its answer was lost. A read leaves nothing to doubt. */
  doubt(): void {
    if (this.operation.kind !== "read") this.isDoubtful = true;
  }

  encode(writer: FrameWriter, question: number, target: CallTarget): void {
    this.operation.encode({ writer, question, target }, this.requestFields(), this.waitLeftMs());
  }

  returned(reader: MessageReader, outcome: StructView): void {
    let value: T;
    try {
      value = this.operation.decode(reader, outcome);
    } catch (error) {
      const failure = error instanceof CapstanError ? error : protocolFault(String(error));
      if (this.state !== "done") this.owner.refused(this as Call<unknown>, failure);
      if (failure.code === "protocol") throw failure;
      return;
    }
    if (this.state === "done") this.owner.late(this, value);
    else this.owner.succeeded(this, value);
  }

  succeed(value: T): void {
    if (this.finish()) this.resolve(value);
  }

  fail(error: CapstanError): void {
    if (this.finish()) this.reject(error);
  }

  get abortReason(): unknown {
    return this.signal?.reason;
  }

  private finish(): boolean {
    if (this.state === "done") return false;
    this.state = "done";
    if (this.delay !== null) clearTimeout(this.delay);
    this.signal?.removeEventListener("abort", this.onAbort);
    return true;
  }

  private requestFields(): RequestFields | null {
    const { session, key } = this;
    if (session === null) {
      if (key === "") return null;
      return { session: 0n, sequence: 0, lowestUnanswered: 0, receivedAbove: [], idempotencyKey: key };
    }
    return {
      session: session.id,
      sequence: this.sequence,
      lowestUnanswered: session.lowestUnanswered,
      receivedAbove: session.tell(this.sequence),
      idempotencyKey: key,
    };
  }

  private waitLeftMs(): number {
    const { waitMs } = this.operation;
    if (this.sentMs === 0 || waitMs === 0) return waitMs;
    return Math.max(0, Math.ceil(waitMs - (performance.now() - this.startedMs)));
  }
}
