// Owns: bringing a clean clone to a state in which the server or the tests can run. Plain JavaScript without
// dependencies, since it runs before any of them is there. It never starts the server. Called by npm before `start`
// and `test` (`--for start`, `--for test`).
//
//   1. probe the system; install what is missing as root or with sudo, else say exactly what to type and stop
//   2. npm ci, when the lock file is newer than what is installed
//   3. TypeScript from schemas/     4. the native build     5. TypeScript to dist/
//
// Each step is left out when its inputs are as they were when it last succeeded, so that a run with nothing to do costs
// well under a second. A lock keeps two runs in one folder apart.

import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { availableParallelism } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { nodeGyp } from "./lib/gyp.mjs";
import { aptInstall, installLine, isRoot, missingPackages, program } from "./lib/packages.mjs";
import { runLogged, runMain, runShown, StepFailed } from "./lib/run.mjs";
import { filesBelow, namesOf, Stamps, stampOf } from "./lib/stamps.mjs";

const root = fileURLToPath(new URL("..", import.meta.url));
const NODE_MIN = [20, 17];
const LOCK_WAIT_MS_MAX = 30 * 60 * 1000;

async function main() {
  const purpose = process.argv[process.argv.indexOf("--for") + 1];
  if (purpose !== "start" && purpose !== "test") throw new StepFailed("usage: bootstrap.mjs --for start|test");
  process.chdir(root);
  checkPlatform();
  const unlock = await lock("build/bootstrap.lock");
  try {
    const stamps = new Stamps("build/stamps.json");
    probeSystem();
    await installModules(stamps);
    await generateTypeScript(stamps);
    await buildNative(stamps, purpose);
    await compileTypeScript(stamps, purpose);
  } finally {
    unlock();
  }
}

function checkPlatform() {
  const [major = 0, minor = 0] = process.versions.node.split(".").map(Number);
  if (major < NODE_MIN[0] || (major === NODE_MIN[0] && minor < NODE_MIN[1])) {
    throw new StepFailed(`Capstan needs Node ${NODE_MIN.join(".")} or newer; this is ${process.versions.node}.`);
  }
  if (process.platform === "darwin") {
    process.stderr.write(
      "macOS: for development only; durability is unsupported here, use Linux for jobs that matter.\n",
    );
  } else if (process.platform !== "linux") {
    throw new StepFailed(`Capstan runs on Linux; ${process.platform} is not supported.`);
  }
}

function probeSystem() {
  const packages = missingPackages();
  if (packages.length === 0) return;
  install(packages);
  const missing = missingPackages();
  if (missing.length > 0) {
    throw new StepFailed(`Still missing after the installation. Install: ${installLine(missing)}`);
  }
}

function install(packages) {
  const line = installLine(packages);
  process.stderr.write(
    `Capstan needs packages of the system that are missing. They are installed by:\n\n  ${line}\n\n`,
  );
  if (process.platform === "darwin") throw new StepFailed("Run it, then run this again.");
  if (!program("apt-get")) {
    throw new StepFailed("This system has no apt-get: install the equivalents of these packages, then run this again.");
  }
  const prefix = privilege();
  if (!prefix) throw new StepFailed("Run it as root, then run this again.");
  process.stderr.write("Running it now.\n");
  // apt-get waits for dpkg's lock by itself, but not for the lock on its package lists.
  const deadlineMs = Date.now() + 10 * 60 * 1000;
  while (runShown([...prefix, "apt-get", "update", "-q"]) !== 0) {
    if (Date.now() > deadlineMs || !listsAreLocked(prefix)) {
      process.stderr.write("apt-get update failed; trying the installation with the lists that are there.\n");
      break;
    }
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 3000);
  }
  if (runShown([...prefix, ...aptInstall(packages)]) !== 0) {
    throw new StepFailed("The installation failed: see above. Repair it, then run this again.");
  }
}

function privilege() {
  if (isRoot()) return [];
  if (!program("sudo")) return undefined;
  if (spawnSync("sudo", ["-n", "true"], { stdio: "ignore" }).status === 0) return ["sudo", "-n"];
  return process.stdin.isTTY ? ["sudo"] : undefined;
}

function listsAreLocked(prefix) {
  const run = spawnSync(
    prefix[0] ?? "apt-get",
    [...prefix.slice(1), ...(prefix.length > 0 ? ["apt-get"] : []), "update", "-q"],
    {
      encoding: "utf8",
      env: { ...process.env, LC_ALL: "C" },
    },
  );
  return run.status !== 0 && /Could not get lock|Unable to lock/.test(run.stderr ?? "");
}

async function installModules(stamps) {
  const stamp = stampOf([], readFileSync("package-lock.json", "utf8"), process.versions.modules, process.arch);
  if (stamps.is("modules", stamp) && existsSync("node_modules/.package-lock.json")) return;
  const npm = process.env.npm_execpath ? [process.execPath, process.env.npm_execpath] : ["npm"];
  await runLogged("npm ci", [...npm, "ci", "--include=dev", "--include=optional", "--no-audit", "--no-fund"], {
    logPath: "build/npm.log",
  });
  stamps.set("modules", stamp);
}

