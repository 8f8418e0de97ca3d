// The log: JSON or one readable line, never
// a secret, repeats at a bounded rate.

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { createLogger, RepeatLimiter, readable } from "../../src/log.js";
import { FakeClock } from "../support/fake_clock.js";

function lines(format: "json" | "pretty" | "auto", isTerminal = false) {
  const written: string[] = [];
  const log = createLogger({ level: "info", format, thread: "main", isTerminal, write: (line) => written.push(line) });
  return { log, written };
}

describe("the log", () => {
  it("is JSON away from a terminal", () => {
    const { log, written } = lines("auto");
    log.info({ rpc: "127.0.0.1:1" }, "serving");
    log.debug("not this");
    assert.equal(written.length, 1);
    const line = JSON.parse(written[0] ?? "") as Record<string, unknown>;
    assert.equal(line["level"], "info");
    assert.equal(line["thread"], "main");
    assert.equal(line["rpc"], "127.0.0.1:1");
    assert.equal(line["msg"], "serving");
    assert.match(String(line["time"]), /^\d{4}-\d\d-\d\dT.*Z$/);
  });

  it("is one readable line on a terminal", () => {
    const { log, written } = lines("pretty");
    log.warn({ count: 3, text: "a b" }, "look");
    assert.match(written[0] ?? "", /^\d\d:\d\d:\d\d\.\d{3} warn {2}main: look count=3 text="a b"\n$/);
    assert.equal((written[0] ?? "").split("\n").length, 2);
  });

  it("shows a fault with its stack, and colors only when asked", () => {
    const line = JSON.stringify({ time: "2026-01-02T03:04:05.678Z", level: "fatal", thread: "main", msg: "x" });
    assert.ok(readable(line, true).includes("\u001b[35m"));
    assert.ok(!readable(line, false).includes("\u001b"));
    const { log, written } = lines("pretty");
    log.fatal({ err: new Error("broken") }, "fault");
    assert.match(written[0] ?? "", /broken/);
    assert.match(written[0] ?? "", /log\.test/);
  });

  it("never shows a payload or a token", () => {
    for (const format of ["json", "pretty"] as const) {
      const { log, written } = lines(format);
      log.info({ payload: "secret-1", token: "secret-2", job: { payload: "secret-3", lease: "secret-4" } }, "oops");
      assert.ok(!written.join("").includes("secret-"), written.join(""));
    }
  });

  it("says a repeat once in a while, with how often it was left out", () => {
    const clock = new FakeClock();
    const limiter = new RepeatLimiter(clock, 1000, 2);
    const said: [string, number][] = [];
    const say = (key: string) => limiter.limit(key, (leftOut) => said.push([key, leftOut]));
    for (let count = 0; count < 5; count++) say("a");
    say("b");
    clock.advance(1000);
    say("a");
    assert.deepEqual(said, [
      ["a", 0],
      ["b", 0],
      ["a", 4],
    ]);
    // Bounded: the key that was said longest ago is forgotten.
    say("c");
    say("b");
    assert.equal(said.length, 5);
  });
});
