// Owns: the order of all tests, and the count at the end. Called by `npm test` (everything) and `npm run test:NAME`
// (that part alone), after the bootstrap. Ends non-zero when anything failed or a part ran no test at all.
//
//   lint    formatters and linters (scripts/lint.mjs)     rust    cargo test of native/consensus
//   native  the gtest programs                            unit    test/*.test.ts, test/unit, test/golden
//   sim     300 seeds of the simulator (native/sim)
//   e2e     test/e2e, test/faults, test/teardown: real processes

import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { runMain, runShown, StepFailed } from "./lib/run.mjs";

const root = fileURLToPath(new URL("..", import.meta.url));
const TEST_MS_MAX = 600_000;
const none = { passed: 0, failed: 0, skipped: 0 };

const parts = {
  lint: () => counted(runShown([process.execPath, "scripts/lint.mjs", "--test"]) === 0),
  native: nativeTests,
  sim: simulatedSeeds,
  rust: rustTests,
  unit: () =>
    nodeTests("unit", [...testFiles("dist/test", false), ...below("dist/test/unit"), ...below("dist/test/golden")]),
  e2e: () =>
    nodeTests(
      "e2e",
      ["e2e", "faults", "teardown"].flatMap((name) => below(`dist/test/${name}`)),
    ),
};

function main() {
  process.chdir(root);
  const wanted = process.argv.slice(2);
  for (const name of wanted) if (!(name in parts)) throw new StepFailed(`no such part of the tests: ${name}`);
  const total = { ...none };
  const failedParts = [];
  for (const name of wanted.length > 0 ? wanted : Object.keys(parts)) {
    const startMs = Date.now();
    process.stdout.write(`\n== ${name}\n`);
    const counts = parts[name]();
    for (const key of Object.keys(total)) total[key] += counts[key];
    if (counts.failed > 0 || counts.passed + counts.skipped === 0) failedParts.push(name);
    const seconds = ((Date.now() - startMs) / 1000).toFixed(1);
    process.stdout.write(`== ${name}: ${counts.passed} passed, ${counts.failed} failed, ${seconds} s\n`);
  }
  if (failedParts.length > 0) process.stdout.write(`\nfailed: ${failedParts.join(", ")}\n`);
  const skipped = total.skipped > 0 ? `, ${total.skipped} skipped` : "";
  process.stdout.write(`\n${total.passed} passed, ${total.failed} failed${skipped}\n`);
  return failedParts.length > 0 ? 1 : 0;
}

function nativeTests() {
  const counts = { ...none };
  for (const name of ["native_tests", "corpus_tests"]) {
    for (const [key, count] of Object.entries(gtests(name))) counts[key] += count;
  }
  return counts;
}

function gtests(name) {
  const program = `build/Release/${name}`;
  if (!existsSync(program)) throw new StepFailed("the native tests are not built: run npm run build");
  const report = join(root, "build", `${name}.json`);
  rmSync(report, { force: true });
  const filter = process.env.CAPSTAN_NATIVE_FILTER ? [`--gtest_filter=${process.env.CAPSTAN_NATIVE_FILTER}`] : [];
  const code = runShown([program, "--gtest_brief=1", `--gtest_output=json:${report}`, ...filter], {
    timeoutMs: TEST_MS_MAX,
  });
  if (!existsSync(report)) {
    // Aborted half way, or killed since it hung: gtest writes its report at the end only.
    process.stdout.write(`${name} ended early with ${code}\n`);
    return { ...none, failed: 1 };
  }
  const { tests, failures, disabled } = JSON.parse(readFileSync(report, "utf8"));
  const failed = failures === 0 && code !== 0 ? 1 : failures;
  return { passed: tests - failures - disabled, failed, skipped: disabled };
}

function simulatedSeeds() {
  const program = "build/Release/sim";
  if (!existsSync(program)) throw new StepFailed("the simulator is not built: run npm run build");
  return counted(runShown([program, "--seeds", "1..300", "--jobs", "2"], { timeoutMs: TEST_MS_MAX }) === 0);
}

function rustTests() {
  const command = ["test", "--release", "--locked", "--manifest-path", "native/consensus/Cargo.toml"];
  const run = spawnSync("cargo", [...command, "--target-dir", "build/cargo"], {
    encoding: "utf8",
    maxBuffer: 64 << 20,
    stdio: ["ignore", "pipe", "inherit"],
  });
  if (run.error) throw new StepFailed(`cannot run cargo: ${run.error.message}`);
  const counts = { ...none };
  for (const [, passed, failed, ignored] of run.stdout.matchAll(/(\d+) passed; (\d+) failed; (\d+) ignored/g)) {
    counts.passed += Number(passed);
    counts.failed += Number(failed);
    counts.skipped += Number(ignored);
  }
  if (run.status !== 0 && counts.failed === 0) counts.failed = 1;
  if (counts.failed > 0) process.stdout.write(run.stdout);
  return counts;
}

function nodeTests(name, files) {
  if (files.length === 0) {
    process.stdout.write(`no test files for ${name}\n`);
    return none;
  }
  mkdirSync("build", { recursive: true });
  const report = `build/node_${name}.json`;
  rmSync(report, { force: true });
  const reporters = [
    ...["--test-reporter=spec", "--test-reporter-destination=stdout"],
    ...["--test-reporter=./scripts/lib/counting_reporter.mjs", `--test-reporter-destination=${report}`],
  ];
  const options = ["--enable-source-maps", "--test", `--test-timeout=${TEST_MS_MAX}`];
  // Real processes want the machine for themselves.
  if (name === "e2e") options.push("--test-concurrency=1");
  const code = runShown([process.execPath, ...options, ...reporters, ...files]);
  const text = existsSync(report) ? readFileSync(report, "utf8") : "";
  const counts = text === "" ? { ...none } : JSON.parse(text);
  if (code !== 0 && counts.failed === 0) counts.failed = 1;
  return counts;
}

function testFiles(folder, deep) {
  if (!existsSync(folder)) return [];
  return readdirSync(folder, { withFileTypes: true })
    .flatMap((entry) => {
      const path = join(folder, entry.name);
      if (entry.isDirectory()) return deep ? testFiles(path, true) : [];
      return entry.name.endsWith(".test.js") ? [path] : [];
    })
    .sort();
}

function below(folder) {
  return testFiles(folder, true);
}

function counted(isGood) {
  return isGood ? { ...none, passed: 1 } : { ...none, failed: 1 };
}

await runMain(main);
