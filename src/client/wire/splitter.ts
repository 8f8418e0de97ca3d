// Owns: the cutting of a stream of socket chunks into whole frames. A frame that lies within a chunk is a view of it; one
// that spans chunks is copied once. Sizes are checked before memory is taken for them. Never looks into a frame. Called
// by the connection.

import { protocolFault } from "../errors.js";
import { FrameMemory, segmentTableBytes } from "./reader.js";

/** The largest answer: 16 MiB of payloads in one fetch, its first job on top, headers and structs. */
export const answerBytesMax = 64 << 20;
const segmentsMax = 512;

/** Takes the frame that lies from `from` to `to`. */
export type TakeFrame = (memory: FrameMemory, from: number, to: number) => void;

export class FrameSplitter {
  /** The beginning of a frame whose rest is still to come. */
  private partial: Buffer | null = null;
  private filled = 0;

  /** Calls `take` for each whole frame; throws a `protocol` fault when a size is out of its bounds. */
  push(chunk: Buffer, take: TakeFrame): void {
    const memory = new FrameMemory(chunk);
    let at = 0;
    while (at < chunk.length) {
      if (this.partial !== null) {
        at += this.fill(chunk, at);
        if (this.filled < this.partial.length) continue;
        const whole = this.partial;
        this.partial = null;
        take(new FrameMemory(whole), 0, whole.length);
        continue;
      }
      const bytes = frameBytes(chunk, at, chunk.length);
      if (bytes !== 0 && at + bytes <= chunk.length) {
        take(memory, at, at + bytes);
        at += bytes;
        continue;
      }
      this.filled = chunk.length - at;
      // Not even the segment table is whole: room for as much of it as tells its size.
      this.partial = Buffer.allocUnsafeSlow(bytes === 0 ? tableBytes(chunk, at, chunk.length) : bytes);
      chunk.copy(this.partial, 0, at);
      at = chunk.length;
    }
  }

  private fill(chunk: Buffer, at: number): number {
    const partial = this.partial as Buffer;
    const copied = chunk.copy(partial, this.filled, at);
    this.filled += copied;
    if (this.filled < partial.length) return copied;
    const bytes = frameBytes(partial, 0, partial.length);
    const wanted = bytes === 0 ? tableBytes(partial, 0, partial.length) : bytes;
    if (wanted > partial.length) {
      this.partial = Buffer.allocUnsafeSlow(wanted);
      partial.copy(this.partial, 0, 0, this.filled);
    }
    return copied;
  }
}

/** Of the frame at `at`; 0 when its segment table is not whole yet. */
function frameBytes(chunk: Buffer, at: number, end: number): number {
  const table = tableBytes(chunk, at, end);
  if (end - at < table) return 0;
  const count = chunk.readUInt32LE(at) + 1;
  let bytes = table;
  for (let i = 0; i < count; i++) bytes += chunk.readUInt32LE(at + 4 + i * 4) * 8;
  if (bytes > answerBytesMax) throw protocolFault(`a frame of ${bytes} bytes, more than ${answerBytesMax}`);
  return bytes;
}

/** Of the frame's segment table, or of the part that tells its size. */
function tableBytes(chunk: Buffer, at: number, end: number): number {
  if (end - at < 4) return 8;
  const segments = chunk.readUInt32LE(at) + 1;
  if (segments > segmentsMax) throw protocolFault(`a frame of ${segments} segments`);
  return segmentTableBytes(segments);
}
