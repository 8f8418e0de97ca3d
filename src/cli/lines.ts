// Owns: the cutting of a byte stream into lines, or into parts that end with NUL. Bytes stay as they are; a line longer
// than its bound is an error that names it. Holds one chunk and the line that is not over yet. Called by enqueue_lines.ts.

import { formatBytes } from "../units.js";
import { exitCode, Failure } from "./exit_codes.js";

export interface SplitOptions {
  /** The byte behind each line: 10, or 0 for NUL. */
  readonly separator: number;
  readonly bytesMax: number;
}

/** The lines of one chunk at a time; the last one counts without its separator, unless it is empty. */
export async function* splitLines(chunks: AsyncIterable<Uint8Array>, options: SplitOptions): AsyncGenerator<Buffer[]> {
  const { separator, bytesMax } = options;
  let parts: Buffer[] = [];
  let partBytes = 0;
  let line = 1;
  const keep = (part: Buffer): void => {
    partBytes += part.length;
    if (partBytes > bytesMax) {
      throw new Failure(`line ${line} is longer than ${formatBytes(bytesMax)}`, exitCode.failed);
    }
    if (part.length > 0) parts.push(part);
  };
  const take = (): Buffer => {
    const whole = parts.length === 1 ? (parts[0] as Buffer) : Buffer.concat(parts);
    parts = [];
    partBytes = 0;
    line++;
    return whole;
  };
  for await (const bytes of chunks) {
    const chunk = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    const lines: Buffer[] = [];
    let from = 0;
    for (let at = chunk.indexOf(separator); at >= 0; at = chunk.indexOf(separator, from)) {
      keepOrYield(keep, chunk.subarray(from, at), lines);
      lines.push(take());
      from = at + 1;
    }
    // A chunk's memory is kept as long as the line that begins in it: copied, the rest of the chunk may go.
    keepOrYield(keep, Buffer.from(chunk.subarray(from)), lines);
    if (lines.length > 0) yield lines;
  }
  if (partBytes > 0) yield [take()];
}

/** A line that is too long must not take those before it along: they are handed over with the error. */
function keepOrYield(keep: (part: Buffer) => void, part: Buffer, lines: readonly Buffer[]): void {
  try {
    keep(part);
  } catch (error) {
    throw error instanceof Failure ? new LineTooLong(error.message, lines) : error;
  }
}

export class LineTooLong extends Failure {
  constructor(
    message: string,
    /** The whole lines of the same chunk. */
    readonly before: readonly Buffer[],
  ) {
    super(message, exitCode.failed);
  }
}
