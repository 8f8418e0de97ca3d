// How much memory a process has resident, now and at its peak, as the kernel counts it. Owns nothing. Used by the tests
// that hold a server to its budget.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { KiB } from "../../src/units.js";

export interface ProcessMemory {
  readonly residentBytes: number;
  readonly peakBytes: number;
}

export function memoryOf(pid: number): ProcessMemory {
  const status = readFileSync(`/proc/${pid}/status`, "utf8");
  const bytes = (name: string): number =>
    Number(new RegExp(`^${name}:\\s+(\\d+) kB$`, "m").exec(status)?.[1] ?? assert.fail(status)) * KiB;
  return { residentBytes: bytes("VmRSS"), peakBytes: bytes("VmHWM") };
}
