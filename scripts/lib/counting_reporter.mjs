// Owns: counting of the tests that node's runner ran: one JSON line with how many passed, failed and were skipped.
// Called by node as a reporter (`--test-reporter`), beside the one for people; read by scripts/test.mjs.

export default async function* countingReporter(source) {
  const counts = { passed: 0, failed: 0, skipped: 0 };
  for await (const event of source) {
    if (event.type !== "test:pass" && event.type !== "test:fail") continue;
    // Suites and files are containers: only what has a body of its own counts.
    if (event.data.details?.type === "suite") continue;
    if (event.data.skip !== undefined || event.data.todo !== undefined) counts.skipped++;
    else if (event.type === "test:pass") counts.passed++;
    else counts.failed++;
  }
  yield `${JSON.stringify(counts)}\n`;
}
