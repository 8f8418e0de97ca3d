// What callers of the client get for what a server answers: values, typed errors, the end of a call by signal or time.
// The server is made of the library's messages, so that both ends are not the same code.

import assert from "node:assert/strict";
import { afterEach, beforeEach, describe, it } from "node:test";
import { Message } from "capnp-ts";
import { Exception_Type } from "capnp-ts/src/std/rpc.capnp.js";
import { CapstanClient, type CapstanError, type ClientOptions } from "../../src/client/index.js";
import * as schema from "../../src/generated/capstan.capnp.js";
import { ErrorCode } from "../../src/generated/error_codes.js";
import { rejection } from "../support/rejection.js";
import { type ReceivedCall, RpcServer, setData } from "../support/rpc_server.js";

const idA = "0a".repeat(16);
const idB = "0b".repeat(16);
const lease = "ee".repeat(16);

let server: RpcServer;
let client: CapstanClient;

beforeEach(async () => {
  server = await RpcServer.listen();
  client = make();
});

afterEach(async () => {
  await client.close({ timeoutMs: 0 });
  await server.close();
});

function make(options: ClientOptions = {}): CapstanClient {
  return new CapstanClient({ addresses: [server.address], backoff: { baseMs: 1, maxMs: 5 }, ...options });
}

function answerIds(call: ReceivedCall, ids: readonly string[]): void {
  call.respond(schema.EnqueueResponse, (response) => {
    const list = response.initIds(ids.length);
    ids.forEach((id, index) => {
      list.set(index, bytesOf(id));
    });
  });
}

function bytesOf(hex: string): ReturnType<schema.Header["initValue"]> {
  const data = new Message().initRoot(schema.Header).initValue(hex.length / 2);
  setData(data, Buffer.from(hex, "hex"));
  return data;
}

function answerGrant(call: ReceivedCall): void {
  call.respond(schema.FetchResponse, (response) => {
    setData(response.initLease(16), Buffer.from(lease, "hex"));
    response.setToken(0xffff_ffff_ffff_fff0n);
    response.setLeaseMs(45_000n);
    const job = response.initJobs(1).get(0);
    setData(job.initId(16), Buffer.from(idA, "hex"));
    setData(job.initPayload(3), Buffer.from("abc"));
    job.setQueueIndex(1);
    job.setPriority(9);
    job.setAttempt(2);
    job.setMaxAttempts(0xffff_ffff);
    job.setEnqueuedMs(1_700_000_000_123n);
    job.setGroup("tenant 7");
    const header = job.initHeaders(1).get(0);
    header.setName("trace");
    setData(header.initValue(2), Buffer.from("xy"));
    job.setContentType("text/plain");
  });
}

