// What the command line writes: JSON a line, tables, records, and that no payload steers a terminal. Into memory; no
// server and no process.

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { type Column, Output, type Sink } from "../../src/cli/output.js";
import { jobJson, payloadFields, roughBytes } from "../../src/cli/shapes.js";
import { clipped, instantText, jsonLine, shown, tailText, utf8, wholeCharacters } from "../../src/cli/text.js";
import type { JobInfo } from "../../src/client/index.js";

class MemorySink implements Sink {
  text = "";
  writes = 0;
  isBroken = false;
  constructor(
    readonly isTTY: boolean,
    readonly columns?: number,
  ) {}
  write(text: string, done?: (error?: Error | null) => void): boolean {
    this.writes++;
    if (!this.isBroken) this.text += text;
    done?.(this.isBroken ? new Error("write EPIPE") : null);
    return true;
  }
}

interface Row {
  readonly name: string;
  readonly count: number;
}

const columns: readonly Column<Row>[] = [
  { title: "N", value: (row) => String(row.count), isNumber: true },
  { title: "NAME", value: (row) => row.name },
];

describe("output", () => {
  it("is a table on a terminal and JSON elsewhere, unless told", () => {
    assert.equal(new Output(undefined, new MemorySink(true)).isTable, true);
    assert.equal(new Output(undefined, new MemorySink(false)).isTable, false);
    assert.equal(new Output("json", new MemorySink(true)).isTable, false);
    assert.equal(new Output("table", new MemorySink(false)).isTable, true);
  });

  it("writes nothing more, and fails nobody, once its reader is gone", async () => {
    const sink = new MemorySink(false);
    const output = new Output("json", sink);
    output.json({ a: 1 });
    sink.isBroken = true;
    output.json({ a: 2 });
    assert.equal(output.isClosed, true);
    output.json({ a: 3 });
    await output.flush();
    assert.equal(sink.text, '{"a":1}\n');
    assert.equal(sink.writes, 2);
  });

  it("aligns columns, and goes on with the same table on the next page", () => {
    const sink = new MemorySink(false);
    const output = new Output("table", sink);
    output.table(columns, [
      { name: "long name", count: 5 },
      { name: "x", count: 1234 },
    ]);
    output.table(columns, [{ name: "next", count: 7 }]);
    assert.equal(sink.text, "   N  NAME\n   5  long name\n1234  x\n   7  next\n");
  });

  it("prints the header of a table without rows", () => {
    const sink = new MemorySink(false);
    new Output("table", sink).table(columns, []);
    assert.equal(sink.text, "N  NAME\n");
  });

  it("cuts the last column at a terminal's width only", () => {
    const rows = [{ name: "z".repeat(100), count: 1 }];
    const terminal = new MemorySink(true, 40);
    new Output("table", terminal, {}).table(columns, rows);
    assert.match(terminal.text, /\n1 {2}z{36}…\n$/);
    const file = new MemorySink(false);
    new Output("table", file, {}).table(columns, rows);
    assert.match(file.text, /\n1 {2}z{100}\n$/);
  });

  it("is bold on a terminal, and never with NO_COLOR or on a dumb one", () => {
    const headers = (environment: NodeJS.ProcessEnv, isTerminal = true): string => {
      const sink = new MemorySink(isTerminal);
      new Output("table", sink, environment).table(columns, []);
      return sink.text;
    };
    assert.ok(headers({}).includes("\u001b[1m"));
    for (const plain of [headers({ NO_COLOR: "1" }), headers({ TERM: "dumb" }), headers({}, false)]) {
      assert.equal(plain, "N  NAME\n");
    }
  });

  it("shows control characters instead of sending them", () => {
    const sink = new MemorySink(true);
    const output = new Output("table", sink, { NO_COLOR: "1" });
    output.table(columns, [{ name: "a\u001b[2Jb\nc\u009bd\u202ee", count: 1 }]);
    output.record({ payload: "x\r\ty" });
    assert.match(sink.text, /a\\u001b\[2Jb\\nc\\u009bd\\u202ee\n/);
    assert.match(sink.text, /payload {2}x\\r\\ty\n/);
    assert.equal(jsonLine({ a: "\u009b\u007f\n" }), '{"a":"\\u009b\\u007f\\n"}');
    assert.equal(JSON.parse(jsonLine({ a: "\u009b" })).a, "\u009b");
  });

  it("puts an empty line between two records", () => {
    const sink = new MemorySink(false);
    const output = new Output("table", sink);
    output.record({ id: "1", queue: "q" });
    output.record({ id: "2" });
    assert.equal(sink.text, "id     1\nqueue  q\n\nid  2\n");
  });
});

describe("text of values", () => {
  it("has payloads as text where they are, and marks base64 where they are not", () => {
    assert.deepEqual(payloadFields(Buffer.from("häß")), { payload: "häß" });
    assert.deepEqual(payloadFields(Buffer.from([0xff, 0x00])), { payload: "/wA=", payloadEncoding: "base64" });
    assert.deepEqual(payloadFields(new Uint8Array(0)), { payload: "" });
    // A byte-order mark belongs to the payload.
    assert.deepEqual(payloadFields(Buffer.from("\ufeffx")), { payload: "\ufeffx" });
    assert.equal(utf8(Buffer.from([0xed, 0xa0, 0x80])), undefined);
  });

  it("keeps a payload text when the cut went through a character", () => {
    const whole = Buffer.from("aä€😀");
    for (let length = 0; length <= whole.length; length++) {
      const text = utf8(wholeCharacters(whole.subarray(0, length)));
      assert.ok(text !== undefined && "aä€😀".startsWith(text), `cut at ${length}`);
    }
    const job = { payload: whole.subarray(0, 4), payloadBytes: whole.length, headers: {}, state: "ready" };
    const shownJob = jobJson({ ...job, enqueuedMs: 0 } as unknown as JobInfo);
    assert.equal(shownJob["payload"], "aä");
    assert.equal(shownJob["payloadCut"], true);
  });

  it("takes the tail of what was written, within its bytes", () => {
    assert.equal(tailText(Buffer.from("abcdef"), 3), "def");
    assert.equal(tailText(Buffer.from("a€€"), 4), "€");
    const broken = tailText(Buffer.alloc(8192, 0xff), 8192);
    assert.ok(Buffer.byteLength(broken) <= 8192 && broken.length > 1000);
    assert.equal(tailText(new Uint8Array(0), 8), "");
  });

  it("writes instants as RFC 3339 and does not fail at absurd ones", () => {
    assert.equal(instantText(Date.UTC(2027, 0, 31, 8)), "2027-01-31T08:00:00.000Z");
    assert.equal(instantText(9e15), "9000000000000000");
  });

  it("clips by characters, and shows sizes roughly", () => {
    assert.equal(clipped("😀😀😀", 2), "😀…");
    assert.equal(clipped("ab", 2), "ab");
    assert.equal(shown("plain ä"), "plain ä");
    assert.deepEqual([0, 1023, 1536, 200 * 1024, 5 * 1024 ** 3].map(roughBytes), [
      "0 B",
      "1023 B",
      "1.5 KiB",
      "200 KiB",
      "5.0 GiB",
    ]);
  });
});
