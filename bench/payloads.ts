// Payloads that no compression makes smaller, so that a disk or a block cache is not flattered. Owns nothing; never used
// where a payload has a meaning. Called by the questions.

import { randomFillSync } from "node:crypto";

export function incompressible(count: number, bytes: number): Buffer[] {
  return Array.from({ length: count }, () => randomFillSync(Buffer.alloc(bytes)));
}
