// Owns: the finding of a server: addresses in turn, the check of the cluster, back-off after each round that failed. One
// round at a time. It never holds a connection: the link gets each that is good. Made and called by the link.

import { type Address, parseAddress } from "./address.js";
import { Backoff } from "./backoff.js";
import { Connection, type ConnectionEvents } from "./connection.js";
import { CapstanError } from "./errors.js";
import type { BackoffOptions, ServerInfo } from "./types.js";

export interface DialerOptions {
  readonly addresses: readonly string[];
  readonly clusterId: string | undefined;
  readonly connectTimeoutMs: number;
  readonly wantsInfo: boolean;
  readonly backoff: BackoffOptions;
}

export interface DialerEvents extends ConnectionEvents {
  /** Somebody waits for a connection. */
  isWanted(): boolean;
  opened(connection: Connection): void;
  /** A round over all addresses failed; `isFinal`: every server there is of another cluster. */
  failed(error: CapstanError, isFinal: boolean): void;
}

export class Dialer {
  private readonly addresses: readonly Address[];
  private readonly options: DialerOptions;
  private readonly events: DialerEvents;
  readonly backoff: Backoff;
  private next = 0;
  /** The run under way; null: none. */
  private running: object | null = null;
  private isClosed = false;
  /** Connections made since the last answer to a call. */
  private openedSinceAnswer = 0;
  /** The pinned cluster; without an option that of the first server met, since a session belongs to one cluster. */
  private clusterId: string | null;
  private pause: { readonly timer: NodeJS.Timeout; readonly wake: () => void } | null = null;

  constructor(options: DialerOptions, events: DialerEvents) {
    this.options = options;
    this.events = events;
    this.addresses = options.addresses.map(parseAddress);
    this.clusterId = options.clusterId?.toLowerCase() ?? null;
    this.backoff = new Backoff(options.backoff);
  }

  /** Dials until there is a connection or nobody wants one. */
  dial(): void {
    if (this.running !== null || this.isClosed) return;
    const run = {};
    this.running = run;
    this.run().finally(() => {
      if (this.running === run) this.running = null;
    });
  }

  /** The next round begins with the address behind the one in use. */
  skipAddress(): void {
    this.next++;
  }

  /** Ends a pause between two rounds. */
  hurry(): void {
    this.pause?.wake();
  }

  /** An answer came: the server works. */
  proven(): void {
    this.openedSinceAnswer = 0;
    this.backoff.reset();
  }

  close(): void {
    this.isClosed = true;
    this.hurry();
  }

  ref(): void {
    this.pause?.timer.ref();
  }

  unref(): void {
    this.pause?.timer.unref();
  }

  private async run(): Promise<void> {
    let delayMs = this.startDelayMs();
    while (!this.isClosed && this.events.isWanted()) {
      if (delayMs > 0) await this.wait(delayMs);
      if (this.isClosed || !this.events.isWanted()) return;
      const failures: CapstanError[] = [];
      for (let tries = 0; tries < this.addresses.length; tries++) {
        const opened = await this.tryAddress(failures);
        if (this.isClosed) {
          opened?.end();
          return;
        }
        if (opened === null) continue;
        // Cleared before the owner hears of it, so that it may dial anew at once.
        this.running = null;
        this.events.opened(opened);
        return;
      }
      const last = failures.at(-1) as CapstanError;
      delayMs = this.backoff.next();
      this.events.failed(
        last,
        failures.every((failure) => failure.code === "wrongCluster"),
      );
    }
  }

  /** A server that takes connections and drops them is not hammered; the first attempt never waits. */
  private startDelayMs(): number {
    return this.openedSinceAnswer > 0 ? this.backoff.next() : 0;
  }

  private async tryAddress(failures: CapstanError[]): Promise<Connection | null> {
    const address = this.addresses[this.next % this.addresses.length] as Address;
    try {
      const { connection, info } = await Connection.open(address, this.events, this.options);
      const problem = this.clusterProblem(address, info);
      if (problem === null) {
        this.openedSinceAnswer++;
        return connection;
      }
      connection.end();
      throw problem;
    } catch (error) {
      failures.push(error instanceof CapstanError ? error : new CapstanError("connection", String(error)));
      this.next++;
      return null;
    }
  }

  private clusterProblem(address: Address, info: ServerInfo | null): CapstanError | null {
    const found = info?.clusterId ?? "";
    if (this.clusterId === null) {
      if (found !== "") this.clusterId = found;
      return null;
    }
    if (found === this.clusterId) return null;
    const what = found === "" ? "does not say to which cluster it belongs" : `belongs to cluster ${found}`;
    return new CapstanError("wrongCluster", `${address.text} ${what}, not to ${this.clusterId}`);
  }

  private wait(delayMs: number): Promise<void> {
    return new Promise((resolve) => {
      const wake = () => {
        clearTimeout(timer);
        this.pause = null;
        resolve();
      };
      const timer = setTimeout(wake, delayMs);
      this.pause = { timer, wake };
    });
  }
}
