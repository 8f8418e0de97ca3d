// What a client is told when a limit of the server is reached: busy with a hint, a closed connection, or silence until there
// is room; and that there is room again afterwards. Owns a server for each limit.

import assert from "node:assert/strict";
import { afterEach, describe, it } from "node:test";
import { CapstanClient, CapstanError } from "../../src/client/index.js";
import { EnqueueRequest, FetchRequest, ServerInfoRequest } from "../../src/generated/capstan.capnp.js";
import { ErrorCode } from "../../src/generated/error_codes.js";
import { callFrame } from "../support/rpc_server.js";
import { ServerProcess } from "../support/server_process.js";
import { bootstrapFrame, finishFrame, RawPeer, statusOf } from "./raw_peer.js";

const target = { question: 0 };
let server: ServerProcess;
const clients: CapstanClient[] = [];
const peers: RawPeer[] = [];

async function start(...flags: string[]): Promise<string> {
  server = new ServerProcess({ flags: ["--workers", "1", ...flags] });
  return server.ready();
}

function clientOf(address: string): CapstanClient {
  const client = new CapstanClient({ addresses: [address], retryBusy: false });
  clients.push(client);
  return client;
}

async function peerOf(address: string): Promise<RawPeer> {
  const peer = await RawPeer.open(address);
  peers.push(peer);
  peer.send(bootstrapFrame(0));
  return peer;
}

function waitingFetch(question: number, queue: string): Buffer {
  return callFrame(question, target, "fetch", FetchRequest, (request) => {
    request.initQueues(1).set(0, queue);
    request.setWaitMs(60_000n);
  });
}

async function busy(call: Promise<unknown>): Promise<CapstanError> {
  const error = await call.then(
    () => assert.fail("it was not refused"),
    (reason: unknown) => reason,
  );
  assert.ok(error instanceof CapstanError && error.code === "busy", String(error));
  assert.ok(error.retryAfterMs > 0, "it says when to try again");
  return error;
}

describe("a limit that is reached", () => {
  afterEach(async () => {
    for (const peer of peers.splice(0)) peer.close();
    for (const client of clients.splice(0)) await client.close({ timeoutMs: 0 });
    await server.stop();
    await server.dispose();
  });

  it("parkedMax: the next fetch is busy, all else is served, and a fetch that ends makes room", async () => {
    const address = await start("--parked-max", "10");
    const client = clientOf(address);
    const waiting = Array.from({ length: 10 }, () => client.fetch("empty", { waitMs: 60_000 }));
    const other = clientOf(address);
    // All ten are there when the eleventh is refused.
    let refused: CapstanError | undefined;
    while (refused === undefined) {
      try {
        assert.equal(await other.fetch("empty"), null);
      } catch (error) {
        assert.ok(error instanceof CapstanError);
        refused = error;
      }
    }
    assert.deepEqual([refused.code, refused.retryAfterMs], ["busy", 1000]);
    await busy(other.fetch("empty", { waitMs: 1000 }));
    await other.enqueue("elsewhere", { payload: "x" });
    await other.enqueue("empty", { payload: "x" });
    const grant = await Promise.race(waiting);
    assert.equal(grant?.jobs.length, 1);
    assert.equal((await other.fetch("elsewhere"))?.jobs.length, 1, "there is room for one");
    for (const one of waiting) one.catch(() => {});
  });

  it("connectionsMax: the next connection is closed at once, it is logged, and one that ends makes room", async () => {
    const address = await start("--connections-max", "3");
    const held = await Promise.all([peerOf(address), peerOf(address), peerOf(address)]);
    for (const peer of held) await peer.answer(0);
    for (let count = 0; count < 20; count++) {
      const refused = await RawPeer.open(address);
      await refused.until(() => refused.isClosed);
      assert.equal(refused.bytesRead, 0);
    }
    await server.says(/"connectionsMax":3,"msg":"connections were closed at once: connectionsMax is reached/);
    held[0]?.close();
    let isServed = false;
    while (!isServed) {
      const peer = await peerOf(address);
      await peer.until(() => peer.isClosed || peer.kinds.length > 0);
      isServed = peer.kinds.length > 0;
    }
    const lines = server.stderr.match(/connectionsMax is reached/g)?.length ?? 0;
    assert.ok(lines <= 3, `twenty refusals are told by ${lines} lines`);
  });

  it("callsOutstandingMax: a connection is not read from until one of its calls is answered", async () => {
    const address = await start("--calls-outstanding-max", "4");
    const peer = await peerOf(address);
    await peer.answer(0);
    for (let question = 1; question <= 4; question++) peer.send(waitingFetch(question, "later"));
    const client = clientOf(address);
    // The four are under way before the fifth is sent in a chunk of its own.
    while ((await client.serverInfo()).appliedIndex === 0);
    await client.enqueue("beside", { payload: "x" });
    peer.send(callFrame(5, target, "serverInfo", ServerInfoRequest, () => {}));
    for (let round = 0; round < 20; round++) await client.enqueue("beside", { payload: "x" });
    assert.deepEqual(
      peer.returns().map((one) => one.getAnswerId()),
      [0],
      "the fifth waits",
    );
    await client.enqueue("later", { payload: "x" });
    assert.equal(statusOf(await peer.answer(5)).getCode(), ErrorCode.ok);
    assert.equal(peer.returns().length, 3, "one fetch was answered, and the fifth call");
    peer.send(finishFrame(5));
  });

  it("writesWaitingMax: what is too much is busy, and the rest is carried out", async () => {
    const address = await start(
      "--writes-waiting-max",
      "1024",
      "--flush-window-ms",
      "1s",
      "--calls-outstanding-max",
      "4096",
    );
    const peer = await peerOf(address);
    await peer.answer(0);
    const calls = Array.from({ length: 3000 }, (_, at) =>
      callFrame(at + 1, target, "enqueue", EnqueueRequest, (request) => {
        request.setQueue("many");
        request.initJobs(1).get(0).initPayload(8);
      }),
    );
    peer.send(...calls);
    await peer.until(() => peer.kinds.length === 3001);
    let taken = 0;
    for (const answer of peer.returns().slice(1)) {
      const status = statusOf(answer);
      if (status.getCode() === ErrorCode.ok) taken++;
      else assert.deepEqual([status.getCode(), status.getRetryAfterMs()], [ErrorCode.busy, 50]);
    }
    assert.ok(taken >= 1024 && taken < 3000, `${taken} were taken`);
    assert.equal((await clientOf(address).getQueue("many")).ready, taken, "those, and no others");
  });
});
