// Owns: the messages that the library (capnp-ts, with the classes generated from the schema) carries whole, envelope
// included: everything but the hot calls. Out, it builds a frame; in, it takes one that reader.ts has walked before, since
// the library itself bounds neither far pointers nor the size of lists. Whatever it throws at damaged bytes becomes a
// `protocol` fault here. Never touches a socket. Called by operations.ts, encode_admin.ts, decode_admin.ts and the
// connection.

import * as capnp from "capnp-ts";
import { getTargetListElementSize } from "capnp-ts/src/serialization/pointers/pointer.js";
import { getSize } from "capnp-ts/src/serialization/pointers/struct.js";
import * as rpc from "capnp-ts/src/std/rpc.capnp.js";
import { JobQueue } from "../../generated/protocol.js";
import { CapstanError, protocolFault } from "../errors.js";
import { exceptionError } from "./decode.js";
import { emptyBytes, type MessageReader } from "./reader.js";
import type { CallTarget } from "./rpc.js";
import type { FrameWriter } from "./writer.js";

/** Of a list whose elements lack fields: each of them is copied, and what a page holds is far below. */
const narrowListMax = 4_096;
/** What the library may allocate in pointers while it reads, for each byte of the frame that reader.ts has bounded. */
const traversalPerByte = 64;
const traversalMin = 1 << 20;

/** Places in structs of rpc.capnp: `Payload.capTable`, and `Exception.reason`. */
const capTableIndex = 1;
const reasonIndex = 0;

/** The parameters or the results of a method: one pointer. */
class Wrapper extends capnp.Struct {
  static override readonly _capnp = { displayName: "Wrapper", id: "0", size: new capnp.ObjectSize(0, 1) };
}

/** Any struct: the library widens nothing that is read as it. */
class Bare extends capnp.Struct {
  static override readonly _capnp = { displayName: "Bare", id: "0", size: new capnp.ObjectSize(0, 0) };
}

const BareList = capnp.CompositeList(Bare);

export function writeLibraryCall<T extends capnp.Struct>(
  writer: FrameWriter,
  question: number,
  target: CallTarget,
  method: number,
  type: capnp.StructCtor<T>,
  fill: (request: T) => void,
): void {
  const message = new capnp.Message();
  const call = message.initRoot(rpc.Message).initCall();
  call.setQuestionId(question);
  call.setMethodId(method);
  call.setInterfaceId(JobQueue.interfaceId);
  const to = call.initTarget();
  if ("importedCap" in target) to.setImportedCap(target.importedCap);
  else to.initPromisedAnswer().setQuestionId(target.question);
  const params = capnp.Struct.initStructAt(0, Wrapper, call.initParams());
  fill(capnp.Struct.initStructAt(0, type, params));
  append(writer, message);
}

export function writeBootstrap(writer: FrameWriter, question: number): void {
  const message = new capnp.Message();
  message.initRoot(rpc.Message).initBootstrap().setQuestionId(question);
  append(writer, message);
}

export function writeAbort(writer: FrameWriter, reason: string): void {
  const message = new capnp.Message();
  message.initRoot(rpc.Message).initAbort().setReason(reason);
  append(writer, message);
}

/** Reads the results of a Return; throws the error that it carries instead. */
export function readLibraryAnswer<Response extends capnp.Struct, T>(
  reader: MessageReader,
  type: capnp.StructCtor<Response>,
  read: (response: Response) => T,
): T {
  return understood(() => {
    const results = capnp.Struct.getStruct(0, Wrapper, payloadOf(reader));
    return read(capnp.Struct.getStruct(0, type, results));
  });
}

/** The number of the capability that the answer to a bootstrap holds. */
export function readBootstrap(reader: MessageReader): number {
  return understood(() => {
    const first = structsOf(payloadOf(reader), capTableIndex, rpc.CapDescriptor)[0];
    if (first === undefined) throw protocolFault("the bootstrap gave no capability");
    // Both are imports of ours.
    if (first.which() === rpc.CapDescriptor.SENDER_HOSTED) return first.getSenderHosted();
    if (first.which() === rpc.CapDescriptor.SENDER_PROMISE) return first.getSenderPromise();
    throw protocolFault("the bootstrap's capability is not the server's");
  });
}

export function readAbort(reader: MessageReader): string {
  return understood(() => textOf(messageOf(reader).getAbort(), reasonIndex));
}

/**
 * The structs of the list at pointer `index`. An older server's have fewer fields: those are widened one by one, since
 * the library, when it widens a list, takes pointers for the numbers that were added.
 */
