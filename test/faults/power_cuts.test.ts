// Power fails under load, five times, and takes every unsynced write and name, or some of them; nothing answered ok is
// lost. The same without syncs must lose jobs and be refused by the same judge. The long form is in main.ts.

import assert from "node:assert/strict";
import { test } from "node:test";
import { crashRounds } from "./crash_rounds.js";

test("a power cut loses nothing that was answered", async () => {
  const { violations, checked, cut } = await crashRounds({ kind: "power", rounds: 5, seed: 2 });
  assert.deepEqual(violations, []);
  assert.ok(checked.jobsOk > 100 && checked.firstDeliveries > 100, JSON.stringify(checked));
  // Whether a torn cut of five keeps a page is chance; that it can is what faulty_disk.test.ts shows.
  for (const part of ["filesCut", "pagesLost", "namesUndone"] as const) {
    assert.ok(cut[part] > 0, `the cuts took nothing: ${JSON.stringify(cut)}`);
  }
});

test("without durability a power cut loses jobs, and the judge says so", async () => {
  const { violations } = await crashRounds({ kind: "power", rounds: 1, seed: 3, control: "syncNever" });
  const lost = violations.filter(({ text }) => /^promise 1: .* was answered ok and is lost$/.test(text));
  assert.ok(lost.length > 0, JSON.stringify(violations.slice(0, 20)));
});
