// A byte flipped anywhere in a stopped server's files: refused by name, or everything is served. Owns the scratch
// directory; the trials are those of flips.ts, few of them, of the same seed each time.

import assert from "node:assert/strict";
import { rmSync } from "node:fs";
import { after, test } from "node:test";
import { temporaryDirectory } from "../support/server_process.js";
import { runFlips } from "./flips.js";

const scratch = temporaryDirectory();
after(() => rmSync(scratch, { recursive: true, force: true }));

test("sixty flipped bytes: each is refused naming the file, or every job is served", async (context) => {
  const figures = await runFlips({
    trials: 60,
    seed: 1,
    parallel: 2,
    scratch,
    size: { ready: 2500, leased: 300, scheduled: 600, dead: 300, acked: 600, payloadBytesMax: 1200 },
    say: (line) => context.diagnostic(line),
  });
  assert.deepEqual(figures.failures, []);
  assert.equal(figures.served + figures.refused + figures.ended, 60);
  assert.ok(figures.refused > 0 && figures.served > 0, JSON.stringify(figures));
  assert.ok(figures.segments >= 4 && figures.tables >= 10, "the jobs fill several segments and files of the state");
});