export function structsOf<T extends capnp.Struct>(of: capnp.Struct, index: number, type: capnp.StructCtor<T>): T[] {
  if (capnp.Pointer.isNull(capnp.Struct.getPointer(index, of))) return [];
  const bare = capnp.Struct.getPointerAs(index, BareList, of);
  if (getTargetListElementSize(bare) !== capnp.ListElementSize.COMPOSITE)
    throw protocolFault("a list of bare elements");
  const count = bare.getLength();
  if (count === 0) return [];
  const elementSize = getSize(bare.get(0));
  const { size } = type._capnp;
  const isNarrow = elementSize.dataByteLength < size.dataByteLength || elementSize.pointerLength < size.pointerLength;
  if (isNarrow && count > narrowListMax) throw protocolFault("a list of too many narrow structs");
  const found: T[] = [];
  for (let i = 0; i < count; i++) {
    const element = bare.get(i);
    found.push(isNarrow ? widened(element, elementSize, type) : capnp.Struct.getAs(type, element));
  }
  return found;
}

/**
 * A text of the struct. The library's own decoder fails at what is not UTF-8 to its last byte, and the server cuts a
 * failed job's reason wherever its limit lies.
 */
export function textOf(of: capnp.Struct, index: number): string {
  const bytes = bytesOf(of, index);
  if (bytes.length === 0) return "";
  if (bytes[bytes.length - 1] !== 0) throw protocolFault("a text without its final zero");
  return bufferOf(bytes).toString("utf8", 0, bytes.length - 1);
}

/** A view of the message's memory, which is a copy of the frame. */
export function bytesOf(of: capnp.Struct, index: number): Uint8Array {
  const pointer = capnp.Struct.getPointer(index, of);
  return capnp.Pointer.isNull(pointer) ? emptyBytes : capnp.Data.fromPointer(pointer).toUint8Array();
}

export function hexOf(of: capnp.Struct, index: number): string {
  return bufferOf(bytesOf(of, index)).toString("hex");
}

/** A list of hex ids as a list of data. */
export function fillIds(list: capnp.List<capnp.Data>, ids: readonly string[]): void {
  for (let i = 0; i < ids.length; i++) {
    const data = list.get(i);
    const bytes = Buffer.from(ids[i] ?? "", "hex");
    capnp.List.initList(capnp.ListElementSize.BYTE, bytes.length, data);
    data.copyBuffer(bytes);
  }
}

function understood<T>(read: () => T): T {
  try {
    return read();
  } catch (error) {
    throw error instanceof CapstanError ? error : protocolFault(String(error));
  }
}

function append(writer: FrameWriter, message: capnp.Message): void {
  writer.append(new Uint8Array(message.toArrayBuffer()));
}

function messageOf(reader: MessageReader): rpc.Message {
  reader.walk();
  const frame = reader.wholeFrame();
  const message = new capnp.Message(frame, false);
  message._capnp.traversalLimit = traversalMin + frame.length * traversalPerByte;
  return message.getRoot(rpc.Message);
}

function payloadOf(reader: MessageReader): rpc.Payload {
  const answer = messageOf(reader).getReturn();
  switch (answer.which()) {
    case rpc.Return.RESULTS:
      return answer.getResults();
    case rpc.Return.EXCEPTION: {
      const exception = answer.getException();
      throw exceptionError(exception.getType(), textOf(exception, reasonIndex));
    }
    case rpc.Return.CANCELED:
      throw new CapstanError("canceled", "the server canceled the call");
    default:
      throw protocolFault(`a return of kind ${answer.which()}`);
  }
}

/** A copy of the element with room for every field, those that it lacks at their defaults. */
function widened<T extends capnp.Struct>(element: Bare, elementSize: capnp.ObjectSize, type: capnp.StructCtor<T>): T {
  const { size } = type._capnp;
  const copy = new capnp.Message().initRoot(type);
  for (let at = 0; at < Math.min(size.dataByteLength, elementSize.dataByteLength); at += 8) {
    capnp.Struct.setUint64(at, capnp.Struct.getUint64(at, element), copy);
  }
  for (let index = 0; index < Math.min(size.pointerLength, elementSize.pointerLength); index++) {
    capnp.Pointer.copyFrom(capnp.Struct.getPointer(index, element), capnp.Struct.getPointer(index, copy));
  }
  return copy;
}

function bufferOf({ buffer, byteOffset, byteLength }: Uint8Array): Buffer {
  return Buffer.from(buffer, byteOffset, byteLength);
}
