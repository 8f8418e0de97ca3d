// Owns: a small Cap'n Proto server for tests of the client, on a loopback or Unix socket: it reads frames and writes
// answers with the library's messages, and a test says what each call is answered. It answers by itself only what every
// client asks first: the bootstrap, serverInfo and the opening and closing of sessions. Never part of the product.

import { once } from "node:events";
import { type AddressInfo, createServer, type Server, type Socket } from "node:net";
import * as capnp from "capnp-ts";
import * as rpc from "capnp-ts/src/std/rpc.capnp.js";
import {
  CloseSessionRequest,
  OpenSessionResponse,
  type RequestId,
  ServerInfoResponse,
  type Status,
  StatusResponse,
} from "../../src/generated/capstan.capnp.js";
import { ErrorCode, type ErrorName } from "../../src/generated/error_codes.js";
import { JobQueue, type JobQueueMethod } from "../../src/generated/protocol.js";

/** The implicit struct of a method's parameters or results: one pointer. */
class Wrapper extends capnp.Struct {
  static override readonly _capnp = { displayName: "Wrapper", id: "0", size: new capnp.ObjectSize(0, 1) };
}

export interface WithStatus {
  initStatus(): Status;
}

const methodNames = Object.keys(JobQueue.methods) as JobQueueMethod[];
const bootstrapExport = 7;

export class ReceivedCall {
  readonly connection: ServerConnection;
  readonly question: number;
  readonly method: JobQueueMethod;
  readonly isPipelined: boolean;
  private readonly params: Wrapper;

  constructor(connection: ServerConnection, call: rpc.Call) {
    this.connection = connection;
    this.question = call.getQuestionId();
    this.method = methodNames[call.getMethodId()] as JobQueueMethod;
    this.isPipelined = call.getTarget().which() === rpc.MessageTarget.PROMISED_ANSWER;
    this.params = capnp.Struct.getStruct(0, Wrapper, call.getParams());
  }

  request<T extends capnp.Struct>(type: capnp.StructCtor<T>): T {
    return capnp.Struct.getStruct(0, type, this.params);
  }

  /** Of any request whose first field is a RequestId. */
  id<T extends capnp.Struct & { getRequest(): RequestId }>(type: capnp.StructCtor<T>): RequestId {
    return this.request(type).getRequest();
  }

  respond<T extends capnp.Struct>(type: capnp.StructCtor<T>, fill: (response: T) => void): void {
    this.connection.send(returnFrame(this.question, type, fill));
  }

  refuse<T extends capnp.Struct & WithStatus>(type: capnp.StructCtor<T>, code: ErrorName, retryAfterMs = 0): void {
    this.respond(type, (response) => {
      const status = response.initStatus();
      status.setCode(ErrorCode[code]);
      status.setRetryAfterMs(retryAfterMs);
      status.setMessage(`refused as ${code}`);
    });
  }

  raise(reason: string, type: rpc.Exception_Type): void {
    const message = new capnp.Message();
    const answer = message.initRoot(rpc.Message).initReturn();
    answer.setAnswerId(this.question);
    const exception = answer.initException();
    exception.setReason(reason);
    exception.setType(type);
    this.connection.send(Buffer.from(message.toArrayBuffer()));
  }

  canceled(): void {
    const message = new capnp.Message();
    const answer = message.initRoot(rpc.Message).initReturn();
    answer.setAnswerId(this.question);
    answer.setCanceled();
    this.connection.send(Buffer.from(message.toArrayBuffer()));
  }
}

export class ServerConnection {
  readonly socket: Socket;
  /** Questions that the client finished, in order. */
  readonly finished: number[] = [];
  readonly chunks: Buffer[] = [];
  aborted: string | null = null;
  private readonly server: RpcServer;
  private rest = Buffer.alloc(0);

  constructor(server: RpcServer, socket: Socket) {
    this.server = server;
    this.socket = socket;
    socket.on("data", (chunk) => this.received(chunk));
    socket.on("error", () => {});
    socket.on("close", () => server.changed());
  }

  send(bytes: Uint8Array): void {
    this.socket.write(bytes);
  }

  destroy(): void {
    this.socket.destroy();
  }

  private received(chunk: Buffer): void {
    this.chunks.push(chunk);
    this.rest = Buffer.concat([this.rest, chunk]);
    while (this.rest.length >= 8) {
      const bytes = 8 + this.rest.readUInt32LE(4) * 8;
      if (this.rest.length < bytes) break;
      const frame = this.rest.subarray(0, bytes);
      this.rest = this.rest.subarray(bytes);
      this.frame(frame);
    }
    this.server.changed();
  }

  private frame(frame: Buffer): void {
    const root = new capnp.Message(frame, false).getRoot(rpc.Message);
    switch (root.which()) {
      case rpc.Message.BOOTSTRAP:
        if (this.server.greets) this.send(bootstrapFrame(root.getBootstrap().getQuestionId()));
        break;
      case rpc.Message.CALL:
        this.server.called(new ReceivedCall(this, root.getCall()));
        break;
      case rpc.Message.FINISH:
        this.finished.push(root.getFinish().getQuestionId());
        break;
      case rpc.Message.ABORT:
        this.aborted = root.getAbort().getReason();
        break;
    }
  }
}

