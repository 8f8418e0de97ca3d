// What a client's promise rejects with, for tests of failures. Owns nothing: a promise that is fulfilled, or rejects with
// another kind of error, fails the test. Called by the unit tests of the client.

import assert from "node:assert/strict";
import { CapstanError } from "../../src/client/index.js";

export async function rejection(promise: Promise<unknown>): Promise<CapstanError> {
  const error = await promise.then(
    () => assert.fail("it was fulfilled"),
    (reason) => reason,
  );
  assert.ok(error instanceof CapstanError, String(error));
  return error;
}
