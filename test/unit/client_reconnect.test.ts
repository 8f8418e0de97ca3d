// What becomes of calls when their connection is lost, and which server is talked to: retries under the session's
// sequence, honest `unknown` without one, several addresses, the pinned cluster.

import assert from "node:assert/strict";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { type AddressInfo, createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, it } from "node:test";
import { Message } from "capnp-ts";
import { CapstanClient, type CapstanError, type ClientOptions } from "../../src/client/index.js";
import * as schema from "../../src/generated/capstan.capnp.js";
import { rejection } from "../support/rejection.js";
import { type ReceivedCall, RpcServer, setData } from "../support/rpc_server.js";

const id = "0a".repeat(16);
const clients: CapstanClient[] = [];
let server: RpcServer;

beforeEach(async () => {
  server = await RpcServer.listen();
});

afterEach(async () => {
  for (const client of clients.splice(0)) await client.close({ timeoutMs: 0 });
  await server.close();
});

function make(options: ClientOptions = {}): CapstanClient {
  const client = new CapstanClient({ addresses: [server.address], backoff: { baseMs: 1, maxMs: 5 }, ...options });
  clients.push(client);
  return client;
}

function answer(call: ReceivedCall): void {
  call.respond(schema.EnqueueResponse, (response) => {
    const data = new Message().initRoot(schema.Header).initValue(16);
    setData(data, Buffer.from(id, "hex"));
    response.initIds(1).set(0, data);
  });
}

