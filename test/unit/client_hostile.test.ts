// Whatever bytes a server sends, a caller gets a CapstanError and the process goes on: damaged and hostile frames, lying
// sizes, answers to nothing. The connection that brought them is closed, and the next call uses a new one.

import assert from "node:assert/strict";
import { afterEach, beforeEach, describe, it } from "node:test";
import { Message } from "capnp-ts";
import * as rpc from "capnp-ts/src/std/rpc.capnp.js";
import fc from "fast-check";
import { CapstanClient, CapstanError } from "../../src/client/index.js";
import { readExchange, readFetch, readMessage, readResults } from "../../src/client/wire/decode.js";
import { readJobs, readQueues } from "../../src/client/wire/decode_admin.js";
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

/** Reads a frame as every kind of answer; throws nothing but CapstanErrors. */
function readAsEverything(frame: Buffer): void {
  const readings = [
    (reader: MessageReader, at: ReturnType<MessageReader["root"]>) => readFetch(reader, at, ["q"]),
    (reader: MessageReader, at: ReturnType<MessageReader["root"]>) =>
      readExchange(reader, at, { acks: [{ lease: "", ids: "all" }], fetch: { queues: "q" } }),
    readJobs,
    readQueues,
  ];
  for (const read of readings) {
    try {
      const reader = MessageReader.of(frame);
      const message = readMessage(reader);
      if (message.kind !== "return") continue;
      read(reader, reader.structOrEmpty(readResults(reader, message.outcome), 0));
    } catch (error) {
      if (!(error instanceof CapstanError)) throw error;
    }
  }
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