export class RpcServer {
  clusterId = "11".repeat(16);
  greets = true;
  /** Answers calls as they come; those that it leaves (returns false) wait for `next`. */
  handler: (call: ReceivedCall) => boolean = () => false;
  readonly connections: ServerConnection[] = [];
  sessionsOpened = 0;
  readonly sessionsClosed: bigint[] = [];
  private readonly server: Server;
  private readonly calls: ReceivedCall[] = [];
  private watchers: (() => void)[] = [];

  private constructor() {
    this.server = createServer((socket) => {
      this.connections.push(new ServerConnection(this, socket));
      this.changed();
    });
  }

  static async listen(path?: string): Promise<RpcServer> {
    const server = new RpcServer();
    if (path === undefined) server.server.listen(0, "127.0.0.1");
    else server.server.listen(path);
    await once(server.server, "listening");
    return server;
  }

  get address(): string {
    const address = this.server.address() as AddressInfo | string;
    return typeof address === "string" ? `unix:${address}` : `127.0.0.1:${address.port}`;
  }

  /** The next call that nobody answered yet. */
  async next(method?: JobQueueMethod): Promise<ReceivedCall> {
    await this.until(() => this.calls.some((call) => method === undefined || call.method === method));
    const index = this.calls.findIndex((call) => method === undefined || call.method === method);
    return this.calls.splice(index, 1)[0] as ReceivedCall;
  }

  get unansweredCount(): number {
    return this.calls.length;
  }

  async until(isMet: () => boolean): Promise<void> {
    while (!isMet()) {
      await new Promise<void>((resolve) => {
        this.watchers.push(resolve);
      });
    }
  }

  async close(): Promise<void> {
    for (const connection of this.connections) connection.destroy();
    this.server.close();
    await once(this.server, "close");
  }

  changed(): void {
    const watchers = this.watchers;
    this.watchers = [];
    for (const watcher of watchers) watcher();
  }

  called(call: ReceivedCall): void {
    if (this.handler(call)) return;
    switch (call.method) {
      case "serverInfo":
        call.respond(ServerInfoResponse, (response) => {
          response.setVersion("test");
          setData(response.initClusterId(16), Buffer.from(this.clusterId, "hex"));
          response.setNodeId(1n);
          response.setTerm(3n);
        });
        return;
      case "openSession":
        this.sessionsOpened++;
        call.respond(OpenSessionResponse, (response) => {
          response.setSession(BigInt(100 + this.sessionsOpened));
          response.setKeepMs(600_000n);
        });
        return;
      case "closeSession":
        this.sessionsClosed.push(call.request(CloseSessionRequest).getSession());
        call.respond(StatusResponse, () => {});
        return;
      default:
        this.calls.push(call);
        this.changed();
    }
  }
}

export function setData(to: capnp.Data, bytes: Uint8Array): void {
  to.copyBuffer(bytes);
}

export function returnFrame<T extends capnp.Struct>(
  question: number,
  type: capnp.StructCtor<T>,
  fill: (response: T) => void,
): Buffer {
  const message = new capnp.Message();
  const answer = message.initRoot(rpc.Message).initReturn();
  answer.setAnswerId(question);
  const results = capnp.Struct.initStructAt(0, Wrapper, answer.initResults());
  fill(capnp.Struct.initStructAt(0, type, results));
  return Buffer.from(message.toArrayBuffer());
}

/** A call as the library writes it. */
export function callFrame<T extends capnp.Struct>(
  question: number,
  target: { readonly importedCap: number } | { readonly question: number },
  method: JobQueueMethod,
  type: capnp.StructCtor<T>,
  fill: (request: T) => void,
): Buffer {
  const message = new capnp.Message();
  const call = message.initRoot(rpc.Message).initCall();
  call.setQuestionId(question);
  call.setMethodId(JobQueue.methods[method]);
  call.setInterfaceId(JobQueue.interfaceId);
  const to = call.initTarget();
  if ("importedCap" in target) to.setImportedCap(target.importedCap);
  else to.initPromisedAnswer().setQuestionId(target.question);
  const params = capnp.Struct.initStructAt(0, Wrapper, call.initParams());
  fill(capnp.Struct.initStructAt(0, type, params));
  return Buffer.from(message.toArrayBuffer());
}

function bootstrapFrame(question: number): Buffer {
  const message = new capnp.Message();
  const answer = message.initRoot(rpc.Message).initReturn();
  answer.setAnswerId(question);
  const payload = answer.initResults();
  // The content is capability 0 of the table: an interface pointer.
  const pointer = payload.getContent();
  pointer.segment.setUint32(pointer.byteOffset, 3);
  pointer.segment.setUint32(pointer.byteOffset + 4, 0);
  payload.initCapTable(1).get(0).setSenderHosted(bootstrapExport);
  return Buffer.from(message.toArrayBuffer());
}
