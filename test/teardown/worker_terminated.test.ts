// A listener worker's thread may be terminated with connections open and fetches parked: its sockets close, its part of
// the engine is given up, and engine and process go on and end in order.

import { rmSync } from "node:fs";
import { after, it } from "node:test";
import { assertEnded, runScenario } from "../support/addon_scenario.js";
import { temporaryDirectory } from "../support/server_process.js";

const dataDir = temporaryDirectory();
after(() => rmSync(dataDir, { recursive: true, force: true }));

it("a terminated worker leaves an engine that serves the next and closes", async () => {
  const said = `${"terminated with 1\n".repeat(3)}closed\n`;
  assertEnded(await runScenario("terminate", dataDir), 0, said);
});
