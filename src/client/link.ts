// Owns: every call that has not ended, the connection that carries them, the session, and the decision what becomes of a
// call when something goes wrong. It knows no operation by name but those of sessions. Called by the client.
//
//   waiting (bounded) ──▶ sent over the connection (at most 1,000) ──▶ answered
//
//   An answer is lost:  read, or write under a session or key ──▶ waiting, in front, with the same sequence
//                       any other write                       ──▶ rejects `unknown`

import { ErrorCode } from "../generated/error_codes.js";
import { Call, type CallOwner, type CallSettings } from "./call.js";
import { type Connection, type OutgoingCall, outstandingMax } from "./connection.js";
import { Deadlines } from "./deadlines.js";
import { Dialer, type DialerEvents, type DialerOptions } from "./dialer.js";
import { CapstanError } from "./errors.js";
import { closeSession, type Operation, openSession } from "./operations.js";
import { Session } from "./session.js";
import type { CallOptions, WriteOptions } from "./types.js";

/** Calls that wait for the connection or for room on it; more are refused with `busy`. */
export const waitingMax = 10_000;
/** Those and the ones that are sent. */
const liveMax = waitingMax + outstandingMax;
const goodbyeMs = 500;
/** Before all calls of callers. */
const internalOrder = -1;

export interface LinkOptions extends DialerOptions {
  readonly session: boolean;
  readonly name: string;
  readonly requestTimeoutMs: number;
  readonly retryBusy: boolean;
}

interface ConnectWaiter {
  readonly resolve: () => void;
  readonly reject: (error: CapstanError) => void;
}

type AnyCall = Call<unknown>;

export class Link implements CallOwner, DialerEvents {
  private readonly options: LinkOptions;
  private readonly defaults: CallSettings;
  private readonly dialer: Dialer;
  private readonly deadlines: Deadlines;
  private readonly live = new Set<AnyCall>();
  private waiting: AnyCall[] = [];
  private waitingAt = 0;
  private readonly connectWaiters = new Set<ConnectWaiter>();
  private connection: Connection | null = null;
  /** Not sent to any more, while their last calls are answered. */
  private readonly leaving = new Set<Connection>();
  private session: Session | null = null;
  private isOpeningSession = false;
  private lastFailure: CapstanError | null = null;
  private calls = 0;
  private isClosing = false;
  private closing: Promise<void> | null = null;
  private whenEmpty: (() => void) | null = null;

  constructor(options: LinkOptions) {
    this.options = options;
    this.defaults = {
      timeoutMs: options.requestTimeoutMs,
      retryBusy: options.retryBusy,
      usesSession: options.session,
    };
    this.dialer = new Dialer(options, this);
    this.deadlines = new Deadlines(this.live, (call) => this.expire(call));
  }

  connect(): Promise<void> {
    if (this.isClosing) return Promise.reject(clientClosed());
    if (this.connection?.isUsable) return Promise.resolve();
    return new Promise((resolve, reject) => {
      this.connectWaiters.add({ resolve, reject });
      this.setRef();
      this.dialer.hurry();
      this.dialer.dial();
    });
  }

  start<T>(operation: Operation<T>, options: WriteOptions): Promise<T> {
    if (this.isClosing) return Promise.reject(clientClosed());
    if (options.signal?.aborted) return Promise.reject(canceled(options.signal.reason));
    if (this.live.size >= liveMax) {
      return Promise.reject(new CapstanError("busy", `${waitingMax} calls of this client wait already`));
    }
    return this.begin(operation, options, false);
  }

  /** Gives up what waits for jobs, lets the rest end, says goodbye. */
  close(timeoutMs: number): Promise<void> {
    if (this.closing === null) {
      this.isClosing = true;
      this.closing = this.end(timeoutMs);
    }
    return this.closing;
  }

