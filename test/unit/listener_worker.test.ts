// One listener worker put together over a played
// addon: the turn, its events, the stop.

import assert from "node:assert/strict";
import { beforeEach, describe, it } from "node:test";
import { setImmediate as turn } from "node:timers/promises";
import { loadConfig } from "../../src/config_load.js";
import { EngineState, EventKind } from "../../src/generated/boundary.js";
import { createLogger } from "../../src/log.js";
import type { Native } from "../../src/native.js";
import { ListenerWorker } from "../../src/net/listener_worker.js";
import { createSharedBudget } from "../../src/server/memory_budget.js";
import { GiB, MiB } from "../../src/units.js";
import { FakeClock } from "../support/fake_clock.js";
import { FakeNative } from "../support/fake_native.js";

let native: FakeNative;
let worker: ListenerWorker;
let states: number[];
let stopped: number;

describe("a listener worker", () => {
  beforeEach(() => {
    native = new FakeNative();
    states = [];
    stopped = 0;
    const machine = { cores: 2, memoryBytes: 4 * GiB, openFilesMax: 4096 };
    worker = new ListenerWorker({
      native: native as unknown as Native,
      config: loadConfig({ flags: {}, environment: {}, machine }).config,
      version: "1",
      clock: new FakeClock(),
      log: createLogger({ level: "silent", format: "json", thread: "test" }),
      budget: createSharedBudget(),
      requestBytesMax: 64 * MiB,
      alive: () => {},
      stateChanged: (bits) => states.push(bits),
      stopped: () => stopped++,
    });
  });

  it("takes a turn for each ring of the doorbell, however often it rings", async () => {
    native.nextEvents = [[EventKind.state, 1 << EngineState.serving]];
    native.doorbell();
    native.doorbell();
    assert.deepEqual(states, [], "not within the ring");
    await turn();
    assert.deepEqual(states, [1]);
    native.nextEvents = [[EventKind.state, 3]];
    native.doorbell();
    await turn();
    assert.deepEqual(states, [1, 3]);
    worker.stop();
  });

  it("lets the addon go once it is stopped, exactly once, and takes no turn after that", async () => {
    worker.stop();
    worker.stop();
    worker.cut();
    assert.equal(stopped, 1);
    assert.deepEqual(native.log, ["shutdownCalls", "workerClose"]);
    native.nextEvents = [[EventKind.state, 1]];
    native.doorbell();
    await turn();
    assert.deepEqual(states, []);
  });
});
