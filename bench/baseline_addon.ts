// The addon as a target of the baseline: the engine in this process, a worker of it on this event loop, and calls handed
// over as the frames that a socket would bring. Owns engine and worker. It uses nothing of the server's TypeScript but the
// settings, so that the addon alone is measured. Called by baseline_side.ts.

import { closeSync } from "node:fs";
import { connect, type Socket } from "node:net";
import { loadConfig } from "../src/config_load.js";
import { CallWord, callWords, EventKind, eventWords } from "../src/generated/boundary.js";
import { layouts } from "../src/generated/layouts.js";
import { probeMachine } from "../src/machine.js";
import { native } from "../src/native.js";
import { codecLimits, engineOptions } from "../src/server/limits.js";
import { type Answer, frameBytes, readAnswer, response } from "./answers.js";
import { baselineSettings } from "./baseline.js";
import type { Target } from "./baseline_side.js";
import { bootstrapFrame, enqueueFrame, finishFrame, getQueueFrame } from "./frames.js";
import { incompressible } from "./payloads.js";

const queue = "baseline";
const eventsMax = 4096;
const slabBytes = 256 << 10;
const callsMax = 64;
/** As the server's own default. */
const inflightMax = 4;

interface Writer {
  readonly connection: number;
  readonly socket: Socket;
  readonly descriptor: number;
  readonly capability: number;
  /** From the second time on, the call's last answer is given up first. */
  readonly finish: Buffer;
  readonly enqueue: Buffer;
  wasSent: boolean;
}

export class AddonTarget implements Target {
  private readonly worker: number;
  private readonly calls = new Uint32Array(callsMax * callWords);
  private readonly events = new Uint32Array(eventsMax * eventWords);
  private readonly slab = Buffer.alloc(slabBytes);
  private readonly waiting: number[] = [];
  private readonly answered = new Map<number, (answer: Answer) => void>();
  private readonly writers: Writer[] = [];
  private inflight = 0;
  private accept: (descriptor: number) => void = () => {};
  private turnIsDue = false;
  private isClosed = false;

  private readonly wakeTurn = (): void => {
    if (this.turnIsDue || this.isClosed) return;
    this.turnIsDue = true;
    setImmediate(this.turn);
  };

  private constructor(limits: ReturnType<typeof codecLimits>) {
    this.worker = native.workerOpen(limits, this.wakeTurn);
  }

  static async open(directory: string): Promise<AddonTarget> {
    const { config } = loadConfig({ flags: {}, environment: {}, machine: probeMachine() });
    await native.engineOpen(engineOptions({ ...config, dataDir: directory }), () => {});
    const target = new AddonTarget(codecLimits(config));
    const { writers, batchJobs, payloadBytes } = baselineSettings;
    const address = native.listen(0, `unix:${directory}.socket`, writers, writers);
    for (let number = 0; number < writers; number++) {
      const { socket, descriptor } = await target.accepted(address);
      const connection = native.connectionOpen(target.worker, false);
      const { capability } = await target.ask(connection, bootstrapFrame(0));
      const { frame } = enqueueFrame({ question: 1, capability }, queue, incompressible(batchJobs, payloadBytes));
      const finish = finishFrame(1);
      const enqueue = Buffer.concat([finish, frame]);
      target.writers.push({ connection, socket, descriptor, capability, finish, enqueue, wasSent: false });
    }
    return target;
  }

  async write(number: number): Promise<void> {
    const writer = this.writers[number]!;
    const chunk = writer.wasSent ? writer.enqueue : writer.enqueue.subarray(writer.finish.length);
    writer.wasSent = true;
    response(await this.ask(writer.connection, chunk));
  }

  async count(): Promise<number> {
    const { connection, capability } = this.writers[0]!;
    const info = response(await this.ask(connection, getQueueFrame({ question: 2, capability }, queue)));
    const found = info.struct(layouts.QueueResponse.fields.queue.offset);
    return found?.uint64(layouts.QueueInfo.fields.ready.offset) ?? 0;
  }

  async close(): Promise<void> {
    this.isClosed = true;
    native.stopListening();
    for (const { connection, socket, descriptor } of this.writers) {
      native.connectionClose(this.worker, connection);
      socket.destroy();
      closeSync(descriptor);
    }
    native.workerClose(this.worker);
    await native.engineClose();
  }

  /** The engine counts the connections that its listener accepted, so each has a socket, over which nothing goes. */
  private async accepted(address: string): Promise<{ socket: Socket; descriptor: number }> {
    const descriptor = new Promise<number>((resolve) => {
      this.accept = resolve;
    });
    const socket = connect(address.slice("unix:".length));
    return { socket, descriptor: await descriptor };
  }

  /** One at a time on a connection. What the answer says must be read before the next turn. */
  private ask(connection: number, chunk: Uint8Array): Promise<Answer> {
    const answer = new Promise<Answer>((resolve) => this.answered.set(connection, resolve));
    const count = native.receive(this.worker, connection, chunk, this.calls);
    for (let at = 0; at < count * callWords; at += callWords) {
      const handle = this.calls[at + CallWord.handle] as number;
      if (this.calls[at + CallWord.class] === 0) this.waiting.push(handle);
      else native.read(this.worker, handle);
    }
    this.wakeTurn();
    return answer;
  }

  private readonly turn = (): void => {
    this.turnIsDue = false;
    if (this.isClosed) return;
    this.flush();
    const count = native.collect(this.worker, this.slab, this.events);
    for (let at = 0; at < count * eventWords; at += eventWords) {
      const first = this.events[at + 1] as number;
      if (this.events[at] === EventKind.entryDone) this.inflight--;
      else if (this.events[at] === EventKind.write) this.takeReply(first, at);
      else if (this.events[at] === EventKind.accepted) this.accept(first);
    }
    this.flush();
    if (native.moreToCollect(this.worker)) this.wakeTurn();
  };

  private flush(): void {
    if (this.waiting.length === 0 || this.inflight >= inflightMax) return;
    const handles = Uint32Array.from(this.waiting);
    const ticket = native.propose(this.worker, 0, handles, handles.length);
    if (ticket < 0) throw new Error(`an entry was refused with ${-ticket}`);
    this.waiting.length = 0;
    if (ticket > 0) this.inflight++;
  }

  private takeReply(connection: number, at: number): void {
    const offset = this.events[at + 2] as number;
    const bytes = Buffer.from(this.slab.subarray(offset, offset + (this.events[at + 3] as number)));
    for (let start = 0; start < bytes.length; ) {
      const length = frameBytes(bytes, start);
      const answer = readAnswer(bytes, start);
      if (answer !== undefined) this.answered.get(connection)?.(answer);
      start += length;
    }
  }
}
