// A process may end at any moment without engineClose: it exits with its own code, at once and without a crash, although
// the engine's threads still run; and the directory is whole and free for the next one.

import assert from "node:assert/strict";
import { rmSync } from "node:fs";
import { join } from "node:path";
import { after, describe, it } from "node:test";
import { assertEnded, runScenario } from "../support/addon_scenario.js";
import { temporaryDirectory } from "../support/server_process.js";

const scratch = temporaryDirectory();
const dataDir = join(scratch, "kept");
after(() => rmSync(scratch, { recursive: true, force: true }));

describe("a process with an engine that is not closed", () => {
  for (const turns of [0, 300, 1000, 3000, 10_000, 30_000]) {
    it(`exits while the engine opens, after ${turns} turns of the event loop`, async () => {
      // A new directory, whose opening takes the longest, and then the same one as it was left.
      for (let round = 0; round < 2; round++) {
        const end = await runScenario("engine", join(scratch, `turns-${turns}`), "while-opening", String(turns));
        assertEnded(end, 5, "");
      }
    });
  }

  it("ends when there is nothing more to do", async () => {
    assertEnded(await runScenario("engine", dataDir, "end"), 0, "open\n");
  });

  it("exits with its code", async () => {
    assertEnded(await runScenario("engine", dataDir, "exit"), 6, "open\n");
  });

  it("fails with what was thrown", async () => {
    const { code, signal, stderr } = await runScenario("engine", dataDir, "throw");
    assert.deepEqual({ code, signal }, { code: 1, signal: null });
    assert.match(stderr, /thrown on purpose/);
  });

  it("ends after the thread that opened it, though no other loaded the addon's code", async () => {
    assertEnded(await runScenario("engine", dataDir, "in-worker"), 0, "thread gone\n");
  });
});