describe("answers of the server", { timeout: 60_000 }, () => {
  it("enqueue gives the id, under a session", async () => {
    const enqueued = client.enqueue("mail", { payload: "hello", priority: 3, headers: { a: "b" } });
    const call = await server.next("enqueue");
    const request = call.request(schema.EnqueueRequest);
    assert.equal(request.getQueue(), "mail");
    assert.equal(Buffer.from(request.getJobs().get(0).getPayload().toUint8Array()).toString(), "hello");
    assert.equal(request.getRequest().getSession(), 101n);
    assert.equal(request.getRequest().getSequence(), 1n);
    assert.equal(request.getRequest().getLowestUnanswered(), 1n);
    answerIds(call, [idA]);
    assert.equal(await enqueued, idA);
  });

  it("enqueueMany gives the ids in their order, and a wrong number of them is a protocol fault", async () => {
    const jobs = [{ payload: "1" }, { payload: new Uint8Array([2]) }];
    const enqueued = client.enqueueMany("q", jobs, { idempotencyKey: "order 7" });
    const call = await server.next("enqueue");
    assert.equal(call.id(schema.EnqueueRequest).getIdempotencyKey(), "order 7");
    answerIds(call, [idA, idB]);
    assert.deepEqual(await enqueued, [idA, idB]);
    const short = rejection(client.enqueueMany("q", jobs));
    answerIds(await server.next("enqueue"), [idA]);
    assert.equal((await short).code, "protocol");
  });

  it("fetch gives a grant with every field of its jobs", async () => {
    const fetched = client.fetch(["a", "b"], { jobsMax: 5, leaseMs: 45_000, waitMs: 1000, worker: "w" });
    const call = await server.next("fetch");
    assert.equal(call.request(schema.FetchRequest).getWaitMs(), 1000n);
    answerGrant(call);
    const grant = await fetched;
    assert.ok(grant);
    assert.equal(grant.lease, lease);
    assert.equal(grant.token, 0xffff_ffff_ffff_fff0n);
    assert.equal(grant.leaseMs, 45_000);
    const [job] = grant.jobs;
    assert.ok(job);
    const { payload, headers, ...rest } = job;
    assert.equal(Buffer.from(payload).toString(), "abc");
    const texts = Object.entries(headers).map(([name, value]) => [name, Buffer.from(value).toString()]);
    assert.deepEqual(texts, [["trace", "xy"]]);
    assert.deepEqual(rest, {
      id: idA,
      queue: "b",
      priority: 9,
      attempt: 2,
      maxAttempts: "unlimited",
      enqueuedMs: 1_700_000_000_123,
      group: "tenant 7",
      contentType: "text/plain",
    });
  });

  it("an empty fetch is null", async () => {
    const fetched = client.fetch("a");
    (await server.next("fetch")).respond(schema.FetchResponse, () => {});
    assert.equal(await fetched, null);
  });

  it("a job of a queue that was not asked for is a protocol fault", async () => {
    const fetched = rejection(client.fetch("a"));
    answerGrant(await server.next("fetch"));
    assert.equal((await fetched).code, "protocol");
  });

  it("a settlement names the ids that were refused", async () => {
    const settled = client.ack(lease, [idA, idB]);
    const call = await server.next("ack");
    call.respond(schema.SettleResponse, (response) => {
      response.setAccepted(1);
      const refusal = response.initRefused(1).get(0);
      refusal.setIndex(1);
      refusal.setCode(ErrorCode.leaseLost);
    });
    assert.deepEqual(await settled, { accepted: 1, refused: [{ id: idB, index: 1, code: "leaseLost" }] });
  });

  it("an exchange tells its parts apart, also when it was refused", async () => {
    const request = {
      requireAcks: true,
      acks: [{ lease, ids: [idA] }],
      extends: [{ lease, leaseMs: 1000 }],
      enqueues: [{ queue: "next", jobs: [{ payload: "x" }] }],
      fetch: { queues: "next" },
    };
    const done = client.exchange(request);
    (await server.next("exchange")).respond(schema.ExchangeResponse, (response) => {
      response.initAcks(1).get(0).setAccepted(1);
      response.initExtends(1).get(0).initStatus().setCode(ErrorCode.leaseLost);
      response.initEnqueues(1).get(0).initIds(1).set(0, bytesOf(idB));
    });
    const result = await done;
    assert.deepEqual(result.acks, [{ accepted: 1, refused: [], error: null }]);
    assert.equal(result.extends[0]?.error?.code, "leaseLost");
    assert.deepEqual(result.enqueues[0]?.ids, [idB]);
    assert.deepEqual(result.fetch, { grant: null, error: null });

    const refused = rejection(client.exchange(request));
    (await server.next("exchange")).respond(schema.ExchangeResponse, (response) => {
      response.initStatus().setCode(ErrorCode.refused);
      response.initAcks(1).get(0).initStatus().setCode(ErrorCode.leaseLost);
    });
    const error = await refused;
    assert.equal(error.code, "refused");
    assert.equal(error.parts?.acks[0]?.error?.code, "leaseLost");
  });

  it("queues, jobs and operations are read whole", async () => {
    const queue = client.getQueue("mail");
    (await server.next("getQueue")).respond(schema.QueueResponse, (response) => {
      const info = response.initQueue();
      info.setName("mail");
      info.setReady(3n);
      info.setDeleting(true);
      const settings = info.initSettings();
      settings.setPaused(true);
      settings.setMaxAttempts(10);
      settings.setDeadKeepMs(1_209_600_000n);
    });
    const info = await queue;
    assert.equal(info.name, "mail");
    assert.equal(info.ready, 3);
    assert.equal(info.deleting, true);
    assert.equal(info.settings.paused, true);
    assert.equal(info.settings.deadKeepMs, 1_209_600_000);

    const page = client.listDead("mail", { after: "0102", limit: 2 });
    const listing = await server.next("listDead");
    assert.deepEqual([...listing.request(schema.ListDeadRequest).getAfter().toUint8Array()], [1, 2]);
    listing.respond(schema.JobsResponse, (response) => {
      const job = response.initJobs(1).get(0);
      setData(job.initId(16), Buffer.from(idA, "hex"));
      job.setState(schema.JobState.DEAD);
      job.setLastError("no luck");
      job.setPayloadBytes(70_000n);
      setData(response.initNext(2), Buffer.from([0xab, 0xcd]));
    });
    const { jobs, next } = await page;
    assert.equal(next, "abcd");
    assert.equal(jobs[0]?.state, "dead");
    assert.equal(jobs[0]?.lastError, "no luck");
    assert.equal(jobs[0]?.payloadBytes, 70_000);

    const deletion = client.deleteQueue("mail");
    (await server.next("deleteQueue")).respond(schema.OperationResponse, (response) => response.setOperation(9n));
    assert.deepEqual(await deletion, { operation: 9n, done: 0, finished: false });
  });

  it("pause and resume go out as their own flags", async () => {
    for (const paused of [true, false]) {
      const set = client.setQueue("mail", { paused, maxAttempts: "unlimited" });
      const call = await server.next("setQueue");
      const request = call.request(schema.SetQueueRequest);
      assert.equal(request.getPause(), paused);
      assert.equal(request.getResume(), !paused);
      assert.equal(request.getSettings().getMaxAttempts(), 0xffff_ffff);
      call.respond(schema.QueueResponse, () => {});
      await set;
    }
  });
});

