// Whatever bytes a server sends, a caller gets a CapstanError and the process goes on: damaged and hostile frames, lying
// sizes, answers to nothing. The connection that brought them is closed, and the next call uses a new one.

import assert from "node:assert/strict";
import { afterEach, beforeEach, describe, it } from "node:test";
import { Message } from "capnp-ts";
import * as rpc from "capnp-ts/src/std/rpc.capnp.js";
import fc from "fast-check";
import { CapstanClient, CapstanError } from "../../src/client/index.js";
import * as operations from "../../src/client/operations.js";
import { readFetch, readMessage, readResults } from "../../src/client/wire/decode.js";
import { readAbort, readBootstrap } from "../../src/client/wire/library.js";
import { MessageReader } from "../../src/client/wire/reader.js";
import { answerBytesMax, FrameSplitter } from "../../src/client/wire/splitter.js";
import * as schema from "../../src/generated/capstan.capnp.js";
import { rejection } from "../support/rejection.js";
import { RpcServer, returnFrame, setData } from "../support/rpc_server.js";

let server: RpcServer;
let client: CapstanClient;

beforeEach(async () => {
  server = await RpcServer.listen();
  client = new CapstanClient({ addresses: [server.address], backoff: { baseMs: 1, maxMs: 5 } });
});

afterEach(async () => {
  await client.close({ timeoutMs: 0 });
  await server.close();
});

/** A frame of one segment of these words. */
function frameOf(...words: bigint[]): Buffer {
  const frame = Buffer.alloc(8 + words.length * 8);
  frame.writeUInt32LE(words.length, 4);
  words.forEach((word, index) => {
    frame.writeBigUInt64LE(word, 8 + index * 8);
  });
  return frame;
}

function grantFrame(jobs: number): Buffer {
  return returnFrame(0, schema.FetchResponse, (response) => {
    setData(response.initLease(16), Buffer.alloc(16, 7));
    const list = response.initJobs(jobs);
    for (let i = 0; i < jobs; i++) {
      const job = list.get(i);
      setData(job.initId(16), Buffer.alloc(16, i));
      setData(job.initPayload(20), Buffer.alloc(20, i));
      job.setGroup("group");
      const header = job.initHeaders(1).get(0);
      header.setName("name");
      setData(header.initValue(3), Buffer.from("abc"));
    }
  });
}

const id = "ab".repeat(16);

type Reading = Pick<operations.Operation<unknown>, "decode">;

const hotReadings: readonly Reading[] = [
  operations.enqueue("q", [{ payload: "" }]),
  operations.fetch("q", {}),
  operations.ack(id, [id]),
  operations.extend(id, 1),
  operations.exchange({ acks: [{ lease: id, ids: "all" }], fetch: { queues: "q" } }),
];
/** In the order of `coldFrames`. */
const coldReadings: readonly Reading[] = [
  operations.setQueue("q", {}),
  operations.listQueues({}),
  operations.peek("q", {}),
  operations.getJob(id, {}),
  operations.deleteJobs([id]),
  operations.deleteQueue("q"),
  operations.serverInfo(),
  operations.openSession("name"),
  { decode: readBootstrap },
  { decode: readAbort },
];
/** Of `coldFrames`, the one whose status is not ok. */
const refusedKind = 5;

/** Whether the frame gave a value; if not, it is a CapstanError that says so. */
function readAs(reading: Reading, frame: Buffer): boolean {
  try {
    const reader = MessageReader.of(frame);
    const message = readMessage(reader);
    if (message.kind === "return") reading.decode(reader, message.outcome);
    return true;
  } catch (error) {
    if (!(error instanceof CapstanError)) throw error;
    assert.doesNotMatch(error.message, /call stack/);
    return false;
  }
}

/** Reads a frame as every kind of answer; returns how many readings gave a value. */
function readAsEverything(frame: Buffer): number {
  return [...hotReadings, ...coldReadings].filter((reading) => readAs(reading, frame)).length;
}

