// Owns: all formatters and linters. Called by `npm run lint`, `npm run format` (`--write`) and scripts/test.mjs
// (`--test`). What npm brings (biome, tsc) always runs; clang-format, rustfmt and clippy run where they are installed.
//
// Other versions of those three may judge otherwise than the one the project is formatted with, so under `--test`
// outside of continuous integration they only warn.

import { spawnSync } from "node:child_process";
import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { program } from "./lib/packages.mjs";
import { runMain, runShown, StepFailed } from "./lib/run.mjs";

const root = fileURLToPath(new URL("..", import.meta.url));
const CLANG_FORMAT_MAJOR = 14;
const isWriting = process.argv.includes("--write");
const isTest = process.argv.includes("--test");
const isStrict = !isTest || Boolean(process.env.CI);

function main() {
  process.chdir(root);
  if (!existsSync("node_modules/@biomejs/biome")) throw new StepFailed("not installed yet: run npm run bootstrap");
  const failed = [];
  const check = (name, command, mustPass = true) => {
    if (runShown(command) === 0) return;
    if (mustPass) failed.push(name);
    else process.stderr.write(`${name}: would fail in continuous integration\n`);
  };
  const biome = [
    "node_modules/@biomejs/biome/bin/biome",
    isWriting ? "check" : "ci",
    ...(isWriting ? ["--write"] : []),
  ];
  check("biome", [process.execPath, ...biome, "."]);
  // Under --test the bootstrap has just compiled everything.
  const tsc = "node_modules/typescript/bin/tsc";
  if (!isTest && !isWriting) check("tsc", [process.execPath, tsc, "-p", "tsconfig.json", "--noEmit"]);
  lintCpp(check);
  lintRust(check);
  if (failed.length > 0) process.stderr.write(`lint failed: ${failed.join(", ")}\n`);
  else process.stderr.write("lint: good\n");
  return failed.length > 0 ? 1 : 0;
}

function lintCpp(check) {
  const files = sources("native", /\.(cc|h)$/).concat(sources("test/native", /\.(cc|h)$/));
  const version = program("clang-format") ? /version (\d+)/.exec(output("clang-format", "--version"))?.[1] : undefined;
  if (Number(version) !== CLANG_FORMAT_MAJOR) {
    const found = version ? `version ${version} is here` : "it is not installed";
    process.stderr.write(`clang-format: skipped, since ${found} and the project uses ${CLANG_FORMAT_MAJOR}\n`);
    return;
  }
  const mode = isWriting ? ["-i"] : ["--dry-run", "-Werror"];
  if (files.length > 0) check("clang-format", ["clang-format", "--style=file", ...mode, ...files], isStrict);
}

function lintRust(check) {
  const manifest = ["--manifest-path", "native/consensus/Cargo.toml"];
  if (!existsSync(manifest[1])) return;
  if (program("cargo-fmt") && program("rustfmt")) {
    check("rustfmt", ["cargo", "fmt", ...manifest, ...(isWriting ? [] : ["--check"])], isStrict);
  } else {
    process.stderr.write("rustfmt: skipped, since it is not installed\n");
  }
  if (isWriting) return;
  if (program("cargo-clippy")) {
    const target = ["--target-dir", "build/cargo"];
    const command = ["cargo", "clippy", "--release", "--locked", "--all-targets", "-q", ...manifest, ...target];
    check("clippy", [...command, "--", "-D", "warnings"], isStrict);
  } else {
    process.stderr.write("clippy: skipped, since it is not installed\n");
  }
}

function sources(folder, pattern) {
  if (!existsSync(folder)) return [];
  return readdirSync(folder, { withFileTypes: true }).flatMap((entry) => {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) return entry.name === "target" ? [] : sources(path, pattern);
    return pattern.test(entry.name) ? [path] : [];
  });
}

function output(command, ...words) {
  return spawnSync(command, words, { encoding: "utf8" }).stdout ?? "";
}

await runMain(main);
