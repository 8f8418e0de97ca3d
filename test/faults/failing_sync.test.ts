// A server whose fsync fails ends, saying which file; nothing that it answered was on the pages that the disk dropped,
// and the next server begins as if nothing had been.

import assert from "node:assert/strict";
import { test } from "node:test";
import { failingSync } from "./failing_sync.js";

const cases = [
  { name: "of the log", which: "/log/:40", says: /fdatasync of \S+\/log\/[0-9a-f]{16}\.log: Input\/output error/ },
  { name: "of the state", which: ".sst:1", says: /\S+\.sst: Input\/output error/ },
];

for (const { name, which, says } of cases) {
  test(`a failing sync ${name} ends the server, and nothing answered is lost`, async () => {
    const { exit, stderr, violations, checked, sent } = await failingSync(which, 5);
    // Ended by its own check, which is not 0 to whoever waits for it.
    assert.deepEqual(exit, { code: null, signal: "SIGABRT" });
    assert.match(stderr, says);
    assert.deepEqual(violations, []);
    assert.ok(sent > 0 && checked.jobsOk >= sent, `${sent} of ${checked.jobsOk}`);
  });
}
