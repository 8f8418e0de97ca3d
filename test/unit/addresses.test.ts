// Addresses: the grammar, and that what others can
// reach is refused unless it was asked for.

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { ServerError } from "../../src/errors.js";
import { parseAddresses, refuseInsecure } from "../../src/net/addresses.js";

describe("addresses to listen on", () => {
  it("are HOST:PORT, [HOST]:PORT and unix:PATH, several with commas", async () => {
    const parsed = await parseAddresses("rpc-listen", "127.0.0.1:0, [::1]:9090,unix:/run/c.sock,localhost:1");
    assert.deepEqual(parsed.slice(0, 3), [
      { address: "127.0.0.1:0", isLocal: true },
      { address: "[::1]:9090", isLocal: true },
      { address: "unix:/run/c.sock", isLocal: true },
    ]);
    assert.equal(parsed[3]?.isLocal, true);
  });

  it("that mean nothing are refused", async () => {
    for (const text of [
      "",
      ":9090",
      "127.0.0.1",
      "127.0.0.1:70000",
      "[::1]",
      "::1:9090",
      "unix:",
      `unix:/${"x".repeat(110)}`,
    ]) {
      await assert.rejects(parseAddresses("rpc-listen", text), ServerError, text);
    }
  });

  it("beyond this machine need --insecure", async () => {
    for (const text of ["0.0.0.0:1", "10.1.2.3:1", "[::]:1", "[fe80::1]:1", "[::ffff:10.0.0.1]:1", "128.0.0.1:1"]) {
      const parsed = await parseAddresses("rpc-listen", text);
      assert.throws(
        () => refuseInsecure("rpc-listen", parsed, false),
        (error: ServerError) => error.code === "insecureAddress" && /--insecure/.test(error.remedy ?? ""),
        text,
      );
      assert.equal(refuseInsecure("rpc-listen", parsed, true).length, 1);
    }
    const local = await parseAddresses(
      "rpc-listen",
      "127.9.9.9:1,[::1]:1,unix:x,[0:0:0:0:0:0:0:1]:2,[::ffff:127.0.0.1]:3",
    );
    assert.deepEqual(refuseInsecure("rpc-listen", local, false), []);
  });
});
