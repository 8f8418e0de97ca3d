// Owns: one socket to one server: its frames in and out, the table of questions, the capability of the bootstrap. It
// never retries, knows no session, and whatever bytes the server sends, nothing is thrown past it: a fault ends the
// connection. Made and called by the link.
//
//   connecting ──▶ greeting (bootstrap, and serverInfo on its promised answer) ──▶ open ──▶ closed
//                                                                                   └── drain() ──▶ closed when empty
//
//   question     free ──send──▶ asked ──Return──▶ Finish, free
//                               asked ──cancel──▶ Finish, canceled ──Return──▶ free

import { connect, type Socket } from "node:net";
import type { Address } from "./address.js";
import { CapstanError, protocolFault } from "./errors.js";
import { serverInfo } from "./operations.js";
import type { ServerInfo } from "./types.js";
import { readMessage } from "./wire/decode.js";
import { readAbort, readBootstrap, writeAbort, writeBootstrap } from "./wire/library.js";
import { type FrameMemory, MessageReader, type StructView } from "./wire/reader.js";
import { type CallTarget, writeFinish } from "./wire/rpc.js";
import { FrameSplitter } from "./wire/splitter.js";
import { FrameWriter } from "./wire/writer.js";

/** The server reads no further at 1,024. */
export const outstandingMax = 1_000;
const unsentBytesMax = 16 << 20;
/** More than this is not held back until the turn's end. */
const corkedBytesMax = 256 << 10;
const keepAliveMs = 30_000;

export interface OutgoingCall {
  /** Writes the whole frame. */
  encode(writer: FrameWriter, question: number, target: CallTarget): void;
  /** Throws only a `protocol` fault, after it has settled itself. */
  returned(reader: MessageReader, outcome: StructView): void;
}

export interface ConnectionEvents {
  /** Room for more calls, or an answer after which there is. */
  room(connection: Connection): void;
  /** `unanswered` were sent and have no answer. Called once. */
  closed(connection: Connection, error: CapstanError, unanswered: readonly OutgoingCall[]): void;
}

interface Question {
  readonly call: OutgoingCall;
  isCanceled: boolean;
}

export interface Greeting {
  readonly connectTimeoutMs: number;
  readonly wantsInfo: boolean;
}

export class Connection {
  readonly address: Address;
  /** Answers received at all; 0: nothing proves yet that the server works. */
  answers = 0;
  lastReceivedMs = 0;
  private readonly socket: Socket;
  private readonly events: ConnectionEvents;
  private readonly writer = new FrameWriter();
  private readonly splitter = new FrameSplitter();
  private readonly questions: (Question | null)[] = [];
  private readonly freeQuestions: number[] = [];
  private target: CallTarget = { question: 0 };
  private asked = 0;
  private flushDue: FlushWhen = "none";
  private isClosed = false;
  private isDraining = false;

  private constructor(address: Address, events: ConnectionEvents) {
    this.address = address;
    this.events = events;
    this.socket = "path" in address ? connect(address.path) : connect(address.port, address.host);
    this.socket.setNoDelay(true);
    this.socket.setKeepAlive(true, keepAliveMs);
    this.socket.on("data", (chunk) => this.received(chunk));
    this.socket.on("drain", () => events.room(this));
    this.socket.on("error", (error) => this.close(unreachable(address, error.message, error)));
    this.socket.on("close", () => this.close(unreachable(address, "the server closed the connection")));
  }

  /** Connects and greets. Rejects with `connection`, `protocol` or what the server answered; then nothing is left. */
  static async open(
    address: Address,
    events: ConnectionEvents,
    greeting: Greeting,
  ): Promise<{ connection: Connection; info: ServerInfo | null }> {
    const opening: Opening = { connection: null, fail: () => {} };
    const connection = new Connection(address, {
      room: (from) => opening.connection && events.room(from),
      closed: (from, error, unanswered) =>
        opening.connection ? events.closed(from, error, unanswered) : opening.fail(error),
    });
    const timer = setTimeout(() => {
      connection.close(unreachable(address, `no answer within ${greeting.connectTimeoutMs} ms`));
    }, greeting.connectTimeoutMs);
    try {
      const info = await new Promise<ServerInfo | null>((resolve, reject) => {
        opening.fail = reject;
        connection.greet(greeting.wantsInfo, resolve, reject);
      });
      // From here on the owner hears of the end; between the answer and this line it may have come already.
      if (connection.isClosed) throw unreachable(address, "the server closed the connection");
      opening.connection = connection;
      return { connection, info };
    } catch (error) {
      connection.close(error instanceof CapstanError ? error : protocolFault(String(error)));
      throw error;
    } finally {
      clearTimeout(timer);
    }
  }

  get outstanding(): number {
    return this.asked;
  }

  get isUsable(): boolean {
    return !this.isClosed && !this.isDraining;
  }

  get isFull(): boolean {
    return this.asked >= outstandingMax || this.socket.writableLength + this.writer.length > unsentBytesMax;
  }

  /** Encodes the call and sends it with the others of this turn. Returns its question; throws what encoding throws. */
  send(call: OutgoingCall): number {
    const question = this.freeQuestions.pop() ?? this.questions.length;
    try {
      call.encode(this.writer, question, this.target);
    } catch (error) {
      this.writer.drop();
      if (question < this.questions.length) this.freeQuestions.push(question);
      throw error;
    }
    this.questions[question] = { call, isCanceled: false };
    this.asked++;
    if (this.writer.length > corkedBytesMax) this.flush();
    else this.flushSoon("tick");
    return question;
  }

