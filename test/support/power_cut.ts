// The other half of test/native/preload/faulty_disk.cc: begins its store from a data directory, and after the process
// was killed builds the directory anew as a power cut would have left it. Owns both directories between two lives of a
// server; never runs while one lives.
//
// `lost`: nothing unsynced is left. `torn`: as on a disk that was writing back, each unsynced page, size and directory
// is by the seed old or new, and within some new pages only some sectors are.

import assert from "node:assert/strict";
import {
  closeSync,
  copyFileSync,
  existsSync,
  fstatSync,
  ftruncateSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  readSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { join } from "node:path";
import type { SeededRandom } from "./seeded_random.js";

export type CutKind = "lost" | "torn";

/** What a cut took away. */
export interface CutReport {
  files: number;
  /** Files with contents that were not durable. */
  filesCut: number;
  pagesLost: number;
  /** Unsynced pages that are there all the same (`torn`). */
  pagesKept: number;
  /** Directory entries that were made, renamed or removed in vain. */
  namesUndone: number;
}

interface Entry {
  readonly isDirectory: boolean;
  readonly id: string;
  readonly name: string;
}

const pageBytes = 4096;
const sectorBytes = 512;

/** The environment of a process whose disk is this store. */
export function diskEnvironment(dataDir: string, store: string, library: string): Record<string, string> {
  return {
    LD_PRELOAD: library,
    FAULTY_DISK_DATA: dataDir,
    FAULTY_DISK_STORE: store,
    FAULTY_DISK_SYNC_US: "300",
  };
}

/** Takes everything in `dataDir` as durable. */
export function beginStore(dataDir: string, store: string): void {
  rmSync(store, { recursive: true, force: true });
  mkdirSync(join(store, "files"), { recursive: true });
  mkdirSync(join(store, "dirs"));
  const take = (directory: string): void => {
    const entries = currentEntries(directory);
    writeFileSync(join(store, "dirs", firstId(directory)), linesOf(entries));
    for (const { isDirectory, id, name } of entries) {
      if (isDirectory) take(join(directory, name));
      else copyFileSync(join(directory, name), join(store, "files", id));
    }
  };
  take(dataDir);
}

/** Puts what is durable into the place of `dataDir`. The process must be gone. */
export function cutPower(dataDir: string, store: string, kind: CutKind, random: SeededRandom): CutReport {
  const report: CutReport = { files: 0, filesCut: 0, pagesLost: 0, pagesKept: 0, namesUndone: 0 };
  const current = currentPaths(dataDir, lastIds(store));
  const image = `${dataDir}.image`;
  rmSync(image, { recursive: true, force: true });
  const build = (id: string, to: string): void => {
    mkdirSync(to, { recursive: true, mode: 0o700 });
    const path = current.get(id);
    const durable = durableEntries(store, id);
    const now = path === undefined ? durable : currentEntries(path, lastIds(store));
    const isKept = kind === "torn" && random.chance(0.5);
    if (!isKept) report.namesUndone += differences(durable, now);
    for (const entry of isKept ? now : durable) {
      if (entry.isDirectory) build(entry.id, join(to, entry.name));
      else buildFile(join(store, "files", entry.id), current.get(entry.id), join(to, entry.name), kind, random, report);
    }
  };
  build(firstId(dataDir), image);
  rmSync(dataDir, { recursive: true });
  renameSync(image, dataDir);
  return report;
}

export function addReports(total: CutReport, one: CutReport): void {
  for (const key of Object.keys(total) as (keyof CutReport)[]) total[key] += one[key];
}

function buildFile(
  durable: string,
  current: string | undefined,
  to: string,
  kind: CutKind,
  random: SeededRandom,
  report: CutReport,
): void {
  report.files++;
  if (existsSync(durable)) copyFileSync(durable, to);
  else writeFileSync(to, "", { mode: 0o600 });
  if (current === undefined) return;
  const [into, from] = [openSync(to, "r+"), openSync(current, "r")];
  const [oldBytes, newBytes] = [fstatSync(into).size, fstatSync(from).size];
  const bytes = kind === "torn" && random.chance(0.5) ? newBytes : oldBytes;
  if (bytes !== oldBytes) ftruncateSync(into, bytes);
  let isCut = oldBytes !== newBytes;
  const [was, is] = [Buffer.alloc(1 << 20), Buffer.alloc(1 << 20)];
  for (let at = 0; at < Math.max(oldBytes, newBytes); at += was.length) {
    was.fill(0, readSync(into, was, 0, was.length, at));
    is.fill(0, readSync(from, is, 0, is.length, at));
    if (was.equals(is)) continue;
    isCut = true;
    for (let page = 0; page < was.length; page += pageBytes) {
      const [old, fresh] = [was.subarray(page, page + pageBytes), is.subarray(page, page + pageBytes)];
      if (old.equals(fresh)) continue;
      const isKept = kind === "torn" && random.chance(0.5) && at + page < bytes;
      report[isKept ? "pagesKept" : "pagesLost"]++;
      if (isKept) writePage(into, old, fresh, at + page, bytes, random);
    }
  }
  if (isCut) report.filesCut++;
  closeSync(into);
  closeSync(from);
}

function writePage(into: number, old: Buffer, fresh: Buffer, at: number, bytes: number, random: SeededRandom): void {
  const page = Buffer.from(fresh);
  if (random.chance(0.3)) {
    for (let sector = 0; sector < pageBytes; sector += sectorBytes) {
      if (random.chance(0.5)) old.copy(page, sector, sector, sector + sectorBytes);
    }
  }
  writeSync(into, page, 0, Math.min(pageBytes, bytes - at), at);
}

function durableEntries(store: string, id: string): Entry[] {
  const path = join(store, "dirs", id);
  if (!existsSync(path)) return [];
  const lines = readFileSync(path, "utf8").split("\n").slice(0, -1);
  return lines.map((line) => {
    const [kind, entry, ...name] = line.split(" ");
    assert.ok(entry !== undefined, line);
    return { isDirectory: kind === "d", id: entry, name: name.join(" ") };
  });
}

function linesOf(entries: readonly Entry[]): string {
  return entries.map(({ isDirectory, id, name }) => `${isDirectory ? "d" : "f"} ${id} ${name}\n`).join("");
}

/** What lies in a directory now; `ids` names the last bearer of each inode number. */
function currentEntries(directory: string, ids = new Map<number, string>()): Entry[] {
  return readdirSync(directory, { withFileTypes: true }).map((entry) => {
    const number = statSync(join(directory, entry.name)).ino;
    return { isDirectory: entry.isDirectory(), id: ids.get(number) ?? `${number}.0`, name: entry.name };
  });
}

function currentPaths(directory: string, ids: Map<number, string>, paths = new Map<string, string>()) {
  const root = statSync(directory).ino;
  if (paths.size === 0) paths.set(ids.get(root) ?? `${root}.0`, directory);
  for (const { isDirectory, id, name } of currentEntries(directory, ids)) {
    paths.set(id, join(directory, name));
    if (isDirectory) currentPaths(join(directory, name), ids, paths);
  }
  return paths;
}

/** The library makes a file in the store for each file whose number is given out anew, and for directories too. */
function lastIds(store: string): Map<number, string> {
  const last = new Map<number, number>();
  for (const name of [...readdirSync(join(store, "files")), ...readdirSync(join(store, "dirs"))]) {
    const match = /^(\d+)\.(\d+)$/.exec(name);
    if (match === null) continue;
    const [number, times] = [Number(match[1]), Number(match[2])];
    last.set(number, Math.max(last.get(number) ?? 0, times));
  }
  return new Map([...last].map(([number, times]) => [number, `${number}.${times}`]));
}

function differences(durable: readonly Entry[], now: readonly Entry[]): number {
  const known = new Set(linesOf(durable).split("\n"));
  const current = new Set(linesOf(now).split("\n"));
  return [...known, ...current].filter((line) => !known.has(line) || !current.has(line)).length;
}

function firstId(directory: string): string {
  return `${statSync(directory).ino}.0`;
}
