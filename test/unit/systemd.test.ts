// What systemd is told,
// and when.

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { Systemd, watchdogMs } from "../../src/server/systemd.js";

describe("systemd", () => {
  it("is told of replay, readiness and the stop, where it listens", () => {
    const sent: string[] = [];
    const native = { notifySystemd: (state: string) => sent.push(state) > 0 };
    const silent = new Systemd(native, {});
    silent.ready("x", () => true);
    assert.deepEqual(sent, []);
    const systemd = new Systemd(native, { NOTIFY_SOCKET: "/run/notify" });
    systemd.replaying(1, 10);
    systemd.ready("Serving", () => true);
    systemd.stopping(30_000);
    systemd.close();
    assert.deepEqual(sent, [
      "EXTEND_TIMEOUT_USEC=60000000\nSTATUS=Replaying the log: 1 of 10 entries",
      "READY=1\nSTATUS=Serving",
      "STOPPING=1\nEXTEND_TIMEOUT_USEC=30000000\nSTATUS=Stopping",
    ]);
  });

  it("is reported to twice within its watchdog's time, and only by the process it watches", () => {
    assert.equal(watchdogMs({}), undefined);
    assert.equal(watchdogMs({ WATCHDOG_USEC: "30000000" }), 15_000);
    assert.equal(watchdogMs({ WATCHDOG_USEC: "30000000", WATCHDOG_PID: String(process.pid) }), 15_000);
    assert.equal(watchdogMs({ WATCHDOG_USEC: "30000000", WATCHDOG_PID: "1" }), undefined);
    assert.equal(watchdogMs({ WATCHDOG_USEC: "soon" }), undefined);
    assert.equal(watchdogMs({ WATCHDOG_USEC: "1000000" }), 500, "however short it is");
    assert.equal(watchdogMs({ WATCHDOG_USEC: "1" }), 1);
  });
});
