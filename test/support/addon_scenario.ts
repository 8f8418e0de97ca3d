// What the scenarios of test/teardown and the test that runs them share: the settings of a small engine on a directory,
// and a process of its own for a scenario with a bound on its time. Owns the process; the directory is the test's.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import type { Config } from "../../src/config.js";
import { loadConfig } from "../../src/config_load.js";
import { probeMachine } from "../../src/machine.js";
import { native } from "../../src/native.js";
import { engineOptions } from "../../src/server/limits.js";

const scenarioMsMax = 60_000;

export interface ScenarioEnd {
  code: number | null;
  signal: NodeJS.Signals | null;
  stdout: string;
  stderr: string;
}

/** The defaults, on this directory. */
export function configOn(dataDir: string): Config {
  const { config } = loadConfig({ flags: {}, environment: {}, machine: probeMachine() });
  return { ...config, dataDir };
}

export async function openEngine(dataDir: string): Promise<void> {
  await native.engineOpen(engineOptions(configOn(dataDir)), () => {});
}

/** Runs test/teardown/scenarios/NAME.ts in a process of its own until it ends by itself. */
export async function runScenario(name: string, ...words: readonly string[]): Promise<ScenarioEnd> {
  // From dist/test/support.
  const script = fileURLToPath(new URL(`../teardown/scenarios/${name}.js`, import.meta.url));
  const child = spawn(process.execPath, [script, ...words], {
    stdio: ["ignore", "pipe", "pipe"],
    timeout: scenarioMsMax,
    killSignal: "SIGKILL",
  });
  const end: ScenarioEnd = { code: null, signal: null, stdout: "", stderr: "" };
  child.stdout.setEncoding("utf8").on("data", (text: string) => {
    end.stdout += text;
  });
  child.stderr.setEncoding("utf8").on("data", (text: string) => {
    end.stderr += text;
  });
  [end.code, end.signal] = (await once(child, "close")) as [number | null, NodeJS.Signals | null];
  return end;
}

/** Fails unless the scenario ended by itself with `code`, having said `said` and complained of nothing. */
export function assertEnded(end: ScenarioEnd, code: number, said: string): void {
  assert.deepEqual(end, { code, signal: null, stdout: said, stderr: "" });
}
