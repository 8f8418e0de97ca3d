// The addon's exports are exactly the members of the interface Native, and each refuses arguments of a wrong number or
// type with a TypeError that names them, before anything happens. Reads src/native.ts as text; never opens an engine.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { describe, it } from "node:test";
import { callWords, eventWords } from "../../src/generated/boundary.js";
import { codecLimits, engineOptions } from "../../src/server/limits.js";
import { configOn } from "../support/addon_scenario.js";

type Exported = (...values: unknown[]) => unknown;

// From dist/test/unit.
const addon = createRequire(import.meta.url)("../../../build/Release/capstan.node") as Record<string, Exported>;
const declared = membersOfNative(readFileSync(new URL("../../../src/native.ts", import.meta.url), "utf8"));
const config = configOn("/nonexistent");

/** Name of each member to the names of its parameters. */
function membersOfNative(source: string): Map<string, string[]> {
  const body = /export interface Native \{\n(.*?)\n\}\n/s.exec(source)?.[1] ?? assert.fail("no interface Native");
  // A parameter's type may itself be a function: its parameters are not ours.
  const plain = body.replace(/: \([^()]*\) => void/g, ": Function");
  const members = [...plain.matchAll(/^ {2}(\w+)\((.*)\): [^()]+;$/gm)].map(
    ([, name = "", parameters = ""]) =>
      [name, [...parameters.matchAll(/(\w+): /g)].map(([, parameter = ""]) => parameter)] as const,
  );
  return new Map(members);
}

function exported(name: string): Exported {
  return addon[name] ?? assert.fail(`${name} is not exported`);
}

/** Arguments of the right types; no worker has this number. */
const sound: Readonly<Record<string, unknown>> = {
  options: engineOptions(config),
  progress: () => {},
  listener: 0,
  address: "127.0.0.1:0",
  connectionsMax: 10,
  backlog: 10,
  state: "READY=1",
  limits: codecLimits(config),
  doorbell: () => {},
  worker: 4_000_000_000,
  connection: 1,
  packed: false,
  replies: new Uint8Array(8),
  chunk: new Uint8Array(8),
  calls: new Uint32Array(callWords),
  writable: true,
  shard: 0,
  handles: new Uint32Array(4),
  count: 4,
  woken: new Uint32Array(4),
  handle: 1,
  code: 3,
  retryAfterMs: 0,
  version: "0",
  slab: new Uint8Array(8),
  events: new Uint32Array(eventWords),
};

function soundValue(parameter: string): unknown {
  assert.ok(parameter in sound, `no value for ${parameter}`);
  return sound[parameter];
}

/** What is wrong in the place of any of the above. */
const wrong: readonly unknown[] = [
  undefined,
  null,
  -1,
  1.5,
  Number.NaN,
  2 ** 60,
  1n,
  Symbol("s"),
  new Uint16Array(8),
  [],
];

describe("the addon", () => {
  it("exports the interface Native and nothing else", () => {
    assert.ok(declared.size >= 21, `only ${[...declared.keys()]} found`);
    assert.deepEqual(Object.keys(addon).sort(), [...declared.keys()].sort());
    for (const [name, parameters] of declared) {
      assert.equal(exported(name).name, name);
      assert.ok(parameters.length <= 4, `${name}(${parameters})`);
    }
  });

  for (const [name, parameters] of declared) {
    const values = parameters.map(soundValue);

    it(`${name} refuses a wrong number of arguments`, () => {
      for (let count = 0; count < parameters.length; count++) {
        const missing = `${name}: argument \`${parameters[count]}\` is missing`;
        assert.throws(() => exported(name)(...values.slice(0, count)), new TypeError(missing));
      }
      assert.throws(() => exported(name)(...values, 1), { name: "TypeError", code: "invalidArgument" });
    });

    for (const [index, parameter] of parameters.entries()) {
      it(`${name} refuses a wrong ${parameter}`, () => {
        for (const value of wrong) {
          const given = values.with(index, value);
          const names = new RegExp(`^${name}: (argument \`)?${parameter}\\b`);
          assert.throws(() => exported(name)(...given), { name: "TypeError", code: "invalidArgument", message: names });
        }
      });
    }
  }

  it("names the member of an options object that is wrong", () => {
    for (const key of Object.keys(engineOptions(config))) {
      const given = { ...engineOptions(config), [key]: {} };
      const message = new RegExp(`^engineOpen: options\\.${key} must be `);
      assert.throws(() => exported("engineOpen")(given, () => {}), { name: "TypeError", message });
    }
    for (const key of Object.keys(codecLimits(config))) {
      const given = { ...codecLimits(config), [key]: undefined };
      const message = new RegExp(`^workerOpen: limits\\.${key} must be `);
      assert.throws(() => exported("workerOpen")(given, () => {}), { name: "TypeError", message });
    }
    const queueDefaults = { ...codecLimits(config).queueDefaults, groupQuantum: "1" };
    assert.throws(() => exported("workerOpen")({ ...codecLimits(config), queueDefaults }, () => {}), {
      message: /^workerOpen: limits\.queueDefaults\.groupQuantum must be /,
    });
  });

  it("refuses arrays without room and counts beyond them", () => {
    const { worker, chunk, slab } = sound;
    const short = new Uint32Array(Math.min(callWords, eventWords) - 1);
    assert.throws(() => exported("receive")(worker, 1, chunk, short), { name: "TypeError", message: /`calls`/ });
    assert.throws(() => exported("collect")(worker, slab, short), { name: "TypeError", message: /`events`/ });
    assert.throws(() => exported("propose")(worker, 0, new Uint32Array(2), 3), {
      name: "TypeError",
      message: /`count`/,
    });
  });

  it("refuses text that the system would cut or that is too long", () => {
    for (const address of ["127.0.0.1:0\0x", "x".repeat(4097)]) {
      assert.throws(() => exported("listen")(0, address, 1, 1), { name: "TypeError", message: /`address`/ });
    }
  });

  it("refuses a worker that is not open, with a word", () => {
    for (const [name, parameters] of declared) {
      if (parameters[0] !== "worker") continue;
      const values = parameters.map(soundValue);
      assert.throws(() => exported(name)(...values), { name: "Error", code: "workerUnknown" });
    }
  });

  it("refuses what needs an engine while none is open, with a word", async () => {
    const closed = { name: "Error", code: "engineClosed" };
    await assert.rejects(exported("engineClose")() as Promise<void>, closed);
    assert.throws(() => exported("listen")(0, "127.0.0.1:0", 1, 1), closed);
    assert.throws(() => exported("stopListening")(), closed);
    assert.throws(() => exported("workerOpen")(sound["limits"], () => {}), closed);
  });

  it("passes an engine's refusal to open on as a rejected promise with its word", async () => {
    const given = { ...engineOptions(config), dataDirectory: "/dev/null" };
    const isRefused = (error: Error & { code: string }) => /^[a-z][A-Za-z]+$/.test(error.code) && error.message !== "";
    await assert.rejects(exported("engineOpen")(given, () => {}) as Promise<void>, isRefused);
    // And may be tried again.
    await assert.rejects(exported("engineOpen")(given, () => {}) as Promise<void>, isRefused);
  });
});