/** One answer of every cold kind, with something in each list. */
function coldFrames(): Buffer[] {
  const fillQueue = (queue: schema.QueueInfo) => {
    queue.setName("queue");
    queue.initSettings().setMaxAttempts(3);
    queue.setBytes(5n);
  };
  const fillJob = (job: schema.JobInfo) => {
    setData(job.initId(16), Buffer.alloc(16, 1));
    job.setQueue("queue");
    job.setLastError("error");
    const header = job.initHeaders(2).get(0);
    header.setName("name");
    setData(header.initValue(3), Buffer.from("abc"));
    setData(job.initPayload(40), Buffer.alloc(40, 2));
  };
  return [
    returnFrame(0, schema.QueueResponse, (response) => fillQueue(response.initQueue())),
    returnFrame(0, schema.ListQueuesResponse, (response) => {
      const list = response.initQueues(3);
      for (let i = 0; i < 3; i++) fillQueue(list.get(i));
      response.setNext("next");
    }),
    returnFrame(0, schema.JobsResponse, (response) => {
      const list = response.initJobs(3);
      for (let i = 0; i < 3; i++) fillJob(list.get(i));
      setData(response.initNext(8), Buffer.alloc(8, 3));
    }),
    returnFrame(0, schema.JobResponse, (response) => fillJob(response.initJob())),
    returnFrame(0, schema.SettleResponse, (response) => response.initRefused(3).get(1).setIndex(1)),
    returnFrame(0, schema.OperationResponse, (response) => {
      const status = response.initStatus();
      status.setCode(7);
      status.setMessage("message");
      status.setField("field");
    }),
    returnFrame(0, schema.ServerInfoResponse, (response) => {
      response.setVersion("version");
      setData(response.initClusterId(16), Buffer.alloc(16, 4));
      setData(response.initDigest(8), Buffer.alloc(8, 5));
    }),
    returnFrame(0, schema.OpenSessionResponse, (response) => response.setSession(9n)),
  ];
}