async function generateTypeScript(stamps) {
  const stamp = stampOf(filesBelow("schemas", "scripts/generate.mjs", "node_modules/.package-lock.json"));
  if (stamps.is("generate", stamp) && existsSync("src/generated/error_codes.ts")) return;
  await runLogged("schemas to TypeScript", [process.execPath, "scripts/generate.mjs"], {
    logPath: "build/generate.log",
  });
  stamps.set("generate", stamp);
}

async function buildNative(stamps, purpose) {
  const toolchain = [process.execPath, process.version, process.env.CXX ?? "", process.env.CXXFLAGS ?? ""];
  const inputs = filesBelow("native", "schemas", "test/native", "bench/native", "binding.gyp", ...nativeScripts);
  const stamp = stampOf(inputs, ...toolchain);
  // What the tests need includes what the server needs.
  const done = stamps.is("native:test", stamp) || (purpose === "start" && stamps.is("native:start", stamp));
  const outputs = [
    "build/Release/capstan.node",
    ...(purpose === "test" ? ["build/Release/native_tests", "build/Release/sim"] : []),
  ];
  if (done && outputs.every((path) => existsSync(path))) return;

  const env = { ...process.env };
  if (!env.CXX && program("ccache")) env.CXX = "ccache g++";
  const layout = namesOf(inputs, ...toolchain, readFileSync("binding.gyp", "utf8"), env.CXX ?? "");
  if (!stamps.is("configure", layout) || !existsSync("build/Makefile")) {
    await runLogged("native build: configure", nodeGyp("configure", "--release"), {
      logPath: "build/configure.log",
      env,
    });
    stamps.set("configure", layout);
  }
  const targets = purpose === "start" ? ["capstan"] : [];
  const make = ["make", "-C", "build", "BUILDTYPE=Release", "-j", String(availableParallelism()), ...targets];
  const label = purpose === "start" ? "native build: addon" : "native build: addon and tests";
  await runLogged(label, make, { logPath: "build/native.log", env });
  stamps.set(`native:${purpose}`, stamp);
}

const nativeScripts = ["scripts/generate.mjs", "scripts/build_rust.mjs", "scripts/list_sources.mjs"];

async function compileTypeScript(stamps, purpose) {
  const project = purpose === "start" ? "tsconfig.start.json" : "tsconfig.json";
  const folders = purpose === "start" ? ["src"] : ["src", "test", "bench", "examples"];
  const inputs = [
    ...filesBelow(...folders).filter((file) => file.path.endsWith(".ts")),
    ...filesBelow("tsconfig.json", "tsconfig.start.json", "node_modules/.package-lock.json"),
    ...filesBelow("src/generated/.").filter((file) => file.path.endsWith(".ts")),
  ];
  const stamp = stampOf(inputs);
  if (stamps.is(`typescript:${purpose}`, stamp) && existsSync("dist/src")) return;
  prune("dist");
  const tsc = [process.execPath, "node_modules/typescript/bin/tsc", "-p", project, "--pretty", "false"];
  await runLogged("TypeScript", tsc, { logPath: "build/typescript.log" });
  stamps.set(`typescript:${purpose}`, stamp);
}

// Removes outputs whose source is gone, so that a deleted test does not run for ever.
function prune(folder) {
  if (!existsSync(folder)) return;
  for (const entry of readdirSync(folder, { withFileTypes: true })) {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) {
      prune(path);
      continue;
    }
    const source = /^dist\/(.*?)(\.d\.ts|\.js|\.js\.map)$/.exec(path)?.[1];
    if (source && !existsSync(`${source}.ts`)) rmSync(path);
  }
}

// A file with our process id. One that names a process that is gone was left by a kill.
async function lock(path) {
  mkdirSync("build", { recursive: true });
  const deadlineMs = Date.now() + LOCK_WAIT_MS_MAX;
  let told = false;
  for (;;) {
    try {
      writeFileSync(path, String(process.pid), { flag: "wx" });
      return () => rmSync(path, { force: true });
    } catch (error) {
      if (error.code !== "EEXIST") throw error;
    }
    const owner = Number(existsSync(path) ? readFileSync(path, "utf8") : "0");
    if (owner > 0 && !isAlive(owner)) {
      rmSync(path, { force: true });
      continue;
    }
    if (Date.now() > deadlineMs)
      throw new StepFailed(`${path} is held by process ${owner}; remove it if that is wrong.`);
    if (!told) process.stderr.write(`waiting for another build in this folder (process ${owner})\n`);
    told = true;
    await new Promise((wake) => setTimeout(wake, 200));
  }
}

function isAlive(processId) {
  try {
    process.kill(processId, 0);
    return true;
  } catch (error) {
    return error.code === "EPERM";
  }
}

await runMain(main);
