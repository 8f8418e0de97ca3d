// One listener worker: wires sockets, router, coalescer and apply loop to the addon, and takes their turns. Owns the
// turn: what is done when, once for each round of the event loop. Never runs in the main thread; listener_thread.ts
// starts it there, unit tests with an addon of their own.
//
//   sockets readable ─▶ receive, route ─┐
//   doorbell ───────────────────────────┼─▶ turn: flush ▶ collect and write ▶ flush
//   deadlines, drained sockets ─────────┘     (in the check phase, so that all that was readable goes together)

import { unreachable } from "../assert.js";
import type { Clock } from "../clock.js";
import type { Config } from "../config.js";
import { EventKind, eventWords } from "../generated/boundary.js";
import type { Logger } from "../log.js";
import { RepeatLimiter } from "../log.js";
import type { Native } from "../native.js";
import { Connections } from "../rpc/connections.js";
import { type Slab, SlabPool } from "../rpc/slab_pool.js";
import { ApplyLoop } from "../server/apply_loop.js";
import { Fetches } from "../server/fetches.js";
import { codecLimits } from "../server/limits.js";
import { MemoryBudget } from "../server/memory_budget.js";
import { Router } from "../server/router.js";
import { isPackedListener } from "./addresses.js";

export interface ListenerWorkerOptions {
  native: Native;
  config: Config;
  version: string;
  clock: Clock;
  log: Logger;
  budget: SharedArrayBuffer;
  requestBytesMax: number;
  /** Called once a second while the event loop turns. */
  alive: () => void;
  stateChanged: (bits: number) => void;
  /** After `stop`: no connection is left and the addon has let go. */
  stopped: () => void;
}

/** Records of events that one call of `collect` may give. */
const eventsMax = 4096;

/** Slabs filled in one turn; then sockets are read again. */
const turnSlabsMax = 8;

const sweepMs = 1000;

export class ListenerWorker {
  private readonly options: ListenerWorkerOptions;
  private readonly worker: number;
  private readonly budget: MemoryBudget;
  private readonly slabs: SlabPool;
  private readonly fetches: Fetches;
  private readonly applyLoop: ApplyLoop;
  private readonly router: Router;
  private readonly connections: Connections;
  private readonly events = new Uint32Array(eventsMax * eventWords);
  private readonly repeats: RepeatLimiter;
  private readonly sweeper: NodeJS.Timeout;
  private turnIsDue = false;
  private isStopping = false;
  private isClosed = false;

  private readonly wakeTurn = (): void => {
    if (this.turnIsDue || this.isClosed) return;
    this.turnIsDue = true;
    setImmediate(this.turn);
  };

  constructor(options: ListenerWorkerOptions) {
    this.options = options;
    const { native, config, clock } = options;
    this.worker = native.workerOpen(codecLimits(config), this.wakeTurn);
    this.budget = new MemoryBudget(options.budget, options.requestBytesMax);
    this.slabs = new SlabPool(config.slabBytes, config.slabsMax);
    this.repeats = new RepeatLimiter(clock);
    const common = { native, worker: this.worker, clock, budget: this.budget, wakeTurn: this.wakeTurn };
    this.fetches = new Fetches({ ...common, fetchesMax: config.parkedMax });
    this.applyLoop = new ApplyLoop({
      ...common,
      fetches: this.fetches,
      inflightMax: config.inflightMax,
      entryBytesMax: config.entryBytesMax,
      entryCommandsMax: config.entryCommandsMax,
      entryJobsMax: config.entryJobsMax,
      writesMax: config.writesWaitingMax,
      flushWindowMs: config.flushWindowMs,
    });
    this.router = new Router({
      ...common,
      applyLoop: this.applyLoop,
      fetches: this.fetches,
      version: options.version,
    });
    this.connections = new Connections({
      ...common,
      router: this.router,
      slabs: this.slabs,
      readBufferBytes: config.readBufferBytes,
      callsOutstandingMax: config.callsOutstandingMax,
      unsentBytesMax: config.unsentBytesMax,
      deafTimeoutMs: config.deafTimeoutMs,
      frameTimeoutMs: config.frameTimeoutMs,
      keepAliveMs: config.keepAliveMs,
      emptied: () => this.close(),
      cut: (reason) =>
        this.repeats.limit(reason, (leftOut) => options.log.info({ reason, leftOut }, "closed a client's connection")),
    });
    this.sweeper = setInterval(() => {
      this.connections.sweep();
      // Memory that other workers gave back may be what a fetch waits for.
      if (this.applyLoop.waiting > 0) this.wakeTurn();
      options.alive();
    }, sweepMs);
    // The thread lives by its sockets and by the port to the main thread.
    this.sweeper.unref();
  }

  get connectionCount(): number {
    return this.connections.count;
  }

  /** Ends parked fetches, answers what is under way, refuses what still comes, then closes the connections. */
  stop(): void {
    if (this.isStopping) return;
    this.isStopping = true;
    this.router.stop();
    this.fetches.stop();
    this.connections.stop();
    this.wakeTurn();
  }

  /** Ends all connections at once. */
  cut(): void {
    if (this.isClosed) return;
    this.stop();
    this.connections.destroy();
  }

  private readonly turn = (): void => {
    this.turnIsDue = false;
    if (this.isClosed) return;
    this.applyLoop.flush();
    const isMore = this.collect();
    if (this.isClosed) return;
    // What the events freed or woke goes now, not with the next chunk.
    this.applyLoop.flush();
    if (isMore || this.options.native.moreToCollect(this.worker)) this.wakeTurn();
  };

  /** Takes what the addon has ready; true when there may be more. */
  private collect(): boolean {
    const { native } = this.options;
    for (let round = 0; round < turnSlabsMax; round++) {
      const slab = this.slabs.take();
      const count = native.collect(this.worker, slab.bytes, this.events);
      for (let at = 0; at < count * eventWords; at += eventWords) this.handle(at, slab);
      slab.written();
      if (this.isClosed || !native.moreToCollect(this.worker)) return false;
    }
    return true;
  }

  private handle(at: number, slab: Slab): void {
    const { events } = this;
    const first = events[at + 1] as number;
    const second = events[at + 2] as number;
    switch (events[at]) {
      case EventKind.write:
        this.budget.give(events[at + 5] as number);
        this.connections.write(first, slab, second, events[at + 3] as number, events[at + 4] as number);
        break;
      case EventKind.entryDone:
        this.applyLoop.entryDone(first);
        break;
      case EventKind.empty:
        this.fetches.empty(first);
        break;
      case EventKind.wake:
        this.fetches.wake(first);
        break;
      case EventKind.dropped:
        this.fetches.dropped(first);
        this.budget.give(second);
        this.connections.dropped(events[at + 3] as number);
        break;
      case EventKind.accepted:
        this.connections.accept(first, isPackedListener(second));
        break;
      case EventKind.close:
        this.connections.end(first);
        break;
      case EventKind.state:
        this.options.stateChanged(first);
        break;
      default:
        unreachable("the addon told an event that this build does not know", { kind: events[at] });
    }
  }

  private close(): void {
    if (this.isClosed) return;
    this.isClosed = true;
    clearInterval(this.sweeper);
    this.fetches.close();
    this.applyLoop.close();
    this.budget.close();
    this.options.native.workerClose(this.worker);
    this.options.stopped();
  }
}
