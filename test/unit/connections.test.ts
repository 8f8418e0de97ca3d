// Connections of a worker over real sockets: chunks, backpressure in both directions, half-received frames, deaf clients,
// and the way they end. The addon is played; the far end of each socket belongs to the test.

import assert from "node:assert/strict";
import { once } from "node:events";
import { type AddressInfo, connect, createServer, type OnReadOpts, type Server, type Socket } from "node:net";
import { afterEach, beforeEach, describe, it } from "node:test";
import { setImmediate as turn } from "node:timers/promises";
import { Connections, type ConnectionsOptions } from "../../src/rpc/connections.js";
import { SlabPool } from "../../src/rpc/slab_pool.js";
import { ApplyLoop } from "../../src/server/apply_loop.js";
import { Fetches } from "../../src/server/fetches.js";
import { createSharedBudget, grainBytes, MemoryBudget } from "../../src/server/memory_budget.js";
import { Router } from "../../src/server/router.js";
import { KiB, MiB } from "../../src/units.js";
import { FakeClock } from "../support/fake_clock.js";
import { type FakeCall, FakeNative } from "../support/fake_native.js";

let native: FakeNative;
let clock: FakeClock;
let budget: MemoryBudget;
let connections: Connections;
let slabs: SlabPool;
let server: Server;
let clients: Socket[];
let cuts: string[];
let emptied: number;

function make(change: Partial<ConnectionsOptions> = {}, budgetBytes = 64 * MiB): void {
  native = new FakeNative();
  clock = new FakeClock();
  budget = new MemoryBudget(createSharedBudget(), budgetBytes);
  cuts = [];
  emptied = 0;
  slabs = new SlabPool(64 * KiB, 4);
  const common = { native, worker: 7, clock, budget, wakeTurn: () => {} };
  const fetches = new Fetches({ ...common, fetchesMax: 100 });
  const applyLoop = new ApplyLoop({
    ...common,
    fetches,
    inflightMax: 4,
    entryBytesMax: MiB,
    entryCommandsMax: 100,
    entryJobsMax: 100,
    writesMax: 1000,
    flushWindowMs: 0,
  });
  connections = new Connections({
    ...common,
    router: new Router({ ...common, applyLoop, fetches, version: "1" }),
    slabs,
    readBufferBytes: 16 * KiB,
    callsOutstandingMax: 4,
    unsentBytesMax: 256 * KiB,
    deafTimeoutMs: 30_000,
    frameTimeoutMs: 30_000,
    keepAliveMs: 60_000,
    // The worker's end of each pair; the test's end is what the server accepts.
    openSocket: (_fd: number, onread: OnReadOpts) =>
      connect({ port: (server.address() as AddressInfo).port, host: "127.0.0.1", onread }),
    emptied: () => emptied++,
    cut: (reason) => cuts.push(reason),
    ...change,
  });
}

/** A connection: its slot and the client's end. */
async function open(isPacked = false): Promise<{ slot: number; client: Socket }> {
  const before = native.openConnections;
  const known = new Set(before);
  const accepted = once(server, "connection") as Promise<[Socket]>;
  connections.accept(1, isPacked);
  const [client] = await accepted;
  client.on("error", () => {});
  clients.push(client);
  const slot = [...native.openConnections].find((one) => !known.has(one));
  assert.ok(slot !== undefined);
  return { slot, client };
}

async function until(condition: () => boolean, what: string): Promise<void> {
  const giveUpMs = performance.now() + 10_000;
  while (!condition()) {
    assert.ok(performance.now() < giveUpMs, `waited in vain: ${what}`);
    await turn();
  }
}

/** Sends one chunk that holds `calls`. */
async function say(client: Socket, calls: FakeCall[], bytes = 10): Promise<void> {
  const before = native.chunks.length;
  native.nextCalls = calls;
  client.write(Buffer.alloc(bytes));
  await until(() => native.chunks.length > before, "a chunk arrives");
}

/** Writes `bytes` to a connection as the turn does. */
function reply(slot: number, bytes: number, callsDone = 0): void {
  const slab = slabs.take();
  connections.write(slot, slab, 0, bytes, callsDone);
  slab.written();
}