  private async end(timeoutMs: number): Promise<void> {
    for (const call of this.live) if (call.operation.kind === "fetch") this.giveUp(call, clientClosed());
    if (this.live.size > 0) {
      const timer = setTimeout(() => {
        for (const call of this.live) this.giveUp(call, clientClosed());
      }, timeoutMs);
      await new Promise<void>((resolve) => {
        this.whenEmpty = resolve;
      });
      clearTimeout(timer);
    }
    const { session } = this;
    if (session !== null && this.connection?.isUsable) {
      const options = { timeoutMs: goodbyeMs, retryBusy: false };
      await this.begin(closeSession(session.id), options, true).catch(() => null);
    }
    this.dialer.close();
    this.connection?.end();
    this.settleConnects(clientClosed());
  }

  // --- What calls say ---

  succeeded<T>(call: Call<T>, value: T): void {
    this.ended(call as AnyCall);
    call.succeed(value);
  }

  refused(call: AnyCall, error: CapstanError): void {
    // It may have been refused before it came to the state, and what it told with it.
    call.session?.lost(call.sequence);
    if (error.code === "sessionExpired" && call.session !== null) {
      this.sessionExpired(call, error);
    } else if (this.isWorthRetry(call, error)) {
      this.retryLater(call, error);
    } else {
      this.ended(call);
      call.fail(honest(call, error));
    }
  }

  late<T>(call: Call<T>, value: T): void {
    call.operation.late?.(value);
  }

  aborted(call: AnyCall): void {
    this.giveUp(call, canceled(call.abortReason));
  }

  // --- What the connection and the dialer say ---

  isWanted(): boolean {
    return !this.connection?.isUsable && (this.waitingAt < this.waiting.length || this.connectWaiters.size > 0);
  }

  opened(connection: Connection): void {
    this.connection = connection;
    for (const waiter of this.connectWaiters) waiter.resolve();
    this.connectWaiters.clear();
    this.setRef();
    this.pump();
  }

  failed(error: CapstanError, isFinal: boolean): void {
    this.lastFailure = error;
    this.settleConnects(error);
    if (!isFinal) return;
    for (const call of [...this.live]) {
      if (call.state === "waiting") this.giveUp(call, call.isDoubtful ? outcomeUnknown(error.message, error) : error);
    }
  }

  room(connection: Connection): void {
    if (connection.answers > 0) this.dialer.proven();
    if (connection === this.connection) this.pump();
  }

  closed(connection: Connection, error: CapstanError, unanswered: readonly OutgoingCall[]): void {
    if (connection === this.connection) this.connection = null;
    this.leaving.delete(connection);
    this.lastFailure = error;
    const lost = (unanswered as readonly AnyCall[]).filter((call) => call.state === "sent");
    const repeated: AnyCall[] = [];
    for (const call of lost) {
      call.session?.lost(call.sequence);
      if (error.code === "protocol") {
        this.ended(call);
        call.fail(error);
      } else if (call.isRepeatable && !this.isClosingFetch(call)) {
        call.doubt();
        repeated.push(call);
      } else {
        this.ended(call);
        call.fail(outcomeUnknown("the connection was lost before the answer came", error));
      }
    }
    if (repeated.length > 0) this.waitAgain(repeated);
    this.pump();
  }

  // --- The way of a call ---

  private begin<T>(operation: Operation<T>, options: WriteOptions, isInternal: boolean): Promise<T> {
    return new Promise<T>((resolve, reject) => {
      // What the link itself asks for does not stand behind the calls that need it.
      const order = isInternal ? internalOrder : this.calls++;
      const call = new Call(this, operation, options, this.settingsOf(options), order, resolve, reject) as AnyCall;
      this.live.add(call);
      if (this.live.size === 1) this.setRef();
      this.wait(call);
      this.pump();
    });
  }

  private settingsOf(options: CallOptions): CallSettings {
    if (options.timeoutMs === undefined && options.retryBusy === undefined) return this.defaults;
    return {
      timeoutMs: options.timeoutMs ?? this.defaults.timeoutMs,
      retryBusy: options.retryBusy ?? this.defaults.retryBusy,
      usesSession: this.defaults.usesSession,
    };
  }