describe("hostile bytes", { timeout: 60_000 }, () => {
  const lies: [string, () => Buffer][] = [
    ["a frame of 4 G words", () => Buffer.from([0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff])],
    ["a frame of 4 G segments", () => Buffer.from([0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0])],
    ["an empty frame", () => Buffer.alloc(8)],
    ["a root that points out of the frame", () => frameOf(0x0001_0001_0000_fff0n)],
    ["a root that points in front of the frame", () => frameOf(0x0001_0001_ffff_ff00n)],
    ["a root that is a list", () => frameOf(0x0000_000a_0000_0001n, 0n)],
    ["a far pointer to no segment", () => frameOf(0x0000_0009_0000_0002n, 0n)],
    ["a far pointer to itself", () => frameOf(0x0000_0000_0000_0002n)],
    ["an answer to nothing that was asked", () => returnFrame(777, schema.StatusResponse, () => {})],
    ["a message of an unknown kind", () => frameOf(0x0000_0001_0000_0000n, 99n)],
    [
      "an answer of an unknown kind",
      () => frameOf(0x0001_0001_0000_0000n, 3n, 0x0001_0002_0000_0000n, 0x0009_0000_0000_0002n, 0n, 0n),
    ],
    ["text of a web server", () => Buffer.from("HTTP/1.1 400 Bad Request\r\n\r\n")],
  ];
  for (const [what, bytes] of lies) {
    it(`${what}: the calls in flight reject with protocol, and the next one works`, async () => {
      const read = rejection(client.getQueue("q"));
      const write = rejection(client.enqueue("q", { payload: "x" }));
      const call = await server.next("enqueue");
      await server.next("getQueue");
      call.connection.send(bytes());
      assert.equal((await read).code, "protocol");
      assert.equal((await write).code, "protocol");
      assert.equal((await client.serverInfo()).version, "test");
      assert.equal(server.connections.length, 2);
      await server.until(() => call.connection.socket.destroyed);
      assert.notEqual(call.connection.aborted, null);
    });
  }

  it("an abort of the server rejects with its reason", async () => {
    const read = rejection(client.getQueue("q"));
    const call = await server.next("getQueue");
    const message = new Message();
    message.initRoot(rpc.Message).initAbort().setReason("you lied");
    call.connection.send(Buffer.from(message.toArrayBuffer()));
    const error = await read;
    assert.equal(error.code, "protocol");
    assert.match(error.message, /you lied/);
  });

  it("lists of nothing do not cost time without end", () => {
    const frame = grantFrame(1);
    // The list of jobs becomes one of 2^29 - 1 voids, in turn at every place where a list pointer may be.
    for (let at = 8; at + 8 <= frame.length; at += 8) {
      if ((frame.readUInt32LE(at) & 3) !== 1) continue;
      const changed = Buffer.from(frame);
      changed.writeUInt32LE(0xffff_fff8, at + 4);
      readAsEverything(changed);
    }
  });

  it("pointers that overlap are not read again and again", () => {
    // Each of the jobs points to the one payload of the first: what is read in total stays bounded by the frame.
    const payload = Buffer.alloc(100_000, 1);
    const frame = returnFrame(0, schema.FetchResponse, (response) => {
      setData(response.initLease(16), Buffer.alloc(16, 7));
      const list = response.initJobs(500);
      for (let i = 0; i < 500; i++) setData(list.get(i).initId(16), Buffer.alloc(16, i));
      setData(list.get(0).initPayload(payload.length), payload);
    });
    const size = schema.FetchedJob._capnp.size;
    const step = size.dataByteLength + size.pointerLength * 8;
    const tag = frame.indexOf(
      Buffer.from([...u32(500 << 2), ...u32((size.dataByteLength / 8) | (size.pointerLength << 16))]),
    );
    assert.ok(tag > 0);
    const first = tag + 8 + size.dataByteLength + 8;
    const target = first + 8 + (frame.readInt32LE(first) >> 2) * 8;
    for (let i = 1; i < 500; i++) {
      const at = first + i * step;
      frame.writeInt32LE((((target - at) / 8 - 1) << 2) | 1, at);
      frame.writeUInt32LE(frame.readUInt32LE(first + 4), at + 4);
    }
    const reader = MessageReader.of(frame);
    const message = readMessage(reader);
    assert.ok(message.kind === "return");
    const response = reader.structOrEmpty(readResults(reader, message.outcome), 0);
    assert.throws(() => readFetch(reader, response, ["q"]), { code: "protocol" });
  });

  it("any damage of a frame gives a value or a CapstanError", () => {
    const frames = [
      grantFrame(3),
      returnFrame(0, schema.JobsResponse, (response) => {
        const job = response.initJobs(2).get(1);
        job.setQueue("queue");
        job.setLastError("error");
        job.initHeaders(2).get(0).setName("n");
      }),
      returnFrame(0, schema.ExchangeResponse, (response) => {
        response.initAcks(1).get(0).initRefused(3);
        response.initFetch().initJobs(1).get(0).setGroup("g");
      }),
    ];
    const damage = fc.array(fc.tuple(fc.nat(), fc.nat({ max: 255 })), { minLength: 1, maxLength: 8 });
    fc.assert(
      fc.property(fc.nat({ max: frames.length - 1 }), damage, (which, changes) => {
        const frame = Buffer.from(frames[which] as Buffer);
        // The segment table stays: the splitter has judged it.
        for (const [place, value] of changes) frame[8 + (place % (frame.length - 8))] = value;
        readAsEverything(frame);
      }),
      { numRuns: 5_000 },
    );
  });

  it("any damage of an answer that the library reads ends in bounded time, as a value or an error", () => {
    const frames = coldFrames();
    const damage = fc.array(fc.tuple(fc.nat(), fc.nat({ max: 7 })), { minLength: 1, maxLength: 6 });
    let understood = 0;
    let damaged = 0;
    fc.assert(
      fc.property(fc.nat({ max: frames.length - 1 }), damage, (which, flips) => {
        const frame = Buffer.from(frames[which] as Buffer);
        for (const [place, bit] of flips) {
          const at = 8 + (place % (frame.length - 8));
          frame[at] = (frame[at] as number) ^ (1 << bit);
        }
        understood += readAsEverything(frame);
        damaged++;
      }),
      { numRuns: 2_000 },
    );
    // The damage is of both kinds: some answers are still read, and some are not.
    assert.ok(
      understood > damaged && understood < damaged * (hotReadings.length + coldReadings.length),
      `${understood} of ${damaged}`,
    );
  });

  it("an answer of each cold kind, with any one of its bits flipped, is read or refused", () => {
    coldFrames().forEach((whole, kind) => {
      const own = coldReadings[kind] as Reading;
      assert.equal(readAs(own, whole), kind !== refusedKind);
      for (let bit = 64; bit < whole.length * 8; bit++) {
        const frame = Buffer.from(whole);
        frame[bit >> 3] = (frame[bit >> 3] as number) ^ (1 << (bit & 7));
        readAs(own, frame);
      }
    });
  });

  it("a list that says it holds millions of structs without fields is refused before memory is taken", () => {
    const frame = returnFrame(0, schema.ListQueuesResponse, (response) => response.initQueues(0));
    // The list's pointer, and its tag of zero structs: now of as many as there can be, each of no size.
    const tag = frame.length - 8;
    frame.writeUInt32LE(0x1fff_fffc, tag);
    frame.writeUInt32LE(0, tag + 4);
    const before = process.memoryUsage().arrayBuffers;
    const reader = MessageReader.of(frame);
    const message = readMessage(reader);
    assert.ok(message.kind === "return");
    assert.throws(() => operations.listQueues({}).decode(reader, message.outcome), { code: "protocol" });
    assert.ok(process.memoryUsage().arrayBuffers - before < 10 << 20);
  });

  it("structs that lead into themselves are refused", () => {
    const frame = returnFrame(0, schema.QueueResponse, (response) => response.initQueue());
    // Every struct pointer in turn leads to the struct that holds it.
    for (let at = 16; at + 8 <= frame.length; at += 8) {
      const changed = Buffer.from(frame);
      changed.writeInt32LE(-2 << 2, at);
      changed.writeUInt32LE(0x0002_0000, at + 4);
      readAsEverything(changed);
    }
  });

  for (const [what, damage] of [
    ["a text out of the frame", (frame: Buffer) => frame.writeUInt32LE(0x7fff_fff1, frame.length - 8)],
    ["a far pointer to nowhere", (frame: Buffer) => frame.writeBigUInt64LE(0x0000_0007_0000_0002n, frame.length - 8)],
  ] as const) {
    it(`a cold answer with ${what}: its call rejects with protocol, and the next one works`, async () => {
      const read = rejection(client.listQueues());
      const call = await server.next("listQueues");
      const frame = returnFrame(call.question, schema.ListQueuesResponse, () => {});
      damage(frame);
      call.connection.send(frame);
      assert.equal((await read).code, "protocol");
      assert.equal((await client.serverInfo()).version, "test");
      assert.equal(server.connections.length, 2);
    });
  }

  it("thousands of damaged cold answers over sockets: each call gets its answer or a CapstanError", async () => {
    const frames = coldFrames();
    let seed = 20_251;
    const random = (below: number) => {
      seed = (Math.imul(seed, 1_103_515_245) + 12_345) >>> 0;
      return (seed >>> 8) % below;
    };
    server.handler = (call) => {
      if (call.method === "serverInfo" || call.method === "openSession") return false;
      const frame = Buffer.from(frames[random(frames.length)] as Buffer);
      const flips = 1 + random(4);
      for (let i = 0; i < flips; i++) {
        // Its number of the question lies in the Return's first word: the answer is to be for this call.
        const at = 8 + random(frame.length - 8);
        frame[at] = (frame[at] as number) ^ (1 << random(8));
      }
      frame.writeUInt32LE(call.question, returnAt);
      call.connection.send(frame);
      return true;
    };
    const codes = new Map<string, number>();
    for (let i = 0; i < 1_000; i++) {
      const call = [
        () => client.listQueues({ timeoutMs: 50 }),
        () => client.peek("q", { timeoutMs: 50 }),
        () => client.getJob(id, { timeoutMs: 50 }),
        () => client.deleteJobs([id], { timeoutMs: 50, retryBusy: false }),
      ][i % 4] as () => Promise<unknown>;
      const code = await call().then(
        () => "value",
        (error: unknown) => {
          assert.ok(error instanceof CapstanError, String(error));
          return error.code;
        },
      );
      codes.set(code, (codes.get(code) ?? 0) + 1);
    }
    assert.ok((codes.get("protocol") ?? 0) > 50 && (codes.get("value") ?? 0) > 50, JSON.stringify([...codes]));
  });

  it("damaged pointers, word by word", () => {
    const frame = grantFrame(2);
    const words = [
      0n,
      ~0n,
      0x0000_0000_0000_0002n,
      0x0000_0000_0000_0006n,
      0x7fff_ffff_ffff_ffffn,
      1n,
      0xffff_fff9_0000_0001n,
    ];
    for (let at = 8; at + 8 <= frame.length; at += 8) {
      for (const word of words) {
        const changed = Buffer.from(frame);
        changed.writeBigUInt64LE(BigInt.asUintN(64, word), at);
        readAsEverything(changed);
      }
    }
  });
});

