// Addresses: the grammar, and that what others can
// reach is refused unless it was asked for.

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { ServerError } from "../../src/errors.js";
import {
  isPackedListener,
  listenerNumber,
  parseAddresses,
  refuseInsecure,
  shownAddress,
} from "../../src/net/addresses.js";

describe("addresses to listen on", () => {
  it("are HOST:PORT, [HOST]:PORT and unix:PATH, several with commas", async () => {
    const parsed = await parseAddresses("rpc-listen", "127.0.0.1:0, [::1]:9090,unix:/run/c.sock,localhost:1");
    assert.deepEqual(parsed.slice(0, 3), [
      { address: "127.0.0.1:0", isLocal: true, isPacked: false },
      { address: "[::1]:9090", isLocal: true, isPacked: false },
      { address: "unix:/run/c.sock", isLocal: true, isPacked: false },
    ]);
    assert.equal(parsed[3]?.isLocal, true);
  });

  it("may be of the packed form where that is served, and keep it in their listener's number", async () => {
    const text = "127.0.0.1:0,packed:[::1]:9090,packed:unix:/run/c.sock";
    const parsed = await parseAddresses("rpc-listen", text, true);
    assert.deepEqual(
      parsed.map((one) => [one.address, one.isPacked]),
      [
        ["127.0.0.1:0", false],
        ["[::1]:9090", true],
        ["unix:/run/c.sock", true],
      ],
    );
    assert.deepEqual(
      parsed.map((one, index) => isPackedListener(listenerNumber(index, one))),
      [false, true, true],
    );
    assert.equal(new Set(parsed.map((one, index) => listenerNumber(index, one))).size, 3);
    assert.deepEqual(
      parsed.map((one) => shownAddress(one.address, one)),
      text.split(","),
    );
    await assert.rejects(parseAddresses("http-listen", text), ServerError);
    const [open] = await parseAddresses("rpc-listen", "packed:0.0.0.0:1", true);
    assert.equal(open?.isLocal, false);
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
