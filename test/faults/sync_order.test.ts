// No answer ok leaves before an fdatasync that began after its entry was written has returned, seen in the system calls
// of a real server. Without syncs the same look must find answers that left early.

import assert from "node:assert/strict";
import { test } from "node:test";
import { syncOrder } from "./sync_order.js";

test("every answer waits for the fdatasync of its entry", async () => {
  const { jobs, answered, syncs, early } = await syncOrder([]);
  assert.deepEqual(early, []);
  assert.equal(answered, jobs);
  assert.ok(jobs === 100 && syncs > 10, `${jobs} jobs, ${syncs} syncs`);
});

test("with syncs off, answers are seen to leave early", async () => {
  const { early } = await syncOrder(["--sync", "never"]);
  assert.ok(early.length > 0);
});
