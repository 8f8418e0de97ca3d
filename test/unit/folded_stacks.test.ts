// The profile of the addon's threads: what perf prints becomes stacks that can be counted. Owns nothing; the script is
// plain JavaScript and is loaded as such.

import assert from "node:assert/strict";
import { it } from "node:test";

interface Folded {
  readonly folded: string;
  readonly threads: readonly { readonly name: string; readonly share: number }[];
}

const path = new URL("../../../bench/profile/folded_stacks.mjs", import.meta.url).href;
const { foldedStacks } = (await import(path)) as { foldedStacks: (script: string) => Folded };

it("folds equal stacks, outermost first, and shares samples among threads", () => {
  const one = "raft-log \n\t    7f01 fdatasync\n\t    7f02 write;all\n\t    7f03 run\n";
  const other = "apply \n\t    7f04 Put\n";
  const { folded, threads } = foldedStacks(`${one}\n${other}\n${one}\n${one}\n`);
  assert.equal(folded, "raft-log;run;write:all;fdatasync 3\napply;Put 1\n");
  assert.deepEqual(threads, [
    { name: "raft-log", share: 0.75 },
    { name: "apply", share: 0.25 },
  ]);
});

it("is empty for a script without samples", () => {
  assert.deepEqual(foldedStacks("\n\n"), { folded: "", threads: [] });
});
