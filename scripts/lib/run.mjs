// Owns: running other programs for the scripts of this folder, with one line of progress each and their whole output
// in a log file that is shown when they fail. Called by bootstrap.mjs, test.mjs, lint.mjs and sanitize.mjs.

import { spawn, spawnSync } from "node:child_process";
import { closeSync, mkdirSync, openSync, readFileSync } from "node:fs";
import { dirname } from "node:path";

const TAIL_LINES = 80;

/** Runs to the end with its output in `logPath`; throws with the log's end when it fails. */
export async function runLogged(label, command, { logPath, cwd, env, append = false }) {
  mkdirSync(dirname(logPath), { recursive: true });
  const log = openSync(logPath, append ? "a" : "w");
  const startMs = Date.now();
  const child = spawn(command[0], command.slice(1), { cwd, env, stdio: ["ignore", log, log] });
  const beat = process.stderr.isTTY ? beating(label, startMs) : undefined;
  if (!beat) process.stderr.write(`${label} ...\n`);
  const code = await new Promise((resolve) => {
    child.on("error", () => resolve(127));
    child.on("close", (status, signal) => resolve(signal ? 128 : (status ?? 1)));
  });
  closeSync(log);
  beat?.();
  const seconds = ((Date.now() - startMs) / 1000).toFixed(1);
  if (code === 0) {
    process.stderr.write(`${label}: ${seconds} s\n`);
    return;
  }
  const tail = readFileSync(logPath, "utf8").trimEnd().split("\n").slice(-TAIL_LINES).join("\n");
  process.stderr.write(`${tail}\n`);
  throw new StepFailed(`${label} failed after ${seconds} s; the whole output is in ${logPath}`);
}

/** Runs with its output on this terminal; returns the exit code. One that takes longer than `timeoutMs` is killed. */
export function runShown(command, { cwd, env, timeoutMs } = {}) {
  const run = spawnSync(command[0], command.slice(1), {
    cwd,
    env,
    stdio: ["ignore", "inherit", "inherit"],
    timeout: timeoutMs,
    killSignal: "SIGKILL",
  });
  if (run.error) process.stderr.write(`cannot run ${command[0]}: ${run.error.message}\n`);
  return run.status ?? 1;
}

/** A failure that has been explained already: no stack trace is wanted. */
export class StepFailed extends Error {}

/** Runs a script's main and turns a StepFailed into exit code 1. */
export async function runMain(main) {
  try {
    process.exitCode = (await main()) ?? 0;
  } catch (error) {
    if (!(error instanceof StepFailed)) throw error;
    process.stderr.write(`${error.message}\n`);
    process.exitCode = 1;
  }
}

function beating(label, startMs) {
  const draw = () => process.stderr.write(`\r${label} ... ${Math.round((Date.now() - startMs) / 1000)} s`);
  draw();
  const timer = setInterval(draw, 1000);
  return () => {
    clearInterval(timer);
    process.stderr.write("\r\x1b[K");
  };
}
