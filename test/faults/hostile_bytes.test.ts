// Lies, broken protocol, damaged and random bytes on sockets of their own: each lie is answered as it should be, and a
// client that behaves is served meanwhile. Owns nothing; bytes.ts has the server.

import { test } from "node:test";
import { runBytes } from "./bytes.js";

test("hostile bytes are refused, and others are served", async (context) => {
  const figures = await runBytes({ rounds: 3, damaged: 500, random: 200, seed: 1 });
  context.diagnostic(JSON.stringify(figures));
});