describe("errors", { timeout: 60_000 }, () => {
  it("a status is an error with its code, field and hint", async () => {
    const enqueued = rejection(client.enqueue("q", { payload: "x" }, { retryBusy: false }));
    (await server.next("enqueue")).respond(schema.EnqueueResponse, (response) => {
      const status = response.initStatus();
      status.setCode(ErrorCode.busy);
      status.setRetryAfterMs(250);
      status.setMessage("too many");
      status.setField("jobs");
    });
    const error = await enqueued;
    assert.deepEqual(
      [error.code, error.retryAfterMs, error.message, error.field, error.retryable],
      ["busy", 250, "too many", "jobs", true],
    );
  });

  it("a code of a newer server reads as unknown, keeps its number, and is not tried again", async () => {
    const enqueued = rejection(client.enqueue("q", { payload: "x" }));
    (await server.next("enqueue")).respond(schema.EnqueueResponse, (response) => {
      response.initStatus().setCode(999 as schema.Status["getCode"] extends () => infer Code ? Code : never);
    });
    const error = await enqueued;
    assert.deepEqual([error.code, error.number], ["unknown", 999]);
  });

  it("a server that does not know the outcome is asked again under the same sequence", async () => {
    const enqueued = client.enqueue("q", { payload: "x" });
    const first = await server.next("enqueue");
    first.refuse(schema.EnqueueResponse, "unknown");
    const second = await server.next("enqueue");
    assert.equal(second.id(schema.EnqueueRequest).getSequence(), first.id(schema.EnqueueRequest).getSequence());
    second.raise("the leader is gone", Exception_Type.DISCONNECTED);
    const third = await server.next("enqueue");
    assert.equal(third.id(schema.EnqueueRequest).getSequence(), first.id(schema.EnqueueRequest).getSequence());
    answerIds(third, [idA]);
    assert.equal(await enqueued, idA);
  });

  it("exceptions have codes by their type", async () => {
    const expected = [
      [Exception_Type.FAILED, "internal"],
      [Exception_Type.UNIMPLEMENTED, "unsupported"],
    ] as const;
    for (const [type, code] of expected) {
      const failed = rejection(client.getQueue("q"));
      (await server.next("getQueue")).raise("it broke", type);
      const error = await failed;
      assert.equal(error.code, code);
      assert.match(error.message, /it broke/);
    }
  });

  it("busy is tried again with the same sequence", async () => {
    const enqueued = client.enqueue("q", { payload: "x" });
    const first = await server.next("enqueue");
    const sequence = first.id(schema.EnqueueRequest).getSequence();
    first.refuse(schema.EnqueueResponse, "busy", 1);
    const second = await server.next("enqueue");
    assert.equal(second.id(schema.EnqueueRequest).getSequence(), sequence);
    answerIds(second, [idA]);
    assert.equal(await enqueued, idA);
  });

  it("busy with a hint beyond the timeout rejects at once", async () => {
    const enqueued = rejection(client.enqueue("q", { payload: "x" }, { timeoutMs: 5_000 }));
    (await server.next("enqueue")).refuse(schema.EnqueueResponse, "busy", 60_000);
    assert.equal((await enqueued).code, "busy");
  });

  it("wrong arguments reject, name the field, and send nothing", async () => {
    const wrong: [() => Promise<unknown>, string][] = [
      [() => client.enqueue("", { payload: "x" }), "queue"],
      [() => client.enqueue("q", { payload: 7 as unknown as string }), "jobs[0].payload"],
      [() => client.enqueue("q", { payload: "", priority: 16 }), "jobs[0].priority"],
      [() => client.enqueue("q", { payload: "", delayMs: -1 }), "jobs[0].delayMs"],
      [() => client.enqueue("q", { payload: "", headers: { a: 1 as unknown as string } }), "jobs[0].headers.a"],
      [() => client.enqueueMany("q", []), "jobs"],
      [() => client.fetch([]), "queues"],
      [() => client.fetch("q", { jobsMax: 1.5 }), "jobsMax"],
      [() => client.ack("short", "all"), "lease"],
      [() => client.ack(lease, ["zz".repeat(16)]), "ids[0]"],
      [() => client.fail(lease, [{ id: "x" }]), "jobs[0].id"],
      [() => client.setQueue("q", { backoffMaxMs: 0 }), "backoffMaxMs"],
      [() => client.getOperation(-1n), "operation"],
      [() => client.exchange({ acks: [{ lease: "x", ids: "all" }] }), "acks[0].lease"],
      [() => client.serverInfo({ timeoutMs: -1 }), "timeoutMs"],
    ];
    for (const [call, field] of wrong) {
      const error = await rejection(call());
      assert.deepEqual([error.code, error.field], ["invalidArgument", field]);
    }
    assert.equal(server.connections.length, 0);
  });

  it("a request larger than a frame is refused here and the connection goes on", async () => {
    await client.connect();
    const large = rejection(client.enqueue("q", { payload: new Uint8Array(33 << 20) }));
    assert.equal((await large).code, "tooLarge");
    const enqueued = client.enqueue("q", { payload: "x" });
    answerIds(await server.next("enqueue"), [idA]);
    assert.equal(await enqueued, idA);
    assert.equal(server.connections.length, 1);
  });
});

