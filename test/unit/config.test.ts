// Settings: precedence, units, and refusals
// that name key, bound and source.

import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, it } from "node:test";
import { attemptsUnlimited, flagOf, keys, knobs, type Machine, variableOf } from "../../src/config.js";
import { loadConfig, requestBytesMax, type Sources } from "../../src/config_load.js";
import { ConfigError } from "../../src/errors.js";
import { GiB, MiB } from "../../src/units.js";

const machine: Machine = { cores: 8, memoryBytes: 8 * GiB, openFilesMax: 65_536 };
const directory = mkdtempSync(join(tmpdir(), "capstan-config-"));
after(() => rmSync(directory, { recursive: true, force: true }));

function load(sources: Partial<Sources> = {}) {
  return loadConfig({ flags: {}, environment: {}, machine, ...sources });
}

function refusal(sources: Partial<Sources>): ConfigError {
  try {
    load(sources);
  } catch (error) {
    assert.ok(error instanceof ConfigError, String(error));
    return error;
  }
  assert.fail("nothing was refused");
}

function file(text: string): string {
  const path = join(directory, "capstan.toml");
  writeFileSync(path, text);
  return path;
}

describe("settings", () => {
  it("have defaults within their bounds on machines of every size", () => {
    for (const cores of [1, 2, 3, 8, 64, 256]) {
      for (const memoryBytes of [256 * MiB, 512 * MiB, GiB, 4 * GiB, 64 * GiB, 1024 * GiB]) {
        for (const openFilesMax of [256, 1024, 1_048_576]) {
          const { config } = load({ machine: { cores, memoryBytes, openFilesMax } });
          assert.ok(config.workers >= 1);
          assert.ok(requestBytesMax(config) >= 16 * MiB);
        }
      }
    }
  });

  it("take half of the cores and half of the memory", () => {
    const { config } = load();
    assert.equal(config.workers, 4);
    assert.equal(config.memoryBytesMax, 4 * GiB);
    assert.equal(config.connectionsMax, 10_000);
    assert.equal(load({ machine: { ...machine, cores: 1 } }).config.workers, 1);
    assert.equal(load({ machine: { ...machine, openFilesMax: 1024 } }).config.connectionsMax, 512);
  });

  it("come from flag before environment before file before default, and say from where", () => {
    const path = file('workers = 2\nlogLevel = "warn" # comment\nbacklog = 100\n');
    const { config, effective } = load({
      file: path,
      environment: { CAPSTAN_WORKERS: "3", CAPSTAN_LOG_LEVEL: "debug" },
      flags: { workers: "1" },
    });
    assert.equal(config.workers, 1);
    assert.equal(config.logLevel, "debug");
    assert.equal(config.backlog, 100);
    const sourceOf = (key: string) => effective.find((row) => row.key === key)?.source;
    assert.equal(sourceOf("workers"), "flag --workers");
    assert.equal(sourceOf("logLevel"), "environment CAPSTAN_LOG_LEVEL");
    assert.equal(sourceOf("backlog"), `file ${path}`);
    assert.equal(sourceOf("slabsMax"), "default");
  });

  it("name the file by CAPSTAN_CONFIG too", () => {
    assert.equal(load({ environment: { CAPSTAN_CONFIG: file("workers = 5") } }).config.workers, 5);
  });

  it("take durations and bytes with their units", () => {
    const { config } = load({
      flags: { "shutdown-timeout": "1500ms", "lease-ms-default": "2min", "payload-bytes-max": "2MiB", insecure: true },
      environment: { CAPSTAN_ENTRY_BYTES_MAX: "128 KiB", CAPSTAN_DELAY_MS_MAX: "14d" },
    });
    assert.equal(config.shutdownTimeoutMs, 1500);
    assert.equal(config.leaseMsDefault, 120_000);
    assert.equal(config.payloadBytesMax, 2 * MiB);
    assert.equal(config.entryBytesMax, 128 * 1024);
    assert.equal(config.delayMsMax, 14 * 86_400_000);
    assert.equal(config.insecure, true);
  });

  it("take `unlimited` where it means something, and only there", () => {
    assert.equal(load({ flags: { "queue-max-attempts": "unlimited" } }).config.queueMaxAttempts, attemptsUnlimited);
    assert.equal(refusal({ flags: { workers: "unlimited" } }).code, "invalidValue");
  });

  it("take several addresses as a list of the file", () => {
    const { config } = load({ file: file('rpcListen = ["127.0.0.1:0", "unix:/run/capstan.sock"]') });
    assert.equal(config.rpcListen, "127.0.0.1:0,unix:/run/capstan.sock");
  });

  it("that are unknown are refused by name and source, with what was probably meant", () => {
    for (const [sources, source, meant] of [
      [{ flags: { "data-dri": "x" } }, "flag --data-dri", "--data-dir"],
      [{ environment: { CAPSTAN_WORKER: "1" } }, "environment CAPSTAN_WORKER", "CAPSTAN_WORKERS"],
      [{ file: file("leaseMsDefalt = 5") }, `file ${join(directory, "capstan.toml")}`, "leaseMsDefault"],
    ] as const) {
      const error = refusal(sources);
      assert.equal(error.code, "unknownKey");
      assert.equal(error.source, source);
      assert.ok(error.message.includes(`did you mean ${meant}?`), error.message);
    }
  });

  it("leave variables of the client and of jobs alone", () => {
    load({ environment: { CAPSTAN_JOB_ID: "x", CAPSTAN_SERVER: "127.0.0.1:1", PATH: "/bin" } });
  });

  it("out of their bounds are refused with key, bound and source", () => {
    const low = refusal({ flags: { "lease-ms-min": "99ms" } });
    assert.equal(low.code, "outOfBounds");
    assert.equal(low.key, "leaseMsMin");
    assert.equal(low.message, "leaseMsMin = 99 ms is below its bound: at least 100 ms (flag --lease-ms-min)");
    const high = refusal({ environment: { CAPSTAN_PAYLOAD_BYTES_MAX: "17MiB" } });
    assert.equal(
      high.message,
      "payloadBytesMax = 17 MiB is above its bound: at most 16 MiB (environment CAPSTAN_PAYLOAD_BYTES_MAX)",
    );
  });

  it("respect bounds that other settings move", () => {
    assert.equal(load({ flags: { "lease-ms-max": "10s" } }).config.leaseMsDefault, 10_000);
    assert.equal(refusal({ flags: { "lease-ms-max": "10s", "lease-ms-default": "11s" } }).code, "outOfBounds");
    assert.equal(refusal({ flags: { "fetch-bytes-max": "1MiB" } }).key, "fetchBytesDefault");
  });

  it("that contradict one another are refused", () => {
    assert.equal(refusal({ flags: { "payload-bytes-max": "16MiB" } }).code, "contradiction");
    const memory = refusal({ flags: { "memory-bytes-max": "256MiB", workers: "8" } });
    assert.equal(memory.code, "contradiction");
    assert.equal(memory.key, "memoryBytesMax");
  });

  it("that are no number, choice or switch are refused", () => {
    for (const flags of [
      { workers: "two" },
      { workers: "1.5" },
      { workers: "-1" },
      { workers: "" },
      { sync: "sometimes" },
      { insecure: "maybe" },
      { "shutdown-timeout": "30 parsecs" },
      { "data-dir": "" },
      { "slab-bytes": "9007199254740993" },
    ]) {
      assert.equal(refusal({ flags }).code, "invalidValue", JSON.stringify(flags));
    }
  });

  it("in a file that is absent, not TOML or nested are refused with its name", () => {
    assert.match(refusal({ file: join(directory, "absent.toml") }).message, /absent\.toml/);
    assert.equal(refusal({ file: file("workers = = 2") }).code, "unreadableFile");
    assert.equal(refusal({ file: file("[workers]\nmax = 2") }).code, "invalidValue");
  });

  it("have one flag and one variable each, and a reason", () => {
    assert.equal(new Set(keys.map(flagOf)).size, keys.length);
    assert.equal(new Set(keys.map(variableOf)).size, keys.length);
    for (const key of keys) assert.ok(knobs[key].why.length > 0);
    assert.equal(flagOf("rpcListen"), "rpc-listen");
    assert.equal(variableOf("leaseMsDefault"), "CAPSTAN_LEASE_MS_DEFAULT");
  });
});
