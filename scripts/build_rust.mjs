// Owns: the call of cargo for native/consensus. Called by binding.gyp: `node scripts/build_rust.mjs TARGET DIGEST.cc`
// builds into the folder TARGET and writes the archive's digest as a C++ source. It never changes Cargo.lock.
import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join, resolve } from "node:path";

const [target, digestPath] = process.argv.slice(2);
if (!target || !digestPath) throw new Error("usage: build_rust.mjs TARGET DIGEST.cc");
const environment = { ...process.env };
// make's own flags and npm's settings are no business of cargo and of the build scripts it runs.
for (const name of ["MAKEFLAGS", "MFLAGS", "MAKELEVEL", "CARGO_TARGET_DIR"]) delete environment[name];
const run = spawnSync(
  "cargo",
  ["build", "--release", "--locked", "--lib", "--manifest-path", "native/consensus/Cargo.toml", "--target-dir", target],
  { stdio: "inherit", env: environment },
);
if (run.error) throw new Error(`cannot run cargo: ${run.error.message}`);
if (run.status !== 0) process.exit(run.status ?? 1);

const archive = readFileSync(join(resolve(target), "release", "libcapstan_consensus.a"));
const digest = createHash("sha256").update(archive).digest("hex");
mkdirSync(dirname(digestPath), { recursive: true });
writeFileSync(
  digestPath,
  `extern const char capstanConsensusDigest[];\nconst char capstanConsensusDigest[] = "${digest}";\n`,
);