describe("the end of a call", { timeout: 60_000 }, () => {
  it("a signal finishes the question on the server and rejects", async () => {
    const controller = new AbortController();
    const fetched = rejection(client.fetch("q", { waitMs: 60_000, signal: controller.signal }));
    const call = await server.next("fetch");
    controller.abort(new Error("enough"));
    const error = await fetched;
    assert.equal(error.code, "canceled");
    assert.match(String(error.cause), /enough/);
    // Bootstrap, serverInfo, openSession, and the fetch before its answer.
    await server.until(() => call.connection.finished.length === 4);
    assert.equal(call.connection.finished.at(-1), call.question);
    call.canceled();
    // Its answer is not finished again: two more calls, two more finishes.
    await client.serverInfo();
    await client.serverInfo();
    await server.until(() => call.connection.finished.length >= 6);
    assert.equal(call.connection.finished.length, 6);
  });

  it("a signal that was given before sends nothing", async () => {
    const error = await rejection(client.fetch("q", { signal: AbortSignal.abort() }));
    assert.equal(error.code, "canceled");
    assert.equal(server.connections.length, 0);
  });

  it("a grant that comes after its fetch was given up is released", async () => {
    const controller = new AbortController();
    const fetched = rejection(client.fetch(["a", "b"], { waitMs: 60_000, signal: controller.signal }));
    const call = await server.next("fetch");
    controller.abort();
    await fetched;
    answerGrant(call);
    const release = await server.next("release");
    const request = release.request(schema.ReleaseRequest);
    assert.equal(Buffer.from(request.getLease().toUint8Array()).toString("hex"), lease);
    assert.equal(request.getAll(), true);
    release.respond(schema.SettleResponse, () => {});
  });

  it("time: a read is deadlineExceeded, a write is unknown, and both are finished on the server", async () => {
    await client.close();
    client = make({ session: false });
    await client.connect();
    const read = rejection(client.getQueue("q", { timeoutMs: 20 }));
    const reading = await server.next("getQueue");
    const write = rejection(client.enqueue("q", { payload: "x" }, { timeoutMs: 300 }));
    const writing = await server.next("enqueue");
    assert.equal((await read).code, "deadlineExceeded");
    assert.equal((await write).code, "unknown");
    // The bootstrap, and these two, which have no answer.
    await server.until(() => reading.connection.finished.length === 3);
    assert.deepEqual(reading.connection.finished.slice(-2).sort(), [reading.question, writing.question].sort());
  });

  it("a fetch may take its waitMs beyond the timeout", async () => {
    const fetched = client.fetch("q", { waitMs: 60_000, timeoutMs: 1 });
    (await server.next("fetch")).respond(schema.FetchResponse, () => {});
    assert.equal(await fetched, null);
  });

  it("a peer that is silent is left, and the next call uses a new connection", async () => {
    await client.close();
    client = make({ connectTimeoutMs: 200 });
    await client.connect();
    await rejection(client.getQueue("q", { timeoutMs: 250 }));
    const again = client.getQueue("q");
    await server.until(() => server.connections.length === 2);
    const calls = [await server.next("getQueue"), await server.next("getQueue")];
    calls.at(-1)?.respond(schema.QueueResponse, (response) => response.initQueue().setName("q"));
    assert.equal((await again).name, "q");
  });

  it("close ends waiting fetches, lets writes end, and closes the session", async () => {
    const fetched = rejection(client.fetch("q", { waitMs: 60_000 }));
    await server.next("fetch");
    const enqueued = client.enqueue("q", { payload: "x" });
    const call = await server.next("enqueue");
    const closing = client.close();
    assert.equal((await fetched).code, "closed");
    assert.equal((await rejection(client.serverInfo())).code, "closed");
    answerIds(call, [idA]);
    assert.equal(await enqueued, idA);
    await closing;
    assert.deepEqual(server.sessionsClosed, [101n]);
  });
});