  private pump(): void {
    while (this.waitingAt < this.waiting.length) {
      const call = this.waiting[this.waitingAt] as AnyCall;
      if (call.state !== "waiting") {
        this.advance();
        continue;
      }
      const { connection } = this;
      if (!connection?.isUsable) {
        this.dialer.dial();
        return;
      }
      if (connection.isFull) return;
      if (call.wantsSession && call.session === null && !this.joinSession(call)) return;
      this.advance();
      this.send(connection, call);
    }
  }

  private advance(): void {
    this.waitingAt++;
    if (this.waitingAt === this.waiting.length) {
      this.waiting.length = 0;
      this.waitingAt = 0;
    } else if (this.waitingAt >= 1024 && this.waitingAt * 2 > this.waiting.length) {
      this.waiting = this.waiting.slice(this.waitingAt);
      this.waitingAt = 0;
    }
  }

  /** Behind those that wait already. */
  private wait(call: AnyCall): void {
    call.wait();
    this.deadlines.add(call);
    if (call.order === internalOrder) {
      this.waitAgain([call]);
      return;
    }
    this.waiting.push(call);
    // Calls that were given up stay in the line until they are its first, or too many.
    if (this.waiting.length > 2 * liveMax) this.waitAgain([]);
  }

  /** At the places that their starts give them; those that ended while they waited leave. */
  private waitAgain(calls: readonly AnyCall[]): void {
    for (const call of calls) {
      call.wait();
      this.deadlines.add(call);
    }
    const waiting = this.waiting.slice(this.waitingAt).filter((call) => call.state === "waiting");
    this.waiting = [...calls, ...waiting].sort((a, b) => a.order - b.order);
    this.waitingAt = 0;
  }

  private send(connection: Connection, call: AnyCall): void {
    try {
      call.sent(connection, connection.send(call));
    } catch (error) {
      call.session?.lost(call.sequence);
      this.ended(call);
      call.fail(error instanceof CapstanError ? error : new CapstanError("invalidArgument", String(error)));
    }
  }

  /** False: the session is being opened, and the call waits for it. */
  private joinSession(call: AnyCall): boolean {
    if (this.session !== null) {
      call.session = this.session;
      call.sequence = this.session.take();
      return true;
    }
    if (this.isOpeningSession) return false;
    this.isOpeningSession = true;
    this.begin(openSession(this.options.name), {}, true).then(
      (id) => {
        this.isOpeningSession = false;
        this.session = new Session(id);
        this.pump();
      },
      (error: CapstanError) => {
        this.isOpeningSession = false;
        for (const waiting of [...this.live]) {
          if (waiting.state === "waiting" && waiting.wantsSession && waiting.session === null)
            this.giveUp(waiting, error);
        }
        this.pump();
      },
    );
    return false;
  }

  private sessionExpired(call: AnyCall, error: CapstanError): void {
    if (this.session === call.session) this.session = null;
    if (call.isDoubtful && call.key === "") {
      this.ended(call);
      call.fail(outcomeUnknown("the session ended before the lost answer could be asked for again", error));
      return;
    }
    // Every time it was sent it was refused, or its key stands for it: a new session may carry it.
    call.session?.answered(call.sequence);
    call.session = null;
    this.waitAgain([call]);
    this.pump();
  }

  private isWorthRetry(call: AnyCall, error: CapstanError): boolean {
    switch (error.code) {
      case "busy":
        return call.settings.retryBusy;
      case "unknown":
        // A code that this client does not know is an answer like others; a lost outcome can be asked for again.
        if (error.number !== ErrorCode.unknown) return false;
        call.doubt();
        return call.isRepeatable;
      case "shuttingDown":
      case "notLeader":
        this.leaveServer(call.connection);
        return true;
      default:
        return false;
    }
  }

