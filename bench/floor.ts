// Runs the floor program of native/floor_main.cc: what this machine gives at this moment to a bare loop. Owns the child
// process while it runs. Called by run.ts, in the same directory that the server then uses.

import { execFile } from "node:child_process";
import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

const program = fileURLToPath(new URL("../../build/Release/bench_floor", import.meta.url));

export interface Floor {
  /** Appends with fdatasync and Puts of the same bytes, one after the other in one thread. */
  readonly jobsPerSecond: number;
  readonly putsPerSecond: number;
  readonly appendBytesPerSecond: number;
  /** The appends alone, counted in jobs. */
  readonly appendJobsPerSecond: number;
  /** Median of one small append with fdatasync. */
  readonly syncMicroseconds: number;
}

/** Undefined where the program is not built. */
export async function measureFloor(directory: string, seconds: number): Promise<Floor | undefined> {
  if (!existsSync(program)) return undefined;
  const { stdout } = await promisify(execFile)(program, [directory, String(seconds)]);
  return JSON.parse(stdout) as Floor;
}
