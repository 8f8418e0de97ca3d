// The disk that loses power is itself shown to lose what a disk may lose, and nothing else: contents without fsync,
// names without fsync of their directory; and to keep what was synced. A small script plays the process that dies.

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, readFileSync, realpathSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, describe, it } from "node:test";
import { beginStore, type CutKind, type CutReport, cutPower, diskEnvironment } from "../support/power_cut.js";
import { preloadLibrary } from "../support/preload.js";
import { SeededRandom } from "../support/seeded_random.js";
import { temporaryDirectory } from "../support/server_process.js";

const directory = realpathSync(temporaryDirectory());
after(() => rmSync(directory, { recursive: true, force: true }));

const helpers = `
  const fs = require("node:fs"); process.chdir("/");
  const data = process.env.FAULTY_DISK_DATA, at = (name) => data + "/" + name;
  const put = (name, text, flags = "w") => { const fd = fs.openSync(at(name), flags); fs.writeSync(fd, text, 0); return fd; };
  const sync = (name) => { const fd = fs.openSync(at(name), "r"); fs.fsyncSync(fd); fs.closeSync(fd); };
`;

interface Left {
  readonly dataDir: string;
  readonly report: CutReport;
  read(name: string): string | undefined;
}

/** Runs `script` on a directory with these files, kills it at its end and cuts the power. */
function cutAfter(
  script: string,
  kind: CutKind,
  before: Record<string, string> = {},
  more: Record<string, string> = {},
): Left {
  const dataDir = join(directory, "data");
  const store = join(directory, "store");
  rmSync(dataDir, { recursive: true, force: true });
  mkdirSync(dataDir);
  for (const [name, text] of Object.entries(before)) writeFileSync(join(dataDir, name), text);
  beginStore(dataDir, store);
  const environment = diskEnvironment(dataDir, store, preloadLibrary("faulty_disk"));
  const run = spawnSync(process.execPath, ["-e", `${helpers}${script}; process.kill(process.pid, "SIGKILL");`], {
    env: { PATH: process.env["PATH"], ...environment, ...more },
    encoding: "utf8",
  });
  assert.equal(run.signal, "SIGKILL", run.stderr);
  const report = cutPower(dataDir, store, kind, new SeededRandom(7));
  const path = (name: string) => join(dataDir, name);
  return { dataDir, report, read: (name) => (existsSync(path(name)) ? readFileSync(path(name), "latin1") : undefined) };
}

describe("a disk that loses power", () => {
  it("keeps what was synced with its name", () => {
    const left = cutAfter(`fs.fsyncSync(put("a", "text")); sync("")`, "lost");
    assert.equal(left.read("a"), "text");
    assert.deepEqual(
      { ...left.report, files: 0 },
      { files: 0, filesCut: 0, pagesLost: 0, pagesKept: 0, namesUndone: 0 },
    );
  });

  it("loses a file whose directory was not synced", () => {
    const left = cutAfter(`fs.fsyncSync(put("a", "text"))`, "lost");
    assert.equal(left.read("a"), undefined);
    assert.equal(left.report.namesUndone, 1);
  });

  it("loses what was not synced of a file, its length too", () => {
    const script = `fs.fsyncSync(put("a", "text")); sync(""); put("a", "newer text", "r+"); put("b", "never"); sync("")`;
    const left = cutAfter(script, "lost");
    assert.deepEqual([left.read("a"), left.read("b")], ["text", ""]);
    assert.equal(left.report.filesCut, 2);
  });

  it("keeps what was there before, and a write that fdatasync covers", () => {
    const left = cutAfter(`fs.fdatasyncSync(put("a", "X", "r+")); put("b", "Y", "r+")`, "lost", { a: "old", b: "old" });
    assert.deepEqual([left.read("a"), left.read("b")], ["Xld", "old"]);
  });

  it("loses an emptying and a cut that were not synced, and keeps those that were", () => {
    const script = `put("a", "n"); fs.fsyncSync(put("b", "n")); fs.truncateSync(at("c"), 1);
      const fd = fs.openSync(at("d"), "r+"); fs.ftruncateSync(fd, 1); fs.ftruncateSync(fd, 3); fs.fsyncSync(fd)`;
    const left = cutAfter(script, "lost", { a: "old", b: "old", c: "old", d: "old" });
    assert.deepEqual(["a", "b", "c", "d"].map(left.read), ["old", "n", "old", "o\0\0"]);
  });

  it("undoes a rename and a removal, and keeps them with their directory", () => {
    const undone = cutAfter(`fs.renameSync(at("a"), at("b")); fs.unlinkSync(at("c"))`, "lost", {
      a: "a",
      b: "b",
      c: "c",
    });
    assert.deepEqual(["a", "b", "c"].map(undone.read), ["a", "b", "c"]);
    const kept = cutAfter(`fs.renameSync(at("a"), at("b")); fs.unlinkSync(at("c")); sync("")`, "lost", {
      ...{ a: "a", b: "b", c: "c" },
    });
    assert.deepEqual(["a", "b", "c"].map(kept.read), [undefined, "a", undefined]);
  });

  it("does not take a file for the one that had its inode before", () => {
    const script = `fs.unlinkSync(at("a"));
      for (let i = 0; i < 50; i++) { fs.fsyncSync(put("n" + i, "new")); fs.unlinkSync(at("n" + i)); }`;
    assert.equal(cutAfter(script, "lost", { a: "old" }).read("a"), "old");
  });

  it("keeps a directory with what was synced in it", () => {
    const script = `fs.mkdirSync(at("d")); fs.fsyncSync(put("d/a", "a")); sync("d"); fs.fsyncSync(put("d/b", "b"));
      fs.mkdirSync(at("e")); sync(""); fs.renameSync(at("d"), at("f"))`;
    const left = cutAfter(script, "lost");
    assert.deepEqual(readdirSync(left.dataDir).sort(), ["d", "e"]);
    assert.deepEqual(readdirSync(join(left.dataDir, "d")), ["a"]);
  });

  it("keeps some unsynced pages and loses others when it was writing back", () => {
    const pages = 64;
    const before = { a: "o".repeat(pages * 4096), s: "o".repeat(pages * 4096) };
    const script = `put("a", "n".repeat(${pages} * 4096), "r+"); fs.fsyncSync(put("s", "n".repeat(${pages} * 4096), "r+"))`;
    const { read, report } = cutAfter(script, "torn", before);
    assert.equal(report.pagesKept + report.pagesLost, pages);
    assert.ok(report.pagesKept > 10 && report.pagesLost > 10, JSON.stringify(report));
    assert.ok(read("a")?.includes("n") && read("a")?.includes("o"));
    assert.equal(read("s"), "n".repeat(pages * 4096));
  });

  it("lies and fails only where it is told to", () => {
    const script = `for (const name of ["a", "b"]) fs.fsyncSync(put(name, "n", "r+"))`;
    const lied = cutAfter(script, "lost", { a: "o", b: "o" }, { FAULTY_DISK_LIE: "/a" });
    assert.deepEqual([lied.read("a"), lied.read("b")], ["o", "n"]);
    const failing = `const fd = put("a", "1", "r+"); fs.fsyncSync(fd); fs.writeSync(fd, "2", 0);
      let code; try { fs.fdatasyncSync(fd); } catch (error) { code = error.code; } fs.fsyncSync(put("b", code, "r+"))`;
    const failed = cutAfter(failing, "lost", { a: "o", b: "o" }, { FAULTY_DISK_FAIL: "/a:2" });
    assert.deepEqual([failed.read("a"), failed.read("b")], ["1", "EIO"]);
  });
});
