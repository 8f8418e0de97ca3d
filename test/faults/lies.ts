// What hostile peers send: frames that lie, messages that break the protocol, requests that would grow, each with how the
// server is to answer. Owns the list; sends nothing. Used by the test of hostile bytes.

import { EnqueueRequest, FetchRequest } from "../../src/generated/capstan.capnp.js";
import { callFrame } from "../support/rpc_server.js";
import { bootstrapFrame, claimOf, finishFrame, frameOf, framesOfSegments, messageFrame } from "./raw_peer.js";

/** `aborted`: told why and closed. `unimplemented`: the message comes back, and the connection goes on. `raised`: the call
 *  is answered by an exception. `refused`: it is answered by a status. */
export type Ending = "aborted" | "unimplemented" | "raised" | "refused";

export interface Lie {
  readonly what: string;
  readonly frames: readonly Buffer[];
  readonly ending: Ending;
  /** Of the call that is answered. */
  readonly question?: number;
}

const bootstrapped = 0;
const target = { question: bootstrapped };

/** A struct pointer. */
const struct = (offset: number, dataWords: number, pointers: number): bigint =>
  (BigInt(offset) << 2n) | (BigInt(dataWords) << 32n) | (BigInt(pointers) << 48n);
/** A list pointer; the size 7 is a composite one. */
const list = (offset: number, size: number, count: number): bigint =>
  1n | (BigInt(offset) << 2n) | (BigInt(size) << 32n) | (BigInt(count) << 35n);
const far = (segment: number, word: number, isDouble = false): bigint =>
  2n | (isDouble ? 4n : 0n) | (BigInt(word) << 3n) | (BigInt(segment) << 32n);

const message = (kind: number): Buffer => frameOf(struct(0, 1, 1), BigInt(kind), 0n);

const fetchCall = (question: number, fill: (request: FetchRequest) => void): Buffer =>
  callFrame(question, target, "fetch", FetchRequest, fill);
const enqueueCall = (question: number): Buffer =>
  callFrame(question, target, "enqueue", EnqueueRequest, (request) => {
    request.setQueue("lies");
    request.initJobs(1).get(0).initPayload(8);
  });

/** A call of enqueue whose request struct is `words`, the first of them its pointer. */
function enqueueOf(...words: bigint[]): Buffer {
  const frame = enqueueCall(1);
  // Message, Call, target, promised answer and payload as the library lays them; the params' one pointer is replaced.
  const head = headOfCall(frame);
  return frameOf(...head, ...words);
}

/** The words of a call up to the pointer of its request, which must come last. */
function headOfCall(frame: Buffer): bigint[] {
  const words: bigint[] = [];
  for (let at = 8; at + 8 <= frame.length; at += 8) words.push(frame.readBigUInt64LE(at));
  const call = 2;
  const content = call + 3 + 1;
  const payload = content + 1 + offsetOf(words[content] as bigint);
  const params = payload + 1 + offsetOf(words[payload] as bigint);
  return words.slice(0, params);
}

function offsetOf(pointer: bigint): number {
  return Number(BigInt.asIntN(30, (pointer & 0xffff_ffffn) >> 2n));
}

/** A list of lists of lists, each of one. */
function nested(depth: number): bigint[] {
  return Array.from({ length: depth }, () => list(0, 6, 1));
}

const requestStruct = struct(0, 2, 3);

