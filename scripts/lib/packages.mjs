// Owns: which tools and libraries of the system the build needs, how to see whether they are there, and what to install.
// It never runs a build. Called by scripts/bootstrap.mjs.

import { spawnSync } from "node:child_process";
import { accessSync, constants, existsSync, readFileSync } from "node:fs";
import { delimiter, join } from "node:path";

const CARGO_MIN = [1, 75];

// Each need: what to look for, and the names of the packages that bring it.
const needs = [
  { has: () => program("c++") || program("g++"), apt: "build-essential", brew: "" },
  { has: () => program("make"), apt: "build-essential", brew: "make" },
  { has: () => program("python3"), apt: "python3", brew: "python" },
  { has: () => program("pkg-config"), apt: "pkg-config", brew: "pkg-config" },
  { has: () => program("capnp") && program("capnpc-c++"), apt: "capnproto", brew: "capnp" },
  // raft-rs generates its messages when it is built.
  { has: () => program("protoc"), apt: "protobuf-compiler", brew: "protobuf" },
  { has: () => header("capnp/rpc-twoparty.h"), apt: "libcapnp-dev", brew: "capnp" },
  { has: () => header("rocksdb/db.h"), apt: "librocksdb-dev", brew: "rocksdb" },
  { has: () => header("gtest/gtest.h"), apt: "libgtest-dev", brew: "googletest" },
  // A test watches the order of the server's system calls.
  { has: () => program("strace"), apt: "strace", brew: "" },
  { has: () => header("xxhash.h"), apt: "libxxhash-dev", brew: "xxhash" },
  { has: () => cargoIsNewEnough(), apt: cargoPackage(), brew: "rust" },
];

/** Packages that are missing, in the system's own names, each once. */
export function missingPackages(platform = process.platform) {
  const key = platform === "darwin" ? "brew" : "apt";
  return [...new Set(needs.filter((need) => !need.has()).map((need) => need[key]))].filter((name) => name !== "");
}

/** The exact commands that install them, as a person would type them. */
export function installLine(packages, platform = process.platform) {
  if (platform === "darwin") return `brew install ${packages.join(" ")}`;
  const sudo = isRoot() ? "" : "sudo ";
  return `${sudo}apt-get update && ${sudo}${aptInstall(packages).join(" ")}`;
}

export function aptInstall(packages) {
  return [
    ...["env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "-o", "DPkg::Lock::Timeout=600"],
    ...["install", "-y", "--no-install-recommends", ...packages],
  ];
}

export function isRoot() {
  return process.getuid?.() === 0;
}

/** The path of a program, or undefined. */
export function program(name) {
  for (const folder of (process.env.PATH ?? "").split(delimiter)) {
    const path = join(folder, name);
    try {
      accessSync(path, constants.X_OK);
      return path;
    } catch {
      // Not in this folder.
    }
  }
  return undefined;
}

/** `cargo --version` as numbers, or undefined where it is missing or does not run. */
export function cargoVersion() {
  if (!program("cargo")) return undefined;
  const run = spawnSync("cargo", ["--version"], { encoding: "utf8" });
  const match = /^cargo (\d+)\.(\d+)/.exec(run.stdout ?? "");
  return match ? [Number(match[1]), Number(match[2])] : undefined;
}

function cargoIsNewEnough() {
  const version = cargoVersion();
  if (!version) return false;
  return version[0] > CARGO_MIN[0] || (version[0] === CARGO_MIN[0] && version[1] >= CARGO_MIN[1]);
}

// Debian 12's own cargo is older than its lock files can be; its newer one has a name of its own.
function cargoPackage() {
  const release = readText("/etc/os-release");
  return /^ID=debian$/m.test(release) && /^VERSION_ID="?12"?$/m.test(release) ? "cargo-web" : "cargo";
}

function header(name) {
  const folders = ["/usr/include", "/usr/local/include", "/opt/homebrew/include", `/usr/include/${triplet()}`];
  const own = (process.env.CPLUS_INCLUDE_PATH ?? "").split(delimiter).filter((folder) => folder !== "");
  return [...own, ...folders].some((folder) => existsSync(join(folder, name)));
}

function triplet() {
  const machine = { x64: "x86_64", arm64: "aarch64" }[process.arch] ?? process.arch;
  return `${machine}-linux-gnu`;
}

function readText(path) {
  return existsSync(path) ? readFileSync(path, "utf8") : "";
}
