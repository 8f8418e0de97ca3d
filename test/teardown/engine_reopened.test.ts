// The engine can be closed and opened again in one process, on the same directory, and a close that comes too early is
// refused without harm. Each case is a process of its own.

import { rmSync } from "node:fs";
import { after, it } from "node:test";
import { assertEnded, runScenario } from "../support/addon_scenario.js";
import { temporaryDirectory } from "../support/server_process.js";

const dataDir = temporaryDirectory();
after(() => rmSync(dataDir, { recursive: true, force: true }));

it("the engine opens, closes, and opens again", async () => {
  assertEnded(await runScenario("engine", dataDir, "again"), 0, "closed 0\nclosed 1\nclosed 2\n");
});