describe("frames", { timeout: 60_000 }, () => {
  it("of several segments, with far and double far pointers, are read", () => {
    // Segment 0: a far root. Segment 1: the pad, and the Return message's struct behind it.
    const status = frameWithSegments([
      [0x0000_0001_0000_0002n],
      [0x0001_0001_0000_0000n, 3n, 0x0001_0002_0000_0000n, 0x0002_0000_0000_0005n, 0n, 0n],
    ]);
    const reader = MessageReader.of(status);
    const message = readMessage(reader);
    assert.ok(message.kind === "return");
    assert.equal(message.question, 5);
    assert.throws(() => readResults(reader, message.outcome), { code: "canceled" });

    const double = frameWithSegments([
      [0x0000_0001_0000_0006n],
      [0x0000_0002_0000_0002n, 0x0001_0001_0000_0000n],
      [3n, 0x0001_0002_0000_0000n, 0x0002_0000_0000_0006n, 0n, 0n],
    ]);
    const again = readMessage(MessageReader.of(double));
    assert.ok(again.kind === "return");
    assert.equal(again.question, 6);
  });

  it("are cut from a stream however it is chunked", () => {
    const frames = [grantFrame(1), frameWithSegments([[1n], [2n, 3n]]), Buffer.alloc(8), grantFrame(40), frameOf(9n)];
    const stream = Buffer.concat(frames);
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 1, max: 700 }), { minLength: 1, maxLength: 30 }), (sizes) => {
        const splitter = new FrameSplitter();
        const found: Buffer[] = [];
        let at = 0;
        for (let i = 0; at < stream.length; i++) {
          const end = Math.min(stream.length, at + (sizes[i % sizes.length] as number));
          splitter.push(stream.subarray(at, end), (memory, from, to) => {
            found.push(Buffer.from(memory.bytes.subarray(from, to)));
          });
          at = end;
        }
        assert.deepEqual(found, frames);
      }),
    );
  });

  it("larger than an answer may be are refused before memory is taken", () => {
    const splitter = new FrameSplitter();
    const header = Buffer.alloc(8);
    header.writeUInt32LE(answerBytesMax / 8, 4);
    assert.throws(() => splitter.push(header, () => assert.fail("no frame")), { code: "protocol" });
  });
});

/** Behind the segment table and the root message lies the Return, whose first word begins with its question. */
const returnAt = 8 + 8 + 16;

function frameWithSegments(segments: readonly (readonly bigint[])[]): Buffer {
  const table = Buffer.alloc(Math.ceil((segments.length + 1) / 2) * 8);
  table.writeUInt32LE(segments.length - 1, 0);
  segments.forEach((words, index) => {
    table.writeUInt32LE(words.length, 4 + index * 4);
  });
  return Buffer.concat([table, ...segments.map((words) => frameOf(...words).subarray(8))]);
}

function u32(value: number): Uint8Array {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value);
  return bytes;
}
