// The simulator's own promises: the same seed gives the same trace, a run goes on where it was stopped, and bad
// arguments are refused. Owns the directory of its files. What the simulator finds is the business of `npm run sim`.

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { appendFileSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { after, describe, it } from "node:test";
import { temporaryDirectory } from "../support/server_process.js";

const program = "build/Release/sim";
const scratch = temporaryDirectory();
after(() => rmSync(scratch, { recursive: true, force: true }));

function sim(...words: string[]) {
  return spawnSync(program, words, { encoding: "utf8" });
}

function traceHash(seed: number): string {
  const { stdout, status, stderr } = sim("--seeds", `${seed}..${seed}`, "--trace");
  assert.equal(status, 0, stderr);
  return /trace hash ([0-9a-f]{16})/.exec(stdout)?.[1] ?? assert.fail("no trace hash");
}

describe("the simulator", () => {
  it("gives the same trace for the same seed, within a process and in another one", () => {
    const { status, stderr } = sim("--seeds", "9000..9005", "--check-determinism");
    assert.equal(status, 0, stderr);
    assert.equal(traceHash(9001), traceHash(9001));
    assert.notEqual(traceHash(9001), traceHash(9002));
  });

  it("runs each range of a resumed run once, and reads past a line that was cut short", () => {
    const file = join(scratch, "ranges");
    assert.equal(sim("--seeds", "1..10", "--steps", "200", "--resume", file).status, 0);
    appendFileSync(file, "done 11..1");
    const { status, stdout, stderr } = sim("--seeds", "1..12", "--steps", "200", "--resume", file);
    assert.equal(status, 0, stderr);
    assert.match(stdout, /^12 seeds, /m);
    assert.equal(readFileSync(file, "utf8").match(/^done 1\.\.10 /gm)?.length, 1);
  });

  it("refuses arguments that it does not know", () => {
    for (const words of [
      [],
      ["--seeds", "5..1"],
      ["--seeds", "1..2x"],
      ["--seeds", "1..2", "--jobs", "0"],
      ["--what"],
    ]) {
      assert.equal(sim(...words).status, 2, words.join(" "));
    }
  });
});
