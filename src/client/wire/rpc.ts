// Owns: the envelope of hot calls in Cap'n Proto's own protocol (rpc.capnp): call and finish. It knows where their fields
// lie and nothing of Capstan's messages; the other frames are library.ts's. Called by operations.ts and the connection.

import { JobQueue } from "../../generated/protocol.js";
import type { FrameWriter, StructSize } from "./writer.js";

/** Discriminants of rpc.capnp's `Message`. */
export const MessageKind = {
  unimplemented: 0,
  abort: 1,
  call: 2,
  return: 3,
  finish: 4,
  resolve: 5,
  release: 6,
} as const;

/** Discriminants of rpc.capnp's `Return`. */
export const ReturnKind = {
  results: 0,
  exception: 1,
  canceled: 2,
} as const;

/** Of rpc.capnp's `Exception`. */
export const ExceptionType = {
  failed: 0,
  overloaded: 1,
  disconnected: 2,
  unimplemented: 3,
} as const;

/** To whom a call goes: the capability that the bootstrap gave, or the bootstrap's answer while it is awaited. */
export type CallTarget = { readonly importedCap: number } | { readonly question: number };

const messageSize: StructSize = { dataWords: 1, pointers: 1 };
const callSize: StructSize = { dataWords: 3, pointers: 3 };
const targetSize: StructSize = { dataWords: 1, pointers: 1 };
const promisedSize: StructSize = { dataWords: 1, pointers: 1 };
const payloadSize: StructSize = { dataWords: 0, pointers: 2 };
const paramsSize: StructSize = { dataWords: 0, pointers: 1 };
const finishSize: StructSize = { dataWords: 1, pointers: 0 };

/** Begins a call. Returns the pointer that the request struct belongs to; `writer.end()` completes the frame. */
export function beginCall(writer: FrameWriter, question: number, target: CallTarget, method: number): number {
  const call = beginMessage(writer, MessageKind.call, callSize);
  writer.uint32(call, question);
  writer.uint16(call + 4, method);
  writer.bigUint64(call + 8, JobQueue.interfaceId);
  const to = writer.struct(writer.pointer(call, callSize, 0), targetSize);
  if ("importedCap" in target) {
    writer.uint32(to, target.importedCap);
  } else {
    writer.uint16(to + 4, 1);
    const promised = writer.struct(writer.pointer(to, targetSize, 0), promisedSize);
    writer.uint32(promised, target.question);
  }
  const payload = writer.struct(writer.pointer(call, callSize, 1), payloadSize);
  const params = writer.struct(writer.pointer(payload, payloadSize, 0), paramsSize);
  return writer.pointer(params, paramsSize, 0);
}

/** `keepsResult`: the capabilities of the answer stay ours, as that of the bootstrap does. */
export function writeFinish(writer: FrameWriter, question: number, keepsResult: boolean): void {
  const body = beginMessage(writer, MessageKind.finish, finishSize);
  writer.uint32(body, question);
  // releaseResultCaps is true by default, and defaults are stored inverted.
  writer.bit(body, 32, keepsResult);
  writer.end();
}

function beginMessage(writer: FrameWriter, kind: number, size: StructSize): number {
  const root = writer.begin(messageSize);
  writer.uint16(root, kind);
  return writer.struct(writer.pointer(root, messageSize, 0), size);
}