  /** Tells the server that nobody waits for the answer any more; a parked fetch leaves its queue at once. */
  cancel(question: number, call: OutgoingCall): void {
    const asked = this.questions[question];
    if (this.isClosed || asked?.call !== call || asked.isCanceled) return;
    asked.isCanceled = true;
    writeFinish(this.writer, question, false);
    this.flushSoon("tick");
  }

  ref(): void {
    this.socket.ref();
  }

  unref(): void {
    this.socket.unref();
  }

  /** No more calls; closes when those outstanding are answered. */
  drain(): void {
    this.isDraining = true;
    if (this.asked === 0) this.end();
  }

  /** What was written still leaves. */
  end(): void {
    if (this.isClosed) return;
    this.flush();
    this.socket.end();
    this.close(unreachable(this.address, "the client closed the connection"), true);
  }

  close(error: CapstanError, isGraceful = false): void {
    if (this.isClosed) return;
    this.isClosed = true;
    if (isGraceful) this.socket.destroySoon();
    else this.socket.destroy();
    const unanswered = this.questions.flatMap((question) => (question && !question.isCanceled ? [question.call] : []));
    this.questions.length = 0;
    this.events.closed(this, error, unanswered);
  }

  private greet(
    wantsInfo: boolean,
    done: (info: ServerInfo | null) => void,
    fail: (error: CapstanError) => void,
  ): void {
    let awaited = wantsInfo ? 2 : 1;
    let found: ServerInfo | null = null;
    const answered = () => {
      awaited--;
      if (awaited === 0) done(found);
    };
    const bootstrap: OutgoingCall = {
      encode: () => {},
      returned: (reader) => {
        this.target = { importedCap: readBootstrap(reader) };
        answered();
      },
    };
    const asking = infoCall((info) => {
      found = info;
      answered();
    }, fail);
    // Both go out with the first packet: the call is on the capability that the bootstrap will give.
    this.questions.push({ call: bootstrap, isCanceled: false });
    this.asked++;
    writeBootstrap(this.writer, 0);
    if (wantsInfo) this.send(asking);
    this.flushSoon("tick");
  }

  private received(chunk: Buffer): void {
    this.lastReceivedMs = performance.now();
    try {
      this.splitter.push(chunk, this.takeFrame);
    } catch (error) {
      // Whatever it is, the bytes of the server led to it.
      const fault = error instanceof CapstanError ? error : protocolFault(String(error));
      this.fault(this.answers === 0 && fault.code === "protocol" ? stranger(this.address, fault) : fault);
    }
    if (!this.isClosed) this.events.room(this);
  }

  private readonly takeFrame = (memory: FrameMemory, from: number, to: number): void => {
    if (this.isClosed) return;
    const reader = new MessageReader(memory, from, to);
    const message = readMessage(reader);
    switch (message.kind) {
      case "return":
        this.returned(reader, message.question, message.outcome);
        return;
      case "abort":
        this.close(new CapstanError("protocol", `the server ended the connection: ${readAbort(reader)}`));
        return;
      case "unexpected":
        throw protocolFault(`a message of kind ${message.number}`);
    }
  };

  private returned(reader: MessageReader, number: number, outcome: StructView): void {
    const question = this.questions[number];
    if (!question) throw protocolFault("an answer to nothing that was asked");
    this.questions[number] = null;
    this.freeQuestions.push(number);
    this.asked--;
    this.answers++;
    if (!question.isCanceled) {
      writeFinish(this.writer, number, number === 0 && "question" in this.target);
      // Calls that follow from this answer come before the immediate, and take it along.
      this.flushSoon("immediate");
    }
    question.call.returned(reader, outcome);
    if (this.isDraining && this.asked === 0) this.end();
  }

  private fault(error: CapstanError): void {
    if (this.isClosed) return;
    const isViolation = error.code === "protocol";
    if (isViolation) {
      writeAbort(this.writer, error.message);
      this.flush();
    }
    this.close(error, isViolation);
  }

  private flushSoon(when: FlushWhen): void {
    if (this.flushDue === when || this.flushDue === "tick") return;
    this.flushDue = when;
    if (when === "tick") process.nextTick(() => this.flush());
    else setImmediate(() => this.flush());
  }

  private flush(): void {
    this.flushDue = "none";
    if (this.writer.length === 0 || this.isClosed) return;
    const bytes = this.writer.take();
    this.socket.write(bytes, () => this.writer.recycle(bytes));
  }
}

/** At the end of this turn, or after the callbacks that this turn's answers lead to. */
type FlushWhen = "none" | "immediate" | "tick";

interface Opening {
  connection: Connection | null;
  fail: (error: CapstanError) => void;
}

function infoCall(done: (info: ServerInfo | null) => void, fail: (error: CapstanError) => void): OutgoingCall {
  const operation = serverInfo();
  return {
    encode: (writer, question, target) => operation.encode({ writer, question, target }, null, 0),
    returned: (reader, outcome) => {
      try {
        done(operation.decode(reader, outcome));
      } catch (error) {
        const failure = error instanceof CapstanError ? error : protocolFault(String(error));
        // An older interface answers nothing about itself; whether that will do is the owner's to say.
        if (failure.code === "unsupported") done(null);
        else fail(failure);
        if (failure.code === "protocol") throw failure;
      }
    },
  };
}

/** What it said first cannot be read: most likely something else listens there. */
function stranger(address: Address, fault: CapstanError): CapstanError {
  const what = "what answers does not speak Cap'n Proto RPC; is this Capstan's RPC address?";
  return new CapstanError("protocol", `${address.text}: ${what} (${fault.message})`, { cause: fault });
}

function unreachable(address: Address, what: string, cause?: unknown): CapstanError {
  return new CapstanError("connection", `${address.text}: ${what}`, { cause });
}
