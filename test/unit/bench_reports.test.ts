// What recorded benchmarks become: medians, ratios, tables, charts and the page of figures; and that the page says what
// the raw results say. Owns directories of made-up results. It runs no benchmark.

import assert from "node:assert/strict";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, it } from "node:test";
import { fileURLToPath } from "node:url";
import { barChart, lineChart } from "../../bench/chart.js";
import { comparisons } from "../../bench/comparisons.js";
import { levelOf, type Sample } from "../../bench/long.js";
import { fillSections, markdownTable } from "../../bench/markdown.js";
import { choose, matrixTable, pairRatios, recordingName } from "../../bench/matrix.js";
import { medianTable } from "../../bench/median_table.js";
import { performanceDocument } from "../../bench/performance_document.js";
import { Recording, readRecording } from "../../bench/raw_results.js";
import type { Result } from "../../bench/result.js";
import { median, medianKnown, spread } from "../../bench/statistics.js";
import { budgetText, tableOf } from "../../bench/table.js";

const root = fileURLToPath(new URL("../../..", import.meta.url));
const scratch = mkdtempSync(join(tmpdir(), "capstan-reports-"));
after(() => rmSync(scratch, { recursive: true, force: true }));

function resultWith(jobsPerSecond: number, more: Partial<Result> = {}): Result {
  return {
    bench: "e1",
    title: "a title",
    jobsPerSecond,
    floorJobsPerSecond: 300_000,
    latencyMs: { p50: 1, p99: 2, p999: 3 },
    latencies: { enqueue: { count: 5, p50: 1, p99: 2, p999: 3 } },
    seconds: 2,
    cpuSeconds: { server: 1, client: 0.5 },
    peakRssBytes: { server: 100 << 20 },
    writtenBytes: { server: 3 << 20, payload: 2 << 20 },
    writeAmplification: 1.5,
    machine: { processor: "P", cores: 2, memoryBytes: 2 ** 34, kernel: "6", node: "v20", fileSystem: "ext4" },
    settings: {
      connections: 10,
      batchJobs: 64,
      payloadBytes: 256,
      outstandingPerConnection: 1,
      threads: 1,
      warmUpSeconds: 2,
      sync: "always",
      serverFlags: [],
    },
    budget: { unit: "jobs/s", must: 180_000, goal: 400_000 },
    isWithinBudget: true,
    floor: null,
    counted: { enqueued: 10, acked: 0, ready: 10, leased: 0, ackedTotal: 0 },
    ...more,
  };
}

describe("statistics", () => {
  it("take the middle, and the mean of two in the middle", () => {
    assert.equal(median([9, 1, 5]), 5);
    assert.equal(median([10, 2]), 6);
    assert.equal(median([100, 20, 3]), 20, "as numbers, not as words");
    assert.deepEqual(spread([3, 1, 2]), { median: 2, min: 1, max: 3 });
    assert.throws(() => median([]), RangeError);
  });

  it("leave out what is not known", () => {
    assert.equal(medianKnown([null, 4, undefined, 8]), 6);
    assert.equal(medianKnown([null]), null);
  });

  it("compare runs that lie beside one another in time", () => {
    assert.deepEqual(pairRatios([100, 200], [50, 300]), { median: 1, min: 0.5, max: 1.5 });
    assert.throws(() => pairRatios([1], []), RangeError);
  });

  it("set the first fifth of a long run against its last", () => {
    const samples = Array.from({ length: 10 }, (_, at) => ({ rssBytes: at }) as Sample);
    assert.deepEqual(
      levelOf(samples, (sample) => sample.rssBytes),
      { first: 0.5, last: 8.5 },
    );
  });
});

