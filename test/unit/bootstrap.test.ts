// What a newcomer meets first: the bootstrap says exactly what is missing and how to get it, installs it where it may,
// and stops before `npm ci` otherwise; the `capstan` command says what to run in a checkout that is not built. Runs
// copies of the scripts with a search path of fakes, which only write down how they were called.

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { chmodSync, cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterEach, beforeEach, describe, test } from "node:test";
import { fileURLToPath } from "node:url";

const root = join(dirname(fileURLToPath(import.meta.url)), "..", "..", "..");
const isLinux = process.platform === "linux";
let checkout = "";

beforeEach(() => {
  checkout = mkdtempSync(join(tmpdir(), "capstan-bootstrap-"));
  cpSync(join(root, "scripts"), join(checkout, "scripts"), { recursive: true });
  mkdirSync(join(checkout, "bin"));
});

afterEach(() => rmSync(checkout, { recursive: true, force: true }));

/** A program that writes down its words and ends with `code`. */
function fake(name: string, code = 0): void {
  const path = join(checkout, "bin", name);
  writeFileSync(path, `#!/bin/sh\necho "${name} $*" >> "${checkout}/calls"\nexit ${code}\n`);
  chmodSync(path, 0o755);
}

function calls(): string[] {
  const path = join(checkout, "calls");
  return existsSync(path) ? readFileSync(path, "utf8").trim().split("\n") : [];
}

function run(script: string, ...words: string[]) {
  return spawnSync(process.execPath, [join(checkout, "scripts", script), ...words], {
    encoding: "utf8",
    env: { PATH: join(checkout, "bin"), HOME: checkout },
  });
}

describe("the bootstrap on a bare system", { skip: !isLinux }, () => {
  test("prints one exact line and stops where it may not install", () => {
    fake("npm");
    const { status, stderr } = run("bootstrap.mjs", "--for", "start");
    assert.equal(status, 1, stderr);
    const lines = stderr.split("\n").filter((line) => line.includes("apt-get install") || line.includes("DPkg::Lock"));
    assert.equal(lines.length, 1, stderr);
    assert.match(
      lines[0] ?? "",
      /apt-get update && .*DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=\d+ install -y/,
    );
    for (const name of ["build-essential", "python3", "pkg-config", "capnproto", "cargo"]) {
      assert.ok((lines[0] ?? "").includes(name), `${name} is named`);
    }
    assert.deepEqual(calls(), [], "npm ci was not reached");
  });

  test("as root or with sudo it updates the lists, then installs, and looks again", () => {
    const isRoot = process.getuid?.() === 0;
    for (const name of ["npm", "apt-get", "env"]) fake(name);
    if (!isRoot) {
      writeFileSync(
        join(checkout, "bin", "sudo"),
        '#!/bin/sh\n[ "$1" = -n ] && shift\n[ "$1" = true ] && exit 0\nexec "$@"\n',
      );
      chmodSync(join(checkout, "bin", "sudo"), 0o755);
    }
    const { status, stderr } = run("bootstrap.mjs", "--for", "test");
    const [first, second, ...rest] = calls();
    assert.equal(first, "apt-get update -q");
    assert.match(
      second ?? "",
      /^env DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=\d+ install -y .*build-essential/,
    );
    assert.deepEqual(rest, [], "npm ci was not reached");
    assert.equal(status, 1, "the fakes installed nothing");
    assert.match(stderr, /Still missing after the installation/);
  });

  test("a failed installation ends it", () => {
    if (process.getuid?.() !== 0) return;
    fake("npm");
    fake("apt-get");
    fake("env", 100);
    const { status, stderr } = run("bootstrap.mjs", "--for", "test");
    assert.equal(status, 1);
    assert.match(stderr, /installation failed/);
    assert.equal(calls().filter((call) => call.startsWith("npm")).length, 0);
  });

  test("a lock left by a process that is gone does not hold it up", () => {
    mkdirSync(join(checkout, "build"));
    const gone = spawnSync(process.execPath, ["-e", ""]).pid;
    writeFileSync(join(checkout, "build", "bootstrap.lock"), String(gone));
    assert.equal(run("bootstrap.mjs", "--for", "start").status, 1);
    assert.ok(!existsSync(join(checkout, "build", "bootstrap.lock")), "and its own is removed");
  });
});

test("an unknown purpose is refused", () => {
  assert.equal(run("bootstrap.mjs", "--for", "fun").status, 1);
});

test("capstan in a checkout that is not built says what to run", () => {
  const { status, stdout, stderr } = run("capstan.mjs", "version");
  assert.equal(status, 1);
  assert.equal(stdout, "");
  assert.match(stderr, /not built yet/);
  assert.ok(stderr.includes(`cd ${checkout} && npm run build`), stderr);
});
