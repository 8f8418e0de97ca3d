// Bytes that lie, break the protocol, or are nothing at all, sent to a server by sockets of their own, while a client that
// behaves is served. The list of lies is lies.ts; the server is beside.ts's. Called by the test of hostile bytes and by the long run.

import assert from "node:assert/strict";
import * as rpc from "capnp-ts/src/std/rpc.capnp.js";
import { ErrorCode } from "../../src/generated/error_codes.js";
import { SeededRandom } from "../support/seeded_random.js";
import { type BesideFigures, beside } from "./beside.js";
import { honestFrames, type Lie, lies } from "./lies.js";
import { bootstrapFrame, RawPeer, statusOf } from "./raw_peer.js";

export interface BytesFigures extends BesideFigures {
  readonly lies: number;
  readonly damaged: number;
  readonly random: number;
}

export interface BytesOptions {
  /** Each lie so often, on connections of its own. */
  readonly rounds: number;
  /** Right frames with a few bytes flipped, or cut off. */
  readonly damaged: number;
  /** Connections that send what comes from a random number generator. */
  readonly random: number;
  readonly seed: number;
}

export async function runBytes(options: BytesOptions): Promise<BytesFigures> {
  const random = new SeededRandom(options.seed);
  const figures = await beside(["--frame-timeout-ms", "1s"], async ({ address, steady }) => {
    for (let round = 0; round < options.rounds; round++) {
      const told = await Promise.allSettled(lies.map((lie) => tell(address, lie)));
      const wrong = told.flatMap((one) => (one.status === "rejected" ? [String(one.reason)] : []));
      assert.deepEqual(wrong, []);
    }
    await inGroups(options.damaged, () => sendAndLeave(address, damagedFrames(random)));
    await inGroups(options.random, () => sendAndLeave(address, randomBytes(random)));
    await steady.more(20);
  });
  return { ...figures, lies: options.rounds * lies.length, damaged: options.damaged, random: options.random };
}

/** One lie on a connection of its own, and how the server must answer it. */
async function tell(address: string, lie: Lie): Promise<void> {
  const peer = await RawPeer.open(address);
  try {
    peer.send(...lie.frames);
    await judge(peer, lie);
  } catch (error) {
    throw new Error(`${lie.what}: ${error instanceof Error ? error.message : error}`, { cause: error });
  } finally {
    peer.close();
  }
}

async function judge(peer: RawPeer, lie: Lie): Promise<void> {
  if (lie.ending === "aborted") {
    assert.ok((await peer.aborted()).length > 0, "it says why");
    return;
  }
  if (lie.ending === "unimplemented") {
    await peer.until(() => peer.kinds.includes(rpc.Message.UNIMPLEMENTED) || peer.isClosed);
    assert.ok(!peer.isClosed, `it was closed: ${peer.kinds}`);
  } else {
    const answer = await peer.answer(lie.question ?? 1);
    if (lie.ending === "raised") assert.equal(answer.which(), rpc.Return.EXCEPTION);
    else assertRefused(answer);
  }
  // The connection goes on.
  peer.send(bootstrapFrame(9999));
  await peer.answer(9999);
}

/** By a status of the reply, or by an exception where the request could not be read at all. */
function assertRefused(answer: rpc.Return): void {
  if (answer.which() === rpc.Return.EXCEPTION) {
    assert.match(answer.getException().getReason(), /./);
    return;
  }
  const code = statusOf(answer).getCode();
  assert.ok(code === ErrorCode.invalidArgument || code === ErrorCode.tooLarge, `refused with code ${code}`);
}

/** Some at a time, so that the files of this process suffice. */
async function inGroups(count: number, one: () => Promise<void>): Promise<void> {
  for (let done = 0; done < count; done += groupSize) {
    await Promise.all(Array.from({ length: Math.min(groupSize, count - done) }, one));
  }
}

const groupSize = 50;

/** Whatever it is answered: the server must only get over it. */
async function sendAndLeave(address: string, bytes: Buffer): Promise<void> {
  const peer = await RawPeer.open(address);
  peer.send(bytes);
  peer.socket.end();
  await peer.until(() => peer.isClosed);
}

function damagedFrames(random: SeededRandom): Buffer {
  const bytes = Buffer.concat(honestFrames);
  for (let flips = random.below(4); flips >= 0; flips--) {
    const at = random.below(bytes.length);
    bytes[at] = (bytes[at] as number) ^ (1 << random.below(8));
  }
  return random.below(4) === 0 ? bytes.subarray(0, random.below(bytes.length)) : bytes;
}

/** Half of it behind a segment table that fits, so that it is read as a message. */
function randomBytes(random: SeededRandom): Buffer {
  const bytes = random.bytes(8 * (1 + random.below(512)));
  if (random.below(2) === 0) {
    bytes.writeUInt32LE(0, 0);
    bytes.writeUInt32LE(bytes.length / 8 - 1, 4);
  }
  return bytes;
}
