// The addon alone leaves nothing behind that could hold up or break the end of a process, whichever thread loaded it.
// Each case is a process of its own.

import { describe, it } from "node:test";
import { assertEnded, runScenario } from "../support/addon_scenario.js";

describe("a process that only loads the addon", () => {
  for (const ending of ["end", "exit"]) {
    it(`ends by ${ending} when the main thread loaded it`, async () => {
      assertEnded(await runScenario("load", "main", ending), 0, "function\n");
    });

    it(`ends by ${ending} when only a worker thread loaded it`, async () => {
      assertEnded(await runScenario("load", "worker", ending), 0, "function\nworker ended with 0\n");
    });
  }
});