describe("connections", () => {
  beforeEach(async () => {
    clients = [];
    server = createServer({ noDelay: true }).listen(0, "127.0.0.1");
    await once(server, "listening");
    make();
  });
  afterEach(async () => {
    connections.destroy();
    for (const client of clients) client.destroy();
    server.close();
    await once(server, "close");
  });

  it("hand each chunk to the addon and send what it has to say, in order", async () => {
    const { slot, client } = await open();
    const received: Buffer[] = [];
    client.on("data", (chunk: Buffer) => received.push(chunk));
    client.write("hello");
    await until(() => Buffer.concat(native.chunks).toString() === "hello", "the bytes arrive");
    for (const text of ["one ", "two ", "three"]) {
      const slab = slabs.take();
      slab.bytes.write(text, 3);
      connections.write(slot, slab, 3, text.length, 0);
      slab.written();
    }
    await until(() => Buffer.concat(received).toString() === "one two three", "the replies arrive");
    await until(() => slabs.inUse === 0, "every slab is back");
  });

  it("stop reading at their limit of calls and go on when one is answered", async () => {
    const { slot, client } = await open();
    await say(
      client,
      [1, 2, 3, 4].map((handle) => ({ handle })),
    );
    const chunks = native.chunks.length;
    client.write("more");
    for (let round = 0; round < 50; round++) await turn();
    assert.equal(native.chunks.length, chunks, "nothing is read");
    reply(slot, 8, 1);
    await until(() => native.chunks.length > chunks, "reading goes on");
  });

  it("take what a packed chunk grows to in parts, a turn each, and pack what they send", async () => {
    const { slot, client } = await open(true);
    native.packedLeft = 4;
    client.write("bomb");
    await until(() => native.chunks.length === 1, "the chunk arrives");
    client.write("more");
    await until(() => native.chunks.length === 5, "all parts are taken");
    assert.deepEqual(native.chunks.map(String), ["bomb", "", "", "", "more"], "nothing is read before the last part");
    const received: Buffer[] = [];
    client.on("data", (chunk: Buffer) => received.push(chunk));
    const slab = slabs.take();
    slab.bytes.write("reply");
    connections.write(slot, slab, 0, 5, 0);
    slab.written();
    await until(() => Buffer.concat(received).toString() === "packed reply", "the reply arrives");
    assert.equal(slabs.inUse, 0);
  });

  it("leave the rest of a packed chunk alone while calls are at their limit, and while it is gone", async () => {
    const { slot, client } = await open(true);
    native.packedLeft = 1000;
    native.nextCalls = [1, 2, 3, 4].map((handle) => ({ handle }));
    client.write("calls");
    await until(() => native.chunks.length === 1, "the chunk arrives");
    for (let round = 0; round < 20; round++) await turn();
    assert.equal(native.chunks.length, 1);
    reply(slot, 8, 1);
    await until(() => native.chunks.length > 3, "the rest is taken");
    client.destroy();
    await until(() => connections.count === 0, "it is closed");
    const chunks = native.chunks.length;
    for (let round = 0; round < 20; round++) await turn();
    assert.equal(native.chunks.length, chunks, "a connection that is gone is not asked for");
  });

  it("do not hold half a frame against a client that they do not read from", async () => {
    const { slot, client } = await open();
    native.bufferedBytes = 10;
    await say(
      client,
      [1, 2, 3, 4].map((handle) => ({ handle })),
    );
    clock.advance(60_000);
    connections.sweep();
    assert.deepEqual(cuts, []);
    reply(slot, 8, 1);
    clock.advance(20_000);
    connections.sweep();
    assert.deepEqual(cuts, [], "its time begins when it is read from again");
    clock.advance(60_000);
    connections.sweep();
    assert.deepEqual(cuts, ["halfFrame"]);
  });

  it("count a call that was given up as ended", async () => {
    const { slot, client } = await open();
    await say(
      client,
      [1, 2, 3, 4].map((handle) => ({ handle })),
    );
    const chunks = native.chunks.length;
    client.write("more");
    connections.dropped(slot);
    await until(() => native.chunks.length > chunks, "reading goes on");
  });

  it("make no more replies for a client that takes none, then close it as deaf", async () => {
    const { slot, client } = await open();
    client.pause();
    await until(() => {
      if (native.writable.get(slot) !== false) reply(slot, 60 * KiB);
      return native.writable.get(slot) === false;
    }, "the addon is told to stop");
    assert.ok(budget.usedBytes >= 256 * KiB, "unsent bytes count");
    assert.ok(slabs.inUse <= 1, "a slow socket holds one slab at most, the rest are copies");
    clock.advance(29_999);
    connections.sweep();
    assert.deepEqual(cuts, []);
    clock.advance(1);
    connections.sweep();
    assert.deepEqual(cuts, ["deaf"]);
    await until(() => native.openConnections.size === 0, "the addon hears of the end");
    assert.equal(budget.usedBytes, 0);
    await until(() => slabs.inUse === 0, "its slab is back");
  });

  it("close a deaf client soon while memory is short", async () => {
    const { slot, client } = await open();
    client.pause();
    await until(() => {
      if (native.writable.get(slot) !== false) reply(slot, 60 * KiB);
      return native.writable.get(slot) === false;
    }, "the addon is told to stop");
    clock.advance(2000);
    connections.sweep();
    assert.deepEqual(cuts, []);
    budget.take(33 * MiB);
    connections.sweep();
    assert.deepEqual(cuts, ["deaf"]);
    await until(() => budget.usedBytes === 33 * MiB, "what it held is back");
  });

  it("make replies again once the client has caught up", async () => {
    const { slot, client } = await open();
    client.pause();
    await until(() => {
      if (native.writable.get(slot) !== false) reply(slot, 60 * KiB);
      return native.writable.get(slot) === false;
    }, "the addon is told to stop");
    client.resume();
    await until(() => {
      connections.sweep();
      return native.writable.get(slot) === true;
    }, "the addon is told to go on");
    await until(() => {
      connections.sweep();
      return budget.usedBytes === 0;
    }, "nothing is left unsent");
  });

  it("hold few slabs however many clients are slow", async () => {
    for (let count = 0; count < 6; count++) {
      const { slot, client } = await open();
      client.pause();
      await until(() => {
        if (native.writable.get(slot) !== false) reply(slot, 60 * KiB);
        return native.writable.get(slot) === false;
      }, "the addon is told to stop");
    }
    assert.ok(slabs.inUse <= 4, `${slabs.inUse} slabs`);
  });

  it("close a client that leaves a frame half sent, slower for larger frames, and count what it sent", async () => {
    const { client } = await open();
    native.bufferedBytes = 100;
    await say(client, [], 100);
    assert.equal(budget.usedBytes, 100);
    clock.advance(29_999);
    connections.sweep();
    assert.deepEqual(cuts, []);
    // More of the same frame came: half a second more is allowed.
    native.bufferedBytes = 16 * KiB;
    await say(client, [], 16 * KiB - 100);
    await until(() => budget.usedBytes === 16 * KiB, "all of it came");
    clock.advance(2);
    connections.sweep();
    assert.deepEqual(cuts, []);
    clock.advance(500);
    connections.sweep();
    assert.deepEqual(cuts, ["halfFrame"]);
    await until(() => connections.count === 0, "it is gone");
    assert.equal(budget.usedBytes, 0);
  });

  it("begin the time anew with the next frame", async () => {
    const { client } = await open();
    native.bufferedBytes = 100;
    await say(client, [], 100);
    clock.advance(20_000);
    native.bufferedBytes = 150;
    await say(client, [], 100);
    clock.advance(20_000);
    connections.sweep();
    assert.deepEqual(cuts, [], "50 of those bytes ended the first frame");
    native.bufferedBytes = 0;
    await say(client, [], 10);
    clock.advance(60_000);
    connections.sweep();
    assert.deepEqual(cuts, []);
    assert.equal(budget.usedBytes, 0);
  });

  it("wait with half a frame while memory is short", async () => {
    make({}, 40 * grainBytes);
    const first = await open();
    const { client } = await open();
    budget.take(30 * grainBytes);
    native.bufferedBytes = 10;
    await say(first.client, [], 10);
    await say(client, [], 10);
    const chunks = native.chunks.length;
    client.write("more");
    for (let round = 0; round < 50; round++) await turn();
    assert.equal(native.chunks.length, chunks, "nothing is read");
    budget.give(30 * grainBytes);
    connections.sweep();
    await until(() => native.chunks.length > chunks, "reading goes on");
  });

  it("let one half-received frame after another come to its end while memory is short", async () => {
    make({}, 40 * grainBytes);
    const [first, second, third] = [await open(), await open(), await open()];
    budget.take(30 * grainBytes);
    native.bufferedBytes = 10;
    for (const { client } of [first, second, third]) await say(client, [], 10);
    const chunks = native.chunks.length;
    third.client.write("waits");
    second.client.write("waits");
    for (let round = 0; round < 50; round++) await turn();
    assert.equal(native.chunks.length, chunks, "neither is read");
    native.bufferedBytes = 0;
    first.client.write("the end");
    await until(() => native.chunks.length === chunks + 3, "each is read when the one before has ended");
    assert.deepEqual(native.chunks.slice(chunks).map(String), ["the end", "waits", "waits"]);
    assert.equal(budget.usedBytes, 30 * grainBytes);
  });

  it("let the next go on when the one whose frame may end sends nothing", async () => {
    make({}, 40 * grainBytes);
    const [first, second] = [await open(), await open()];
    budget.take(30 * grainBytes);
    native.bufferedBytes = 10;
    for (const { client } of [first, second]) await say(client, [], 10);
    const chunks = native.chunks.length;
    second.client.write("waits");
    connections.sweep();
    await until(() => native.chunks.length > chunks, "it is read");
    first.client.destroy();
    await until(() => connections.count === 1, "the silent one is gone");
  });

  it("cut half-received frames that keep everybody waiting, as soon as the one whose frame may end is silent", async () => {
    make({}, 40 * grainBytes);
    const [first, second, whole] = [await open(), await open(), await open()];
    native.bufferedBytes = 9 * grainBytes;
    for (const { client } of [first, second]) await say(client, [], 10);
    budget.take(21 * grainBytes);
    native.bufferedBytes = 0;
    await say(whole.client, [], 10);
    const chunks = native.chunks.length;
    whole.client.write("waits");
    for (let round = 0; round < 50; round++) await turn();
    assert.equal(native.chunks.length, chunks, "nobody is read");
    connections.sweep();
    await until(() => native.chunks.length > chunks, "whole requests are read again");
    await until(() => connections.count === 2, "it is gone");
    assert.deepEqual(cuts, ["memory"]);
    assert.equal(budget.usedBytes, 30 * grainBytes);
  });

  it("hold no further half-received frame when no memory is left", async () => {
    make({}, 40 * grainBytes);
    const [first, second] = [await open(), await open()];
    native.bufferedBytes = grainBytes;
    await say(first.client, [], 10);
    budget.take(39 * grainBytes);
    await say(second.client, [], 10);
    await until(() => connections.count === 1, "it is cut at once");
    assert.deepEqual(cuts, ["memory"]);
    assert.equal(budget.usedBytes, 40 * grainBytes, "the first may go on");
  });

  it("end after what was written when the addon gives them up, and read nothing more", async () => {
    const { slot, client } = await open();
    const received: Buffer[] = [];
    client.on("data", (chunk: Buffer) => received.push(chunk));
    const slab = slabs.take();
    slab.bytes.write("abort");
    connections.write(slot, slab, 0, 5, 0);
    slab.written();
    connections.end(slot);
    client.write("ignored");
    await once(client, "end");
    assert.equal(Buffer.concat(received).toString(), "abort");
    assert.equal(native.chunks.length, 0);
    reply(slot, 10);
    await until(() => native.openConnections.size === 0, "the addon hears of the end");
  });

  it("that linger after their end are destroyed", async () => {
    const { slot, client } = await open();
    client.pause();
    client.allowHalfOpen = true;
    connections.end(slot);
    clock.advance(2000);
    connections.sweep();
    await until(() => connections.count === 0, "it is gone");
  });

  it("at a stop end when their last call is answered", async () => {
    const idle = await open();
    const busy = await open();
    await say(busy.client, [{ handle: 1 }]);
    connections.stop();
    idle.client.resume();
    await once(idle.client, "end");
    assert.equal(connections.count >= 1, true);
    reply(busy.slot, 5, 1);
    busy.client.resume();
    await once(busy.client, "end");
    await until(() => emptied === 1, "the worker hears of it");
  });

  it("tell at once that none is left when there was none", () => {
    connections.stop();
    assert.equal(emptied, 1);
  });
});
