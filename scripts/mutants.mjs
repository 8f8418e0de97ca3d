// Owns: the proof that the tests see: faults are planted one by one into a copy of the tree, and the test that is named
// for each must fail. It never touches the working tree. Called by `npm run mutants`. A fault is
//
//   { name, file, find, replace, test, mayHang? }
//
// `find` stands exactly once in `file`, else the list is out of date, which is an error. `test` says what must fail:
//   gtest:FILTER         of build/Release/native_tests       unit:FILE:NAME   a test of test/unit/FILE.test.ts
//   corpus:FILTER        of build/Release/corpus_tests       cargo:NAME       a test of native/consensus
//   sim:ARGUMENTS        `npm run sim -- ARGUMENTS`
// Each must pass before anything is planted. One that hangs counts as failed only where the fault says mayHang.

import { spawnSync } from "node:child_process";
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { availableParallelism, tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { program } from "./lib/packages.mjs";
import { runMain, StepFailed } from "./lib/run.mjs";
import { faults as nativeFaults } from "./mutants/native.mjs";
import { faults as otherFaults } from "./mutants/others.mjs";

const root = fileURLToPath(new URL("..", import.meta.url));
const faults = [...nativeFaults, ...otherFaults];
const TEST_MS_MAX = 120_000;
const BUILD_MS_MAX = 1_200_000;

const help = `usage: npm run mutants -- [NAME...] [--list] [--help]

Plants each fault whose name contains one of NAME (all of them without any) into a copy of the tree, builds what it
touches and runs the test that must notice. Prints fault, test and outcome; ends with 1 when one survives.
`;

async function main() {
  process.chdir(root);
  const words = process.argv.slice(2);
  if (words.includes("--help")) return print(help);
  const chosen = choose(words.filter((word) => word !== "--list"));
  for (const fault of chosen) plantedText(root, fault);
  if (words.includes("--list")) return print(chosen.map((fault) => `${fault.name} -> ${fault.test}\n`).join(""));
  must("bootstrap", spawnSync(process.execPath, ["scripts/bootstrap.mjs", "--for", "test"], { stdio: "inherit" }));
  const tree = mkdtempSync(join(tmpdir(), "capstan-mutants-"));
  const end = () => rmSync(tree, { recursive: true, force: true });
  for (const signal of ["SIGINT", "SIGTERM"]) process.once(signal, () => process.exit(130));
  process.once("exit", end);
  copyTree(tree, new Set(chosen.map((fault) => kindOf(fault.test))));
  proveTests(tree, chosen);
  const outcomes = chosen.map((fault) => judge(tree, fault));
  report(outcomes);
  return outcomes.every(({ outcome }) => outcome === "caught") ? 0 : 1;
}

function choose(names) {
  for (const name of names) {
    if (!faults.some((fault) => fault.name.includes(name))) throw new StepFailed(`no fault is called "${name}"`);
  }
  return faults.filter((fault) => names.length === 0 || names.some((name) => fault.name.includes(name)));
}

function plantedText(tree, { name, file, find, replace }) {
  const text = readFileSync(join(tree, file), "utf8");
  const count = text.split(find).length - 1;
  if (count !== 1) throw new StepFailed(`fault "${name}": its text stands ${count} times in ${file}, not once`);
  return text.replace(find, () => replace);
}

// Sources with the times they have, and what was built of them, so that make sees nothing to do.
function copyTree(tree, kinds) {
  const list = spawnSync("git", ["ls-files", "--cached", "--others", "--exclude-standard", "-z"], { encoding: "utf8" });
  const files = list.stdout.split("\0").filter((path) => path !== "" && existsSync(path));
  must("copying", spawnSync("cp", ["-a", "--parents", "-t", tree, ...files], { stdio: "inherit" }));
  const options = { recursive: true, preserveTimestamps: true, verbatimSymlinks: true };
  for (const path of ["dist", "src/generated"]) cpSync(path, join(tree, path), options);
  mkdirSync(join(tree, "build"));
  const isNative = kinds.has("gtest") || kinds.has("corpus") || kinds.has("sim");
  const others = new Set(["fuzz", "asan", "tsan", "bootstrap.lock"]);
  for (const name of readdirSync("build")) {
    // The addon's make links the core where it was built; only tests of the core build it here.
    const isWanted = name === "cargo" ? kinds.has("cargo") : isNative && !others.has(name);
    if (isWanted) must("copying", spawnSync("cp", ["-a", join("build", name), join(tree, "build", name)]));
  }
  symlinkSync(join(root, "node_modules"), join(tree, "node_modules"));
}

function proveTests(tree, chosen) {
  const tests = [...new Set(chosen.map((fault) => fault.test))];
  for (const kind of new Set(tests.map(kindOf))) {
    const built = build(tree, kind);
    if (built.status !== 0) throw new StepFailed(`the copy does not build:\n${tail(built)}`);
  }
  for (const test of tests) {
    const run = runTest(tree, test);
    if (run.status !== 0) throw new StepFailed(`${test} fails without any fault:\n${tail(run)}`);
    if (!ranSomething(test, run)) throw new StepFailed(`${test} runs no test at all`);
  }
  print(`${tests.length} tests pass before anything is planted\n`);
}

function judge(tree, fault) {
  const path = join(tree, fault.file);
  const sound = readFileSync(path, "utf8");
  const startMs = Date.now();
  writeFileSync(path, plantedText(tree, fault));
  let outcome;
  const built = build(tree, kindOf(fault.test));
  if (built.status !== 0) {
    outcome = "does not build";
    process.stderr.write(`${tail(built)}\n`);
  } else {
    const run = runTest(tree, fault.test);
    const hung = run.error?.code === "ETIMEDOUT";
    outcome = hung ? (fault.mayHang ? "caught" : "hangs") : run.status === 0 ? "survived" : "caught";
  }
  writeFileSync(path, sound);
  const seconds = (Date.now() - startMs) / 1000;
  print(`${outcome.padEnd(14)} ${fault.name} (${seconds.toFixed(0)} s)\n`);
  return { name: fault.name, test: fault.test, outcome, seconds };
}

function kindOf(test) {
  return test.slice(0, test.indexOf(":"));
}

function build(tree, kind) {
  const options = { cwd: tree, encoding: "utf8", maxBuffer: 64 << 20, timeout: BUILD_MS_MAX };
  if (kind === "unit") {
    return spawnSync(process.execPath, ["node_modules/typescript/bin/tsc", "-p", "tsconfig.json"], options);
  }
  // Building and running are one command of cargo, and of the simulator's script.
  if (kind === "cargo") {
    const command = ["test", "--release", "--locked", "--no-run", ...cargoPlace];
    return spawnSync("cargo", command, options);
  }
  if (kind === "sim") return { status: 0 };
  // Without the folder's name in its key the cache knows every sound file again.
  const env = { ...process.env, CCACHE_NOHASHDIR: "1" };
  if (!env.CXX && program("ccache")) env.CXX = "ccache g++";
  const target = kind === "corpus" ? "corpus_tests" : "native_tests";
  const make = ["-C", "build", "BUILDTYPE=Release", "-j", String(availableParallelism()), target];
  return spawnSync("make", make, { ...options, env });
}

const cargoPlace = ["--manifest-path", "native/consensus/Cargo.toml", "--target-dir", "build/cargo"];

function runTest(tree, test) {
  const options = { cwd: tree, encoding: "utf8", maxBuffer: 64 << 20, timeout: TEST_MS_MAX, killSignal: "SIGKILL" };
  const rest = test.slice(test.indexOf(":") + 1);
  switch (kindOf(test)) {
    case "gtest":
      return spawnSync("build/Release/native_tests", [`--gtest_filter=${rest}`], options);
    case "corpus":
      return spawnSync("build/Release/corpus_tests", [`--gtest_filter=${rest}`], options);
    case "cargo":
      return spawnSync("cargo", ["test", "--release", "--locked", ...cargoPlace, "--", "--exact", rest], options);
    case "sim":
      return spawnSync("npm", ["run", "-s", "sim", "--", ...rest.split(" ")], { ...options, timeout: BUILD_MS_MAX });
    case "unit": {
      const [file, ...name] = rest.split(":");
      const pattern = name.join(":").replace(/[.*+?^${}()|[\]\\]/g, "\\$&");
      const words = ["--test", "--test-reporter=tap", `--test-name-pattern=${pattern}$`];
      return spawnSync(process.execPath, [...words, `dist/test/unit/${file}.test.js`], options);
    }
    default:
      throw new StepFailed(`no such kind of test: ${test}`);
  }
}

function ranSomething(test, run) {
  switch (kindOf(test)) {
    case "gtest":
    case "corpus":
      return /\[ {2}PASSED {2}\] [1-9]/.test(run.stdout);
    case "cargo":
      return /[1-9]\d* passed/.test(run.stdout);
    case "unit":
      // Node counts a file, too: the name of the test itself must be there, and not as one that was skipped.
      return run.stdout.split("\n").some((line) => line.includes(`ok `) && line.includes(test.split(":").at(-1)));
    default:
      return true;
  }
}

function report(outcomes) {
  const width = Math.max(...outcomes.map(({ name }) => name.length));
  print("\n");
  for (const { name, test, outcome } of outcomes) print(`${name.padEnd(width)}  ${outcome.padEnd(9)}  ${test}\n`);
  const caught = outcomes.filter(({ outcome }) => outcome === "caught").length;
  print(`\n${caught} of ${outcomes.length} faults caught\n`);
  writeFileSync("build/mutants.json", `${JSON.stringify(outcomes, null, 2)}\n`);
}

function must(what, run) {
  if (run.status !== 0) throw new StepFailed(`${what} failed: ${run.error?.message ?? run.stderr ?? ""}`);
}

function tail({ stdout, stderr }) {
  return `${stdout ?? ""}${stderr ?? ""}`.trimEnd().split("\n").slice(-30).join("\n");
}

function print(text) {
  process.stdout.write(text);
}

await runMain(main);
