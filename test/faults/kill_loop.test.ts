// The server is killed under load and started again, four times; the history of all clients keeps the promises, and the
// final drain delivers every job that was answered ok. The long form is in main.ts.

import assert from "node:assert/strict";
import { test } from "node:test";
import { crashRounds } from "./crash_rounds.js";

test("kill -9 under load loses, doubles and reorders nothing", async () => {
  const { violations, checked, kinds } = await crashRounds({ kind: "kill", rounds: 4, seed: 1 });
  assert.deepEqual(violations, []);
  for (const part of ["jobsOk", "grantPairs", "acks", "deliveriesOfAcked", "firstDeliveries"] as const) {
    assert.ok(checked[part] > 40, `${part} is only ${checked[part]}: ${JSON.stringify(checked)}`);
  }
  for (const kind of ["release", "fail", "extend"]) assert.ok((kinds[`${kind} ok`] ?? 0) > 0, `no ${kind}`);
});