describe("a lost connection", { timeout: 60_000 }, () => {
  it("writes under a session are sent again with the same session and sequence", async () => {
    const client = make();
    const enqueues = [client.enqueue("q", { payload: "1" }), client.enqueue("q", { payload: "2" })];
    const first = [await server.next("enqueue"), await server.next("enqueue")];
    const sequences = first.map((call) => call.id(schema.EnqueueRequest).getSequence());
    assert.deepEqual(sequences, [1n, 2n]);
    first[0]?.connection.destroy();
    const again = [await server.next("enqueue"), await server.next("enqueue")];
    assert.deepEqual(
      again.map((call) => [call.id(schema.EnqueueRequest).getSession(), call.id(schema.EnqueueRequest).getSequence()]),
      [
        [101n, 1n],
        [101n, 2n],
      ],
    );
    assert.equal(server.connections.length, 2);
    for (const call of again) answer(call);
    assert.deepEqual(await Promise.all(enqueues), [id, id]);
    assert.equal(server.sessionsOpened, 1);
  });

  it("a waiting fetch is sent again, and waits no longer than what is left", async () => {
    const client = make();
    const fetched = client.fetch("q", { waitMs: 60_000 });
    const first = await server.next("fetch");
    first.connection.destroy();
    const again = await server.next("fetch");
    assert.equal(again.id(schema.FetchRequest).getSequence(), first.id(schema.FetchRequest).getSequence());
    assert.ok(again.request(schema.FetchRequest).getWaitMs() <= 60_000n);
    again.respond(schema.FetchResponse, () => {});
    assert.equal(await fetched, null);
  });

  it("a waiting fetch whose server is gone ends when its wait is over", async () => {
    const client = make();
    const fetched = rejection(client.fetch("q", { waitMs: 300, timeoutMs: 200 }));
    const call = await server.next("fetch");
    await server.close();
    call.connection.destroy();
    const error = await fetched;
    assert.equal(error.code, "unknown", "it was sent, and may have been granted");
    assert.match(error.message, /within 300 ms/, "the time of an answer is not added");
  });

  it("without a session a write is unknown and a read is asked again", async () => {
    const client = make({ session: false });
    const write = rejection(client.enqueue("q", { payload: "1" }));
    const read = client.getQueue("q");
    const call = await server.next("enqueue");
    assert.equal(call.request(schema.EnqueueRequest).hasRequest(), false);
    await server.next("getQueue");
    call.connection.destroy();
    assert.equal((await write).code, "unknown");
    (await server.next("getQueue")).respond(schema.QueueResponse, (response) => response.initQueue().setName("q"));
    assert.equal((await read).name, "q");
    assert.equal(server.unansweredCount, 0);
  });

  it("an idempotency key makes a write safe without a session", async () => {
    const client = make({ session: false });
    const enqueued = client.enqueue("q", { payload: "1" }, { idempotencyKey: "k" });
    (await server.next("enqueue")).connection.destroy();
    const again = await server.next("enqueue");
    assert.equal(again.id(schema.EnqueueRequest).getIdempotencyKey(), "k");
    answer(again);
    assert.equal(await enqueued, id);
  });

  it("what was told of received answers is told again when the telling was lost", async () => {
    const client = make();
    const pinned = client.fetch("q", { waitMs: 60_000 });
    const parked = await server.next("fetch");
    const done = client.enqueue("q", { payload: "1" });
    answer(await server.next("enqueue"));
    await done;
    const telling = client.enqueue("q", { payload: "2" });
    const call = await server.next("enqueue");
    assert.deepEqual(call.id(schema.EnqueueRequest).getReceivedAbove().toArray(), [2n]);
    assert.equal(call.id(schema.EnqueueRequest).getLowestUnanswered(), 1n);
    call.connection.destroy();
    const fetching = await server.next("fetch");
    const again = await server.next("enqueue");
    const told = [fetching.id(schema.FetchRequest), again.id(schema.EnqueueRequest)].flatMap((request) =>
      request.getReceivedAbove().toArray(),
    );
    assert.deepEqual(told, [2n]);
    answer(again);
    await telling;
    fetching.respond(schema.FetchResponse, () => {});
    assert.equal(await pinned, null);
    assert.notEqual(parked.connection, fetching.connection);
  });

  it("a refusal for now after a lost answer is unknown, for a read it is what it is", async () => {
    const client = make();
    const write = rejection(client.enqueue("q", { payload: "1" }));
    const read = rejection(client.getQueue("q"));
    const call = await server.next("enqueue");
    await server.next("getQueue");
    call.connection.destroy();
    (await server.next("enqueue")).refuse(schema.EnqueueResponse, "diskFull");
    (await server.next("getQueue")).refuse(schema.QueueResponse, "busy", 3_600_000);
    assert.equal((await write).code, "unknown");
    assert.equal((await read).code, "busy");
  });

  it("what a refused request told is told again", async () => {
    const client = make();
    const pinned = client.fetch("q", { waitMs: 60_000 });
    const parked = await server.next("fetch");
    const first = client.enqueue("q", { payload: "1" });
    answer(await server.next("enqueue"));
    await first;
    const refused = rejection(client.enqueue("q", { payload: "2" }));
    const telling = await server.next("enqueue");
    assert.deepEqual(telling.id(schema.EnqueueRequest).getReceivedAbove().toArray(), [2n]);
    telling.refuse(schema.EnqueueResponse, "tooLarge");
    assert.equal((await refused).code, "tooLarge");
    const third = client.enqueue("q", { payload: "3" });
    const again = await server.next("enqueue");
    assert.deepEqual(again.id(schema.EnqueueRequest).getReceivedAbove().toArray(), [2n, 3n]);
    answer(again);
    await third;
    parked.respond(schema.FetchResponse, () => {});
    assert.equal(await pinned, null);
  });

  it("a server that drops every connection is tried until the timeout, and the write is unknown then", async () => {
    const client = make();
    const warm = client.enqueue("q", { payload: "0" });
    answer(await server.next("enqueue"));
    await warm;
    server.handler = (call) => {
      if (call.method !== "enqueue") return false;
      call.connection.destroy();
      return true;
    };
    const error = await rejection(client.enqueue("q", { payload: "1" }, { timeoutMs: 1_000 }));
    assert.equal(error.code, "unknown");
    assert.ok(server.connections.length > 2, `${server.connections.length} connections`);
  });
});

describe("a session that is over", { timeout: 60_000 }, () => {
  it("a request that was refused the only time it was sent goes out under a new session", async () => {
    const client = make();
    const first = client.enqueue("q", { payload: "1" });
    answer(await server.next("enqueue"));
    await first;
    const second = client.enqueue("q", { payload: "2" });
    (await server.next("enqueue")).refuse(schema.EnqueueResponse, "sessionExpired");
    const again = await server.next("enqueue");
    assert.equal(again.id(schema.EnqueueRequest).getSession(), 102n);
    assert.equal(again.id(schema.EnqueueRequest).getSequence(), 1n);
    answer(again);
    assert.equal(await second, id);
  });

  it("a request whose answer was lost before is unknown, and later ones use a new session", async () => {
    const client = make();
    const enqueued = rejection(client.enqueue("q", { payload: "1" }));
    (await server.next("enqueue")).connection.destroy();
    (await server.next("enqueue")).refuse(schema.EnqueueResponse, "sessionExpired");
    const error = await enqueued;
    assert.equal(error.code, "unknown");
    assert.equal((error.cause as CapstanError).code, "sessionExpired");
    const later = client.enqueue("q", { payload: "2" });
    const call = await server.next("enqueue");
    assert.equal(call.id(schema.EnqueueRequest).getSession(), 102n);
    answer(call);
    await later;
  });
});

