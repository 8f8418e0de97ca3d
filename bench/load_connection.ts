// One raw socket to a server under load: sends prepared calls, hands each answer to the call that asked, once a chunk.
// Owns the socket and the numbers of its questions. It never retries and never reconnects: whatever goes wrong ends the
// run, since a result with a fault in it is no result. Called by the questions and run.ts.

import { once } from "node:events";
import { connect as connectSocket, type Socket } from "node:net";
import { type Answer, frameBytes, readAnswer, response, type StructView } from "./answers.js";
import { bootstrapFrame, finishFrame, type Target } from "./frames.js";

/** Of several small calls of one turn; more goes to the socket as it lies. */
const joinedBytesMax = 64 << 10;
const connectMsMax = 10_000;

/** A call that can be sent again and again, each time after its answer came. */
export class Call {
  sentMs = 0;
  private isOpen = false;
  private wasSent = false;
  private readonly bytes: Buffer;
  private readonly frameAt: number;

  constructor(
    question: number,
    frame: Buffer,
    readonly answered: (response: StructView) => void,
  ) {
    // From the second time on, the question's last answer is given up first: its number is then free.
    const finish = finishFrame(question);
    this.bytes = Buffer.concat([finish, frame]);
    this.frameAt = finish.length;
  }

  /** To be changed only while no answer is awaited: until then the socket may still read it. */
  get frame(): Buffer {
    return this.bytes.subarray(this.frameAt);
  }

  opened(): Buffer {
    if (this.isOpen) throw new Error("a call was sent again before its answer came");
    this.isOpen = true;
    const bytes = this.wasSent ? this.bytes : this.frame;
    this.wasSent = true;
    this.sentMs = performance.now();
    return bytes;
  }

  closed(): void {
    if (!this.isOpen) throw new Error("an answer came that nobody asked for");
    this.isOpen = false;
  }
}

export class LoadConnection {
  /** Rejects when the connection fails; never resolves. */
  readonly failed: Promise<never>;
  private capability = 0;
  private readonly calls: (Call | undefined)[] = [undefined];
  private outgoing: Buffer[] = [];
  private isReading = false;
  private isClosed = false;
  private rest: Buffer | undefined;
  private bootstrapped: (answer: Answer) => void = () => {};
  private fail: (error: Error) => void = () => {};

  private constructor(private readonly socket: Socket) {
    this.failed = new Promise((_, reject) => {
      this.fail = reject;
    });
    this.failed.catch(() => {});
    socket.setNoDelay(true);
    socket.on("error", (error) => this.fail(error));
    socket.on("close", () => {
      if (!this.isClosed) this.fail(new Error("the server closed the connection"));
    });
    socket.on("data", (chunk: Buffer) => {
      try {
        this.takeChunk(chunk);
      } catch (error) {
        this.fail(error as Error);
        socket.destroy();
      }
    });
  }

  static async open(address: string): Promise<LoadConnection> {
    const socket = connectSocket(socketOptions(address));
    await once(socket, "connect", { signal: AbortSignal.timeout(connectMsMax) });
    const connection = new LoadConnection(socket);
    const answer = new Promise<Answer>((resolve) => {
      connection.bootstrapped = resolve;
    });
    socket.write(bootstrapFrame(0));
    connection.capability = (await Promise.race([answer, connection.failed])).capability;
    return connection;
  }

  /** Makes a call with a question number of its own. */
  prepare(frame: (target: Target) => Buffer, answered: (response: StructView) => void): Call {
    const question = this.calls.length;
    const call = new Call(question, frame({ question, capability: this.capability }), answered);
    this.calls.push(call);
    return call;
  }

  /** The calls of one turn of the event loop go out in one write. */
  send(call: Call): void {
    if (this.outgoing.length === 0 && !this.isReading) queueMicrotask(() => this.flush());
    this.outgoing.push(call.opened());
  }

  /** One call and its answer; whatever is read of it must be read at once. */
  ask<T>(frame: (target: Target) => Buffer, read: (response: StructView) => T): Promise<T> {
    const answer = new Promise<T>((resolve) => {
      this.send(this.prepare(frame, (resp) => resolve(read(resp))));
    });
    return Promise.race([answer, this.failed]);
  }

  close(): void {
    this.isClosed = true;
    this.socket.destroy();
  }

  private takeChunk(chunk: Buffer): void {
    const bytes = this.rest === undefined ? chunk : Buffer.concat([this.rest, chunk]);
    let start = 0;
    this.isReading = true;
    for (;;) {
      const length = frameBytes(bytes, start);
      if (length === 0 || start + length > bytes.length) break;
      const answer = readAnswer(bytes, start);
      if (answer !== undefined) this.takeAnswer(answer);
      start += length;
    }
    this.isReading = false;
    this.rest = start === bytes.length ? undefined : bytes.subarray(start);
    this.flush();
  }

  private takeAnswer(answer: Answer): void {
    if (answer.question === 0) {
      this.bootstrapped(answer);
      return;
    }
    const call = this.calls[answer.question];
    if (call === undefined) throw new Error(`an answer to question ${answer.question}, which was never asked`);
    call.closed();
    call.answered(response(answer));
  }

  private flush(): void {
    const buffers = this.outgoing;
    if (buffers.length === 0 || this.isClosed) return;
    this.outgoing = [];
    const [only] = buffers;
    if (buffers.length === 1 && only !== undefined) {
      this.socket.write(only);
    } else if (buffers.reduce((sum, buffer) => sum + buffer.length, 0) <= joinedBytesMax) {
      this.socket.write(Buffer.concat(buffers));
    } else {
      this.socket.cork();
      for (const buffer of buffers) this.socket.write(buffer);
      this.socket.uncork();
    }
  }
}

function socketOptions(address: string): { path: string } | { host: string; port: number } {
  if (address.startsWith("unix:")) return { path: address.slice("unix:".length) };
  const at = address.lastIndexOf(":");
  return { host: address.slice(0, at).replace(/^\[(.*)\]$/, "$1"), port: Number(address.slice(at + 1)) };
}