export const lies: readonly Lie[] = [
  { what: "4 G segments", frames: [Buffer.from("ffffffff00000000", "hex")], ending: "aborted" },
  { what: "513 segments", frames: [claimOf(...Array.from({ length: 513 }, () => 1))], ending: "aborted" },
  {
    what: "512 segments of 4 G words",
    frames: [claimOf(...Array.from({ length: 512 }, () => 2 ** 32 - 1))],
    ending: "aborted",
  },
  { what: "a frame of 32 MiB and a word", frames: [claimOf((32 << 17) + 1)], ending: "aborted" },
  { what: "an empty frame", frames: [claimOf(0)], ending: "aborted" },
  { what: "an empty first segment", frames: [framesOfSegments([], [0n])], ending: "aborted" },
  { what: "a null root", frames: [frameOf(0n)], ending: "aborted" },
  { what: "a root behind the frame", frames: [frameOf(struct(0x1fff_fff0, 1, 1))], ending: "aborted" },
  { what: "a root before the frame", frames: [frameOf(struct(0, 1, 1) | 0xffff_ff00n)], ending: "aborted" },
  { what: "a root larger than the frame", frames: [frameOf(struct(0, 0xffff, 0xffff), 0n)], ending: "aborted" },
  { what: "a root that is a list", frames: [frameOf(list(0, 2, 1), 0n)], ending: "aborted" },
  { what: "a far pointer to no segment", frames: [frameOf(far(9, 0), 0n)], ending: "aborted" },
  { what: "a far pointer behind its segment", frames: [framesOfSegments([far(1, 99)], [0n])], ending: "aborted" },
  { what: "a far pointer to itself", frames: [frameOf(far(0, 0))], ending: "aborted" },
  { what: "far pointers in a ring", frames: [framesOfSegments([far(1, 0)], [far(0, 0)])], ending: "aborted" },
  {
    what: "a double far pointer without its pads",
    frames: [framesOfSegments([far(1, 0, true)], [0n])],
    ending: "aborted",
  },
  { what: "a capability as root", frames: [frameOf(3n)], ending: "aborted" },
  {
    what: "the text of a web browser",
    frames: [Buffer.from("GET / HTTP/1.1\r\nHost: capstan\r\n\r\n")],
    ending: "aborted",
  },

  { what: "Finish of an unknown question", frames: [finishFrame(77)], ending: "aborted" },
  { what: "Finish twice", frames: [bootstrapFrame(5), finishFrame(5), finishFrame(5)], ending: "aborted" },
  { what: "a question asked again", frames: [bootstrapFrame(5), bootstrapFrame(5)], ending: "aborted" },
  {
    what: "a waiting call's question asked again",
    frames: [bootstrapFrame(0), waiting(1), waiting(1)],
    ending: "aborted",
  },
  { what: "a call on a capability that was never given", frames: [callOnImport(99)], ending: "aborted" },
  { what: "a call on the object before the bootstrap", frames: [callOnImport(0)], ending: "aborted" },
  { what: "a call on an unknown answer", frames: [enqueueCall(1)], ending: "aborted" },
  { what: "a Return", frames: [messageFrame((m) => m.initReturn().setAnswerId(3))], ending: "aborted" },
  { what: "a Release of what was never given", frames: [releaseOf(12, 1)], ending: "aborted" },
  {
    what: "a Release of more than was given",
    frames: [bootstrapFrame(0), releaseOf(0, 4_000_000_000)],
    ending: "aborted",
  },
  { what: "an Unimplemented", frames: [message(0)], ending: "aborted" },
  {
    what: "a Disembargo of an unknown target",
    frames: [messageFrame((m) => m.initDisembargo().initContext().setSenderLoopback(1))],
    ending: "aborted",
  },

  { what: "Resolve", frames: [messageFrame((m) => m.initResolve().setPromiseId(1))], ending: "unimplemented" },
  { what: "Provide", frames: [messageFrame((m) => m.initProvide().setQuestionId(1))], ending: "unimplemented" },
  { what: "Accept", frames: [messageFrame((m) => m.initAccept().setQuestionId(1))], ending: "unimplemented" },
  { what: "Join", frames: [messageFrame((m) => m.initJoin().setQuestionId(1))], ending: "unimplemented" },
  { what: "obsoleteSave", frames: [message(7)], ending: "unimplemented" },
  { what: "obsoleteDelete", frames: [message(9)], ending: "unimplemented" },
  { what: "a message of no known kind", frames: [message(60_000)], ending: "unimplemented" },

  { what: "an unknown interface", frames: [bootstrapFrame(0), callOfInterface(7n, 0)], ending: "raised", question: 1 },
  {
    what: "an unknown method",
    frames: [bootstrapFrame(0), callOfInterface(undefined, 999)],
    ending: "raised",
    question: 1,
  },
  {
    what: "a call on the answer of a call",
    frames: [bootstrapFrame(0), enqueueCall(1), callOnAnswer(2, 1)],
    ending: "raised",
    question: 2,
  },
  {
    what: "a fetch of 4 G jobs",
    frames: [
      bootstrapFrame(0),
      fetchCall(1, (request) => {
        request.initQueues(1).set(0, "lies");
        request.setJobsMax(2 ** 32 - 1);
      }),
    ],
    ending: "refused",
    question: 1,
  },
  {
    what: "a fetch of a thousand queues",
    frames: [
      bootstrapFrame(0),
      fetchCall(1, (request) => {
        const queues = request.initQueues(1000);
        for (let at = 0; at < 1000; at++) queues.set(at, "lies");
      }),
    ],
    ending: "refused",
    question: 1,
  },
  {
    what: "half a billion jobs in no bytes",
    frames: [bootstrapFrame(0), enqueueOf(struct(0, 0, 3), 0n, 0n, list(0, 0, 0x1fff_ffff))],
    ending: "refused",
    question: 1,
  },
  {
    what: "half a billion composite jobs of no size",
    frames: [bootstrapFrame(0), enqueueOf(struct(0, 0, 3), 0n, 0n, list(0, 7, 0), 0x1fff_ffffn << 2n)],
    ending: "refused",
    question: 1,
  },
  {
    what: "a list of jobs behind the frame",
    frames: [bootstrapFrame(0), enqueueOf(requestStruct, 0n, 0n, 0n, 0n, list(0xffff, 7, 8))],
    ending: "refused",
    question: 1,
  },
  {
    what: "twenty thousand nested lists",
    frames: [bootstrapFrame(0), enqueueOf(struct(0, 0, 3), 0n, 0n, ...nested(20_000))],
    ending: "refused",
    question: 1,
  },
];

function waiting(question: number): Buffer {
  return fetchCall(question, (request) => {
    request.initQueues(1).set(0, "nothing comes here");
    request.setWaitMs(60_000n);
  });
}

function callOnImport(capability: number): Buffer {
  return callFrame(1, { importedCap: capability }, "fetch", FetchRequest, () => {});
}

function callOnAnswer(question: number, answer: number): Buffer {
  return callFrame(question, { question: answer }, "fetch", FetchRequest, () => {});
}

function callOfInterface(interfaceId: bigint | undefined, method: number): Buffer {
  return messageFrame((root) => {
    const call = root.initCall();
    call.setQuestionId(1);
    call.setInterfaceId(interfaceId ?? 0xb1b91b5277db6648n);
    call.setMethodId(method);
    call.initTarget().initPromisedAnswer().setQuestionId(bootstrapped);
    call.initParams();
  });
}

function releaseOf(capability: number, count: number): Buffer {
  return messageFrame((root) => {
    const release = root.initRelease();
    release.setId(capability);
    release.setReferenceCount(count);
  });
}

/** Frames that are right, for flips and cuts. */
export const honestFrames: readonly Buffer[] = [
  bootstrapFrame(0),
  enqueueCall(1),
  fetchCall(2, (request) => {
    request.initQueues(1).set(0, "lies");
    request.setLeaseMs(100n);
  }),
  finishFrame(1),
];