describe("several addresses", { timeout: 60_000 }, () => {
  it("are tried in turn", async () => {
    const client = make({ addresses: ["127.0.0.1:1", server.address] });
    await client.connect();
    assert.equal((await client.serverInfo()).version, "test");
  });

  it("a server that is stopping hands its calls to the next one", async () => {
    const other = await RpcServer.listen();
    try {
      const client = make({ addresses: [server.address, other.address] });
      const enqueued = client.enqueue("q", { payload: "1" });
      (await server.next("enqueue")).refuse(schema.EnqueueResponse, "shuttingDown");
      const call = await other.next("enqueue");
      assert.equal(call.id(schema.EnqueueRequest).getSequence(), 1n);
      answer(call);
      assert.equal(await enqueued, id);
    } finally {
      await other.close();
    }
  });

  it("one may be a unix socket", async () => {
    const directory = mkdtempSync(join(tmpdir(), "capstan-client-"));
    const unix = await RpcServer.listen(join(directory, "s"));
    try {
      const client = make({ addresses: [unix.address] });
      assert.equal((await client.serverInfo()).nodeId, 1n);
    } finally {
      await unix.close();
      rmSync(directory, { recursive: true });
    }
  });

  it("that nobody listens on: connect rejects after one round, a call at its timeout", async () => {
    const client = make({ addresses: ["127.0.0.1:1", "unix:/nonexistent/capstan.sock"] });
    assert.equal((await rejection(client.connect())).code, "connection");
    const error = await rejection(client.enqueue("q", { payload: "1" }, { timeoutMs: 50 }));
    assert.equal(error.code, "connection");
    assert.match(error.message, /ENOENT|ECONNREFUSED/);
  });

  it("that are not Capstan's are said to be something else", async () => {
    const http = createServer((socket) => socket.end("HTTP/1.1 400 Bad Request\r\n\r\n")).listen(0, "127.0.0.1");
    await once(http, "listening");
    try {
      const address = `127.0.0.1:${(http.address() as AddressInfo).port}`;
      const error = await rejection(make({ addresses: [address] }).connect());
      assert.equal(error.code, "protocol");
      assert.ok(error.message.startsWith(`${address}: what answers does not speak Cap'n Proto RPC`), error.message);
      assert.match(error.message, /is this Capstan's RPC address\?/);
    } finally {
      http.close();
    }
  });

  it("that cannot be read are refused when the client is made", () => {
    for (const address of ["", "localhost", "localhost:0", "localhost:70000", "unix:", "a b:x", "[::1]"]) {
      assert.throws(() => new CapstanClient({ addresses: [address] }), { code: "invalidArgument" }, address);
    }
    assert.throws(() => new CapstanClient({ addresses: [] }), { code: "invalidArgument" });
  });

  it("a server that takes the connection and says nothing is left after connectTimeoutMs", async () => {
    server.greets = false;
    const client = make({ connectTimeoutMs: 30 });
    const error = await rejection(client.connect());
    assert.equal(error.code, "connection");
    assert.match(error.message, /30 ms/);
  });
});

describe("the pinned cluster", { timeout: 60_000 }, () => {
  it("a server of another cluster is refused, and nothing is sent to it", async () => {
    const client = make({ clusterId: "22".repeat(16) });
    assert.equal((await rejection(client.connect())).code, "wrongCluster");
    const error = await rejection(client.enqueue("q", { payload: "1" }));
    assert.equal(error.code, "wrongCluster");
    assert.match(error.message, /1111/);
    assert.equal(server.unansweredCount, 0);
    assert.equal(server.sessionsOpened, 0);
  });

  it("its own is taken, in any case of letters", async () => {
    server.clusterId = "ab".repeat(16);
    const client = make({ clusterId: "AB".repeat(16) });
    await client.connect();
  });

  it("a client stays with the cluster that it met first", async () => {
    const client = make();
    const enqueued = rejection(client.enqueue("q", { payload: "1" }));
    const call = await server.next("enqueue");
    server.clusterId = "33".repeat(16);
    call.connection.destroy();
    const error = await enqueued;
    assert.equal(error.code, "unknown");
    assert.equal((error.cause as CapstanError).code, "wrongCluster");
    assert.equal((await rejection(client.getQueue("q"))).code, "wrongCluster");
  });

  it("another address with the right cluster is found behind a wrong one", async () => {
    const other = await RpcServer.listen();
    other.clusterId = "44".repeat(16);
    try {
      const client = make({ addresses: [server.address, other.address], clusterId: other.clusterId });
      await client.connect();
      assert.equal((await client.serverInfo()).clusterId, other.clusterId);
    } finally {
      await other.close();
    }
  });
});