  private retryLater(call: AnyCall, error: CapstanError): void {
    const delayMs = Math.max(error.retryAfterMs, this.dialer.backoff.delay(call.refusals));
    call.refusals++;
    if (performance.now() + delayMs >= call.deadlineMs || this.isClosingFetch(call)) {
      this.ended(call);
      call.fail(honest(call, error));
      return;
    }
    call.state = "delayed";
    call.delay = setTimeout(() => {
      call.delay = null;
      this.wait(call);
      this.pump();
    }, delayMs);
  }

  /** The server is stopping or does not lead: what is asked next goes to the next address. */
  private leaveServer(connection: Connection | null): void {
    // Of many calls that hear of it, the first acts; the others would drop the connection that followed.
    if (connection === null || connection !== this.connection) return;
    this.connection = null;
    this.leaving.add(connection);
    this.dialer.skipAddress();
    connection.drain();
  }

  private expire(call: AnyCall): void {
    const connection = call.state === "sent" ? call.connection : null;
    this.giveUp(call, this.expiry(call));
    if (connection === null) return;
    const silentMs = performance.now() - Math.max(call.sentMs, connection.lastReceivedMs);
    if (silentMs < this.options.connectTimeoutMs) return;
    // For so long not one byte, though it owed an answer: the peer may be gone without a word.
    connection.close(new CapstanError("connection", `${connection.address.text}: the server is silent`));
  }

  private expiry(call: AnyCall): CapstanError {
    const limit = `within ${Math.round(call.deadlineMs - call.startedMs)} ms`;
    if (call.operation.kind !== "read" && (call.state === "sent" || call.isDoubtful)) {
      return outcomeUnknown(`no answer ${limit}`, this.lastFailure ?? undefined);
    }
    if (this.connection === null && this.lastFailure !== null && call.state === "waiting") {
      return new CapstanError("connection", `no server ${limit}: ${this.lastFailure.message}`, {
        cause: this.lastFailure,
      });
    }
    return new CapstanError("deadlineExceeded", `no answer ${limit}`);
  }

  /** Ends a call without its answer. */
  private giveUp(call: AnyCall, error: CapstanError): void {
    if (call.state === "done") return;
    if (call.state === "sent") call.connection?.cancel(call.question, call);
    call.session?.lost(call.sequence);
    this.ended(call);
    call.fail(error);
    // Nobody may want a connection any more, or the first of the line may have been in the way.
    this.pump();
  }

  private ended(call: AnyCall): void {
    call.session?.answered(call.sequence);
    this.live.delete(call);
    if (this.live.size > 0) return;
    this.setRef();
    this.deadlines.clear();
    this.whenEmpty?.();
  }

  private isClosingFetch(call: AnyCall): boolean {
    return this.isClosing && call.operation.kind === "fetch";
  }

  /** While nothing is outstanding, neither the socket nor a pause keeps the process alive. */
  private setRef(): void {
    const isNeeded = this.live.size > 0 || this.connectWaiters.size > 0;
    const holders = [this.dialer, this.connection, ...this.leaving];
    for (const holder of holders) {
      if (isNeeded) holder?.ref();
      else holder?.unref();
    }
  }

  private settleConnects(error: CapstanError): void {
    for (const waiter of this.connectWaiters) waiter.reject(error);
    this.connectWaiters.clear();
  }
}

function clientClosed(): CapstanError {
  return new CapstanError("closed", "the client was closed");
}

function canceled(reason: unknown): CapstanError {
  return new CapstanError("canceled", "the caller gave the call up", { cause: reason });
}

/** A refusal for now says nothing about the time before, when the answer was lost. */
function honest(call: AnyCall, error: CapstanError): CapstanError {
  return call.isDoubtful && error.retryable ? outcomeUnknown(error.message, error) : error;
}

function outcomeUnknown(what: string, cause?: unknown): CapstanError {
  return new CapstanError("unknown", `${what}; it may or may not have been carried out`, { cause });
}