describe("recordings", () => {
  it("take the place of the last one only when they are whole", () => {
    const results = mkdtempSync(join(scratch, "results-"));
    const first = new Recording(results, "e1");
    first.add("the command", 1, { jobsPerSecond: 7 });
    assert.deepEqual(readRecording(results, "e1"), []);
    first.finish();
    const broken = new Recording(results, "e1");
    broken.add("another", 1, { jobsPerSecond: 8 });
    broken.discard();
    const [line, ...rest] = readRecording<{ jobsPerSecond: number }>(results, "e1");
    assert.deepEqual([line?.command, line?.round, line?.jobsPerSecond, rest], ["the command", 1, 7, []]);
    assert.ok((line?.commit ?? "") !== "");
  });

  it("become a table of medians", () => {
    const origin = { command: "c", commit: "d", round: 1 };
    const table = medianTable([[10, 30, 20].map((rate) => ({ ...resultWith(rate * 1000), ...origin }))]);
    assert.match(table, /\| e1 \| 20,000 jobs\/s \(10,000 … 30,000\) \| 1\.00 ms \/ 2\.00 ms \/ 3\.00 ms \|/);
    assert.match(table, /25\.00 µs \/ 12\.50 µs \| 100 MiB \| 1\.50 × \| 300,000 jobs\/s \|/);
    const ratio = { empty: 100, queued: 90, ratio: 0.9 };
    const b1 = { ...resultWith(90, { bench: "b1", backlog: { e1: ratio, l1: ratio } }), ...origin };
    assert.match(medianTable([[b1]]), /e1 0\.900 × \(0\.900 … 0\.900\)/);
    const readiness = { seconds: 1.5, rssBytes: 512 << 20 };
    const b2 = {
      ...resultWith(90, { bench: "b2", restart: { afterStop: readiness, afterKill: readiness } }),
      ...origin,
    };
    assert.match(medianTable([[b2]]), /after a stop 1\.50 s, 512 MiB; after a kill/);
  });

  it("of a comparison become a ratio of B through A", () => {
    const results = mkdtempSync(join(scratch, "matrix-"));
    const comparison = comparisons[0] ?? assert.fail("no comparison");
    const recording = new Recording(results, recordingName(comparison));
    for (const [side, rate] of [
      ["A", 1000],
      ["B", 500],
    ] as const) {
      recording.add("c", 1, { comparison: comparison.name, side, ...resultWith(rate) });
    }
    recording.finish();
    assert.match(matrixTable(results), /\| 1,000 jobs\/s \| 500 jobs\/s \| 0\.50 × \(0\.50 … 0\.50\) \|/);
  });
});

describe("comparisons", () => {
  it("have names of their own, and flags", () => {
    const names = comparisons.map((comparison) => comparison.name);
    assert.equal(new Set(names).size, names.length);
    assert.ok(comparisons.every((comparison) => comparison.flags.length > 0));
  });

  it("are chosen by the beginnings of their names", () => {
    assert.deepEqual(choose([]), comparisons);
    assert.ok(choose(["coalescing", "sync"]).every(({ name }) => /^(coalescing|sync)/.test(name)));
    assert.throws(() => choose(["nothing"]), /no comparison begins with nothing/);
  });
});

describe("the table of one run", () => {
  it("shows machine, settings, throughput, latencies, CPU, memory, write amplification and floor", () => {
    const floor = {
      jobsPerSecond: 300_000,
      putsPerSecond: 600_000,
      appendBytesPerSecond: 7e8,
      appendJobsPerSecond: 1,
      syncMicroseconds: 220,
    };
    const text = tableOf(resultWith(200_000, { floor }));
    for (const name of [
      "machine",
      "settings",
      "throughput",
      "enqueue latency",
      "CPU",
      "peak memory",
      "write amplification",
      "floor",
    ]) {
      assert.match(text, new RegExp(`^${name} +\\S`, "m"), name);
    }
    assert.match(text, /sync always/);
  });

  it("says what a server that was not started by the run does not tell", () => {
    const unknown = { server: null };
    const text = tableOf(
      resultWith(1, {
        cpuSeconds: { ...unknown, client: 1 },
        peakRssBytes: unknown,
        writtenBytes: { ...unknown, payload: 1 },
        writeAmplification: null,
      }),
    );
    assert.match(text, /server not known/);
    assert.doesNotMatch(text, /write amplification|peak memory/);
  });

  it("knows every kind of budget", () => {
    assert.equal(budgetText({ unit: "ratio", must: 0.8, goal: 0.95 }), "0.8 × must, 0.95 × goal");
    const must = { seconds: 5, rssBytes: 1 << 30 };
    assert.match(budgetText({ unit: "restart", must, goal: must }), /^5 s and 1\.00 GiB must/);
  });
});

