// Clients that hold on to what they take, some hundreds or thousands at a time: within bounds of memory, closed when their
// time is over, and a client that behaves is served meanwhile. Owns nothing; crowds.ts has the servers.

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import * as crowds from "./crowds.js";

const MiB = 1 << 20;

const cases: readonly [string, () => Promise<crowds.CrowdFigures>][] = [
  ["half-open headers by the thousand", () => crowds.halfOpen(2000)],
  ["half frames of more than there is memory", () => crowds.halfFrames(100, 4 * MiB)],
  ["questions that are never finished", () => crowds.neverFinished(2)],
  ["calls that are never answered", () => crowds.neverAnswered(8)],
  ["ears that hear nothing", () => crowds.deaf(8)],
  ["a byte a second", () => crowds.slowly(100)],
  ["connections opened and closed", () => crowds.flood(2000)],
  ["thousands of connections at once", () => crowds.atOnce(4000)],
  ["no file left to open", () => crowds.noFilesLeft(100)],
];

describe("hostile connections", () => {
  for (const [what, run] of cases) {
    it(what, async (context) => {
      const figures = await run();
      assert.ok(figures.jobs >= 100, "a client that behaves was served");
      context.diagnostic(JSON.stringify(figures));
    });
  }
});
