// Raw results on disk: one file of JSON lines for each thing measured, one line a run, with the command that made it and
// the commit it was made of. Owns the files' names and shape; every figure in docs/performance.md comes from them. A
// recording takes the place of the last one only when it is whole. Called by record.ts, matrix.ts, long.ts, baseline.ts
// and the programs that write tables.

import { execFileSync } from "node:child_process";
import { appendFileSync, existsSync, mkdirSync, readFileSync, renameSync, rmSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

/** What every line has besides its own figures. */
export interface Origin {
  /** What to type to measure it again. */
  readonly command: string;
  readonly commit: string;
  readonly round: number;
}

export class Recording {
  private readonly path: string;
  private readonly partPath: string;
  private readonly commit = commitOf();

  constructor(directory: string, name: string) {
    mkdirSync(directory, { recursive: true });
    this.path = join(directory, `${name}.jsonl`);
    this.partPath = `${this.path}.part`;
    rmSync(this.partPath, { force: true });
  }

  add(command: string, round: number, result: object): void {
    const origin: Origin = { command, commit: this.commit, round };
    appendFileSync(this.partPath, `${JSON.stringify({ ...origin, ...result })}\n`);
  }

  /** What was added is the recording from now on. */
  finish(): void {
    renameSync(this.partPath, this.path);
  }

  discard(): void {
    rmSync(this.partPath, { force: true });
  }
}

/** The lines of a recording; none when there is no such file. */
export function readRecording<T>(directory: string, name: string): (T & Origin)[] {
  const path = join(directory, `${name}.jsonl`);
  if (!existsSync(path)) return [];
  return readFileSync(path, "utf8")
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => JSON.parse(line) as T & Origin);
}

function commitOf(): string {
  try {
    const root = fileURLToPath(new URL("../..", import.meta.url));
    const git = (...words: string[]) => execFileSync("git", words, { cwd: root, encoding: "utf8" }).trim();
    const isChanged = git("status", "--porcelain", "--untracked-files=no", "--", "native", "src", "bench/*.ts") !== "";
    return `${git("rev-parse", "--short", "HEAD")}${isChanged ? " with changes" : ""}`;
  } catch {
    return "unknown";
  }
}
