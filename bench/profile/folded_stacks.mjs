// Owns: what `perf script -F comm,ip,sym` prints, as folded stacks: "thread;outermost;…;innermost COUNT" a line, and each
// thread's share of the samples. Pure. Called by main.mjs and by a unit test.

/** The most frequent first. */
export function foldedStacks(script) {
  const stacks = new Map();
  const threads = new Map();
  let samples = 0;
  for (const block of script.split(/\n\s*\n/)) {
    const [head, ...frames] = block.split("\n").filter((line) => line.trim() !== "");
    if (head === undefined) continue;
    const thread = head.trim();
    const names = frames.map((line) => line.trim().replace(/^[0-9a-f]+\s*/, "") || "[unknown]").reverse();
    const stack = [thread, ...names].map((name) => name.replaceAll(";", ":")).join(";");
    stacks.set(stack, (stacks.get(stack) ?? 0) + 1);
    threads.set(thread, (threads.get(thread) ?? 0) + 1);
    samples++;
  }
  const byCount = (a, b) => b[1] - a[1] || (a[0] < b[0] ? -1 : 1);
  return {
    folded: [...stacks]
      .sort(byCount)
      .map(([stack, count]) => `${stack} ${count}\n`)
      .join(""),
    threads: [...threads].sort(byCount).map(([name, count]) => ({ name, share: count / samples })),
  };
}
