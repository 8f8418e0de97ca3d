// Owns: builds of the native tests under sanitizers, and their runs. Called by `npm run test:asan` (addresses, leaks and
// undefined behaviour) and `npm run test:tsan` (races between threads). Builds with the same binding.gyp into
// build/asan or build/tsan, without the addon. A run begins by showing that planted faults are caught.
//
// Rust's core and the distribution's RocksDB are not instrumented; scripts/sanitizers/ has what is left out for them.

import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, readFileSync, rmSync, symlinkSync } from "node:fs";
import { availableParallelism } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { nodeGyp } from "./lib/gyp.mjs";
import { program } from "./lib/packages.mjs";
import { runLogged, runMain, StepFailed } from "./lib/run.mjs";
import { filesBelow, namesOf, Stamps } from "./lib/stamps.mjs";

const root = fileURLToPath(new URL("..", import.meta.url));

const kinds = {
  asan: {
    flags: "address,undefined",
    faults: ["use-after-free", "overrun", "undefined", "leak"],
    environment: {
      ASAN_OPTIONS:
        "detect_leaks=1:detect_stack_use_after_return=1:strict_string_checks=1:check_initialization_order=1",
      LSAN_OPTIONS: `suppressions=${join(root, "scripts/sanitizers/lsan.txt")}:print_suppressions=0`,
      UBSAN_OPTIONS: "print_stacktrace=1",
    },
  },
  tsan: {
    flags: "thread",
    faults: ["race"],
    environment: {
      TSAN_OPTIONS: `suppressions=${join(root, "scripts/sanitizers/tsan.txt")}:print_suppressions=0:second_deadlock_stack=1`,
    },
  },
};

async function main() {
  const name = process.argv[2];
  const kind = kinds[name];
  if (!kind) throw new StepFailed("usage: sanitize.mjs asan|tsan [gtest filter]");
  process.chdir(root);
  if (!existsSync("node_modules/node-gyp")) throw new StepFailed("not installed yet: run npm run bootstrap");
  const folder = join(root, "build", name);
  linkTree(folder);
  await build(name, kind, folder);
  const run = runner(kind, folder);
  checkFaults(kind, run);
  const report = join(folder, "native_tests.json");
  rmSync(report, { force: true });
  const filter = process.argv[3] ? [`--gtest_filter=${process.argv[3]}`] : [];
  const status = run("native_tests", ["--gtest_brief=1", `--gtest_output=json:${report}`, ...filter], "inherit").status;
  if (!existsSync(report)) throw new StepFailed(`${name}: the native tests ended early with ${status}`);
  const { tests, failures } = JSON.parse(readFileSync(report, "utf8"));
  const failed = status !== 0 && failures === 0 ? 1 : failures;
  process.stdout.write(`${tests - failures} passed, ${failed} failed\n`);
  return failed > 0 || tests === 0 ? 1 : 0;
}

// A folder of links, in which node-gyp finds the same sources and makes a build folder of its own.
function linkTree(folder) {
  mkdirSync(folder, { recursive: true });
  for (const name of ["native", "schemas", "scripts", "test", "node_modules", "binding.gyp", "package.json"]) {
    const path = join(folder, name);
    if (!existsSync(path) && existsSync(join(root, name))) symlinkSync(join("..", "..", name), path);
  }
}

async function build(name, kind, folder) {
  const env = { ...process.env };
  if (!env.CXX && program("ccache")) env.CXX = "ccache g++";
  const stamps = new Stamps(join(folder, "stamps.json"));
  const layout = namesOf(
    filesBelow("native", "schemas", "test/native"),
    readFileSync("binding.gyp", "utf8"),
    process.execPath,
    env.CXX ?? "",
  );
  if (!stamps.is("configure", layout) || !existsSync(join(folder, "build", "Makefile"))) {
    const defines = ["--", `-Dsanitize=${kind.flags}`, `-Dcargo_target=${join(root, "build", "cargo")}`];
    await runLogged(`${name} build: configure`, nodeGyp("configure", "--release", ...defines), {
      logPath: join(folder, "configure.log"),
      cwd: folder,
      env,
    });
    stamps.set("configure", layout);
  }
  const make = ["make", "-C", "build", "BUILDTYPE=Release", "-j", String(availableParallelism())];
  await runLogged(`${name} build`, [...make, "native_tests", "planted_faults"], {
    logPath: join(folder, "native.log"),
    cwd: folder,
    env,
  });
}

// Sanitizers map fixed addresses, which a kernel that shuffles them widely may have taken: without shuffling it works.
function runner(kind, folder) {
  const env = { ...process.env, ...kind.environment };
  const start = (prefix, name, words, stdio) => {
    const command = [...prefix, join(folder, "build", "Release", name), ...words];
    return spawnSync(command[0], command.slice(1), { cwd: root, env, stdio, encoding: "utf8" });
  };
  const fixed = program("setarch") ? ["setarch", "-R"] : [];
  const works = (prefix) => start(prefix, "planted_faults", ["none"], "pipe").status === 0;
  const prefix = works([]) && works([]) && works([]) ? [] : fixed;
  if (!works(prefix)) throw new StepFailed("a program built with the sanitizer does not start on this machine");
  return (name, words, stdio) => start(prefix, name, words, stdio);
}

function checkFaults(kind, run) {
  for (const fault of kind.faults) {
    const { status, stderr } = run("planted_faults", [fault], "pipe");
    if (status === 0 || !/Sanitizer|runtime error/.test(stderr)) {
      throw new StepFailed(`the planted fault "${fault}" was not caught:\n${stderr}`);
    }
    process.stdout.write(`planted ${fault}: caught\n`);
  }
}

await runMain(main);