describe("charts", () => {
  it("draw each series once, from zero, and escape what is written", () => {
    const points = [
      [0, 10],
      [1, 20],
    ] as const;
    const svg = lineChart("a < b & c", "jobs", [{ title: "p", series: [{ name: "x", points }] }]);
    assert.match(svg, /^<svg xmlns="http:\/\/www\.w3\.org\/2000\/svg"/);
    assert.match(svg, /a &lt; b &amp; c/);
    assert.equal(svg.match(/<path d="M[\d.]+,[\d.]+L[\d.]+,[\d.]+"/g)?.length, 1);
    assert.match(svg, />0<\/text>/);
    assert.doesNotMatch(svg, /NaN|undefined/);
  });

  it("draw a bar for each value, as high as it is large", () => {
    const values = [
      { name: "one", value: 100 },
      { name: "two", value: 50 },
    ];
    const svg = barChart("t", "y", [{ name: "g", values }]);
    const heights = [...svg.matchAll(/<rect x="[\d.]+" y="[\d.]+" width="[\d.]+" height="([\d.]+)" fill="#/g)]
      .map((match) => Number(match[1]))
      .filter((height) => height > 10);
    assert.equal(heights.length, 2);
    assert.ok(Math.abs((heights[0] ?? 0) - 2 * (heights[1] ?? 0)) < 0.5, String(heights));
  });

  it("are whole without a single point", () => {
    assert.doesNotMatch(lineChart("t", "x", [{ title: "p", series: [{ name: "s", points: [] }] }]), /NaN|Infinity/);
    assert.doesNotMatch(barChart("t", "y", []), /NaN|Infinity/);
  });
});

describe("the page of figures", () => {
  it("gets new figures between its markers and keeps the rest", () => {
    const page = "before\n<!-- figures: one -->\nold\n<!-- end -->\nafter\n";
    const filled = fillSections(page, { one: "new" });
    assert.equal(filled, "before\n<!-- figures: one -->\n\nnew\n\n<!-- end -->\nafter\n");
    assert.equal(fillSections(filled, { one: "new" }), filled);
    assert.throws(() => fillSections(page, {}), /no figures of the name one/);
    assert.throws(() => fillSections(page, { one: "", two: "" }), /no place for two/);
  });

  it("has tables whose cells may hold any text", () => {
    assert.equal(markdownTable(["a", "b"], [["x|y", "1"]]), "| a | b |\n|---|---:|\n| x\\|y | 1 |\n");
  });

  it("names the command and the raw file of each figure", () => {
    const results = mkdtempSync(join(scratch, "page-"));
    const recording = new Recording(results, "e1");
    recording.add("npx capstan bench e1 --json", 1, resultWith(123_456));
    recording.finish();
    const page = performanceDocument(readFileSync(join(root, "docs", "performance.md"), "utf8"), results);
    assert.match(page, /123,456 jobs\/s/);
    assert.match(page, /`npx capstan bench e1 --json`: 1 run of commit .*, raw in `bench\/results\/e1\.jsonl`/);
    writeFileSync(join(results, "e1.jsonl"), "");
    assert.doesNotMatch(performanceDocument(page, results), /123,456/, "a figure goes with its raw result");
  });

  it("says what the raw results say (else: npm run docs:performance)", () => {
    const page = readFileSync(join(root, "docs", "performance.md"), "utf8");
    assert.equal(performanceDocument(page, join(root, "bench", "results")), page);
    for (const [, path = ""] of page.matchAll(/\]\(\.\.\/(bench\/results\/[^)]+)\)/g)) {
      assert.ok(existsSync(join(root, path)), path);
    }
  });
});
