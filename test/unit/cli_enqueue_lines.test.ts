// Many lines into a queue: how they are cut, sent in bounded batches, and counted when something breaks. The target is a
// list in memory; no server.

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { LineSender, type LineTarget } from "../../src/cli/enqueue_lines.js";
import { LineTooLong, splitLines } from "../../src/cli/lines.js";
import { CapstanError, type NewJob } from "../../src/client/index.js";

async function* chunks(...texts: string[]): AsyncGenerator<Buffer> {
  for (const text of texts) yield Buffer.from(text);
}

async function linesOf(source: AsyncIterable<Uint8Array>, separator = 10, bytesMax = 100): Promise<string[]> {
  const all: string[] = [];
  for await (const lines of splitLines(source, { separator, bytesMax })) all.push(...lines.map(String));
  return all;
}

describe("lines", () => {
  it("are cut at each separator, whatever the chunks", async () => {
    assert.deepEqual(await linesOf(chunks("a\nb", "c\n", "\n", "d")), ["a", "bc", "", "d"]);
    assert.deepEqual(await linesOf(chunks("a\n")), ["a"]);
    assert.deepEqual(await linesOf(chunks()), []);
    assert.deepEqual(await linesOf(chunks("a\r\nb")), ["a\r", "b"]);
    assert.deepEqual(await linesOf(chunks("a\nb\0c\0"), 0), ["a\nb", "c"]);
  });

  it("name the one that is too long, and hand over those before it", async () => {
    const source = chunks("a\n", "b\nc\n12345", "678901\n");
    const taken: string[] = [];
    const reading = (async () => {
      for await (const lines of splitLines(source, { separator: 10, bytesMax: 10 })) taken.push(...lines.map(String));
    })();
    await assert.rejects(reading, /line 4 is longer than 10 bytes/);
    assert.deepEqual(taken, ["a", "b", "c"]);
    await assert.rejects(linesOf(chunks("x\nyyy\n"), 10, 2), (error: unknown) => {
      assert.ok(error instanceof LineTooLong);
      assert.deepEqual(error.before.map(String), ["x"]);
      return true;
    });
  });
});

class Target implements LineTarget {
  readonly taken: string[] = [];
  readonly batches: number[] = [];
  /** Most at once. */
  underWay = 0;
  underWayMost = 0;
  refuse: (jobs: readonly string[]) => CapstanError | null = () => null;

  async enqueueMany(_queue: string, jobs: readonly NewJob[]): Promise<string[]> {
    const payloads = jobs.map((job) => String(job.payload));
    this.batches.push(jobs.length);
    this.underWayMost = Math.max(this.underWayMost, ++this.underWay);
    await new Promise((resolve) => setImmediate(resolve));
    this.underWay--;
    const error = this.refuse(payloads);
    if (error !== null) throw error;
    this.taken.push(...payloads);
    return payloads.map((payload) => `id ${payload}`);
  }
}

const numbers = (first: number, last: number): Buffer[] =>
  Array.from({ length: last - first + 1 }, (_, index) => Buffer.from(String(first + index)));

function sender(target: Target, options: Partial<ConstructorParameters<typeof LineSender>[1]> = {}): LineSender {
  return new LineSender(target, { queue: "q", job: {}, jobsMax: 10, bytesMax: 1000, batchesMax: 3, ...options });
}

describe("the sender of lines", () => {
  it("sends every line in order, in bounded batches, a few at once", async () => {
    const target = new Target();
    const ids: string[] = [];
    const lines = sender(target, { accepted: (_total, first, got) => ids.push(`${first}:${got[0]}`) });
    for (let at = 1; at <= 901; at += 100) await lines.push(numbers(at, at + 99));
    const report = await lines.end();
    assert.deepEqual(report, {
      accepted: 1000,
      firstUnaccepted: null,
      error: null,
      acceptedBehind: [],
      unknown: [],
    });
    assert.deepEqual(target.taken, numbers(1, 1000).map(String));
    assert.ok(Math.max(...target.batches) <= 10);
    assert.equal(target.underWayMost, 3);
    assert.ok(ids.includes("1:id 1"));
  });

  it("keeps batches within their bytes, but sends a large line alone", async () => {
    const target = new Target();
    const lines = sender(target, { bytesMax: 10 });
    await lines.push(["1234", "5678", "90", "x".repeat(50), "y"].map((text) => Buffer.from(text)));
    assert.equal((await lines.end()).accepted, 5);
    assert.deepEqual(target.batches, [3, 1, 1]);
  });

  it("names the line that is refused for what it is, and accepts those before it", async () => {
    const target = new Target();
    target.refuse = (jobs) => (jobs.includes("17") ? new CapstanError("tooLarge", "too large") : null);
    const lines = sender(target, { batchesMax: 2 });
    await lines.push(numbers(1, 20));
    const report = await lines.end();
    assert.equal(report.firstUnaccepted, 17);
    assert.equal(report.accepted, 16);
    assert.equal(report.error?.code, "tooLarge");
    assert.deepEqual(target.taken, numbers(1, 16).map(String));
  });

  it("names what was accepted behind the first that was not", async () => {
    const target = new Target();
    target.refuse = (jobs) => (jobs.includes("12") ? new CapstanError("busy", "full") : null);
    const lines = sender(target);
    await lines.push(numbers(1, 60));
    const report = await lines.end();
    assert.equal(report.firstUnaccepted, 11);
    assert.equal(report.error?.code, "busy");
    assert.deepEqual(report.acceptedBehind[0], { first: 21, last: 30 });
    assert.equal(report.accepted, target.taken.length);
    assert.ok(target.taken.length < 60, "nothing more is sent after a refusal");
  });

  it("says of which lines the outcome is unknown", async () => {
    const target = new Target();
    target.refuse = (jobs) => (jobs.includes("1") ? new CapstanError("unknown", "lost") : null);
    const lines = sender(target, { batchesMax: 1 });
    await lines.push(numbers(1, 10));
    const report = await lines.end();
    assert.deepEqual(report.unknown, [{ first: 1, last: 10 }]);
    assert.equal(report.firstUnaccepted, 1);
    assert.equal(target.batches.length, 1, "an unknown outcome is not tried again");
  });

  it("does not call a refusal of the batch as such a success", async () => {
    const target = new Target();
    target.refuse = (jobs) => (jobs.length > 1 ? new CapstanError("tooLarge", "too many together") : null);
    const lines = sender(target, { batchesMax: 1 });
    await lines.push(numbers(1, 15));
    const report = await lines.end();
    assert.equal(report.error?.code, "tooLarge");
    assert.equal(report.accepted, 10);
    assert.equal(report.firstUnaccepted, 11);
  });

  it("stops at once when it is cut, and says where", async () => {
    const target = new Target();
    const lines = sender(target, { batchesMax: 1 });
    const pushing = lines.push(numbers(1, 100));
    lines.cut();
    await pushing;
    const report = await lines.end();
    assert.equal(report.accepted, 10, "what was under way");
    assert.equal(report.firstUnaccepted, 11);
    assert.equal(target.taken.length, 10);
  });

  it("does not swallow a fault", async () => {
    const lines = new LineSender(
      { enqueueMany: () => Promise.reject(new TypeError("a fault")) },
      { queue: "q", job: {}, jobsMax: 10, bytesMax: 1000, batchesMax: 1 },
    );
    await lines.push(numbers(1, 3));
    await assert.rejects(lines.end(), /a fault/);
  });
});
