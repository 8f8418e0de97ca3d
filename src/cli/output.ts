// Owns: what goes to standard output: lines of JSON, tables, records; and the quiet end when its reader is gone. Messages
// for people go to standard error, through `say`. Never talks to a server. Called by the verbs.

import type { OutputFormat } from "./options.js";
import { clipped, jsonLine, shown } from "./text.js";

export interface Column<Row> {
  readonly title: string;
  readonly value: (row: Row) => string;
  readonly isNumber?: boolean;
}

export interface Sink {
  readonly isTTY?: boolean | undefined;
  readonly columns?: number | undefined;
  write(text: string, done?: (error?: Error | null) => void): boolean;
}

const gap = "  ";
const lastColumnLeast = 16;

export class Output {
  readonly isTable: boolean;
  /** The reader of standard output is gone: what is written now goes nowhere. */
  isClosed = false;
  private readonly sink: Sink;
  private readonly color: boolean;
  private readonly widths = new Map<readonly unknown[], number[]>();
  private records = 0;

  constructor(format: OutputFormat | undefined, sink: Sink = process.stdout, environment = process.env) {
    this.sink = sink;
    const isTerminal = sink.isTTY === true;
    this.isTable = format === undefined ? isTerminal : format === "table";
    this.color = isTerminal && (environment["NO_COLOR"] ?? "") === "" && environment["TERM"] !== "dumb";
  }

  line(text: string): void {
    if (this.isClosed) return;
    this.sink.write(`${text}\n`, (error) => {
      if (error) this.isClosed = true;
    });
  }

  json(value: unknown): void {
    this.line(jsonLine(value));
  }

  /** The same `columns` object again goes on with the table: its header and widths come from the first page. */
  table<Row>(columns: readonly Column<Row>[], rows: readonly Row[]): void {
    const cells = rows.map((row) => columns.map((column) => shown(column.value(row))));
    let widths = this.widths.get(columns);
    if (widths === undefined) {
      widths = columns.map((column, at) =>
        Math.max(column.title.length, ...cells.map((row) => [...(row[at] ?? "")].length)),
      );
      this.widths.set(columns, widths);
      const titles = columns.map((column) => column.title);
      this.line(this.strong(this.row(columns, titles, widths)));
    }
    for (const row of cells) this.line(this.row(columns, row, widths));
  }

  /** One thing, a field a line; an empty line stands between two records. */
  record(fields: Readonly<Record<string, string>>): void {
    if (this.records++ > 0) this.line("");
    const width = Math.max(...Object.keys(fields).map((name) => name.length));
    for (const [name, value] of Object.entries(fields)) {
      this.line(`${this.strong(name.padEnd(width))}${gap}${shown(value)}`);
    }
  }

  /** Everything written has left the process, or `isClosed` says that it cannot. */
  flush(): Promise<void> {
    if (this.isClosed) return Promise.resolve();
    return new Promise((resolve) => {
      this.sink.write("", (error) => {
        if (error) this.isClosed = true;
        resolve();
      });
    });
  }

  private row<Row>(columns: readonly Column<Row>[], cells: readonly string[], widths: readonly number[]): string {
    const last = columns.length - 1;
    let left = 0;
    const padded = cells.map((cell, at) => {
      const width = widths[at] ?? 0;
      if (at === last && columns[at]?.isNumber !== true) return this.fitted(cell, left);
      left += width + gap.length;
      const space = " ".repeat(Math.max(0, width - [...cell].length));
      return columns[at]?.isNumber === true ? space + cell : cell + space;
    });
    return padded.join(gap).trimEnd();
  }

  /** Only a terminal cuts the last column; a file gets it whole. */
  private fitted(cell: string, left: number): string {
    // A terminal that does not know its width says 0.
    if (this.sink.isTTY !== true || !this.sink.columns) return cell;
    return clipped(cell, Math.max(lastColumnLeast, this.sink.columns - left));
  }

  private strong(text: string): string {
    return this.color ? `\u001b[1m${text}\u001b[0m` : text;
  }
}

/** A message for people. Text of others in it is shown by `shown`, so that it cannot steer the terminal. */
export function say(message: string): void {
  process.stderr.write(`capstan: ${message.split("\n").map(shown).join("\n")}\n`);
}

/** One line of progress on a terminal's standard error, rewritten in place; nothing elsewhere. Without timers. */
export class Progress {
  private readonly isShown = process.stderr.isTTY === true;
  private nextMs = 0;
  private hasLine = false;

  constructor(private readonly everyMs = 100) {}

  show(text: string): void {
    if (!this.isShown || performance.now() < this.nextMs) return;
    this.nextMs = performance.now() + this.everyMs;
    this.hasLine = true;
    process.stderr.write(`\r\u001b[K${clipped(shown(text), (process.stderr.columns || 80) - 1)}`);
  }

  /** Takes the line away, so that a message can follow. */
  clear(): void {
    if (this.hasLine) process.stderr.write("\r\u001b[K");
    this.hasLine = false;
  }
}

/**
 * A reader that is gone is no error; every other failure to write makes `failed` be called, once. The verb goes on to its
 * end, since it may have something to give back.
 */
export function watchOutputs(failed: () => void): void {
  process.stderr.on("error", () => {});
  let isFirst = true;
  process.stdout.on("error", (error: NodeJS.ErrnoException) => {
    if (!isFirst) return;
    isFirst = false;
    if (error.code === "EPIPE") return;
    say(`cannot write to standard output: ${error.message}`);
    failed();
  });
}