describe("many calls", { timeout: 60_000 }, () => {
  it("those of one turn leave in one write", async () => {
    await client.serverInfo();
    const [connection] = server.connections;
    assert.ok(connection);
    const before = connection.chunks.length;
    const reads = Array.from({ length: 50 }, (_, index) => client.getQueue(`q${index}`));
    await server.until(() => server.unansweredCount === 50);
    // One with the 50 calls; the finish of the call before may have come on its own.
    assert.ok(connection.chunks.length - before <= 2, `${connection.chunks.length - before} chunks`);
    for (let i = 0; i < 50; i++) (await server.next("getQueue")).respond(schema.QueueResponse, () => {});
    await Promise.all(reads);
  });

  it("at most 1,000 are outstanding, the others wait, and beyond 10,000 they are refused", async () => {
    await client.serverInfo();
    const reads = Array.from({ length: 11_001 }, () => client.getQueue("q").catch((error: CapstanError) => error.code));
    await server.until(() => server.unansweredCount === 1_000);
    assert.equal(await reads.at(-1), "busy");
    server.handler = (call) => {
      if (call.method !== "getQueue") return false;
      call.respond(schema.QueueResponse, () => {});
      return true;
    };
    for (let i = 0; i < 1_000; i++) (await server.next("getQueue")).respond(schema.QueueResponse, () => {});
    const results = await Promise.all(reads);
    assert.equal(results.filter((result) => result === "busy").length, 1);
  });
});
