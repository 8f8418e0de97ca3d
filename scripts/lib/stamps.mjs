// Owns: knowing what has to be built again. A step's stamp is a digest over the paths, sizes and times of its inputs; it
// is written only after the step succeeded. It never builds. Called by scripts/bootstrap.mjs.

import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";

const IGNORED = new Set(["node_modules", "target", "generated", ".git"]);

/** All files below the given files and folders, without what is generated. */
export function filesBelow(...paths) {
  const found = [];
  const visit = (path) => {
    const stat = statSync(path, { throwIfNoEntry: false });
    if (!stat) return;
    if (!stat.isDirectory()) {
      found.push({ path, bytes: stat.size, changedMs: stat.mtimeMs });
      return;
    }
    for (const name of readdirSync(path)) if (!IGNORED.has(name)) visit(join(path, name));
  };
  for (const path of paths) visit(path);
  return found.sort((a, b) => (a.path < b.path ? -1 : a.path > b.path ? 1 : 0));
}

/** A digest of names, sizes and times. */
export function stampOf(files, ...extra) {
  const hash = createHash("sha256");
  for (const file of files) hash.update(`${file.path}\0${file.bytes}\0${file.changedMs}\n`);
  for (const word of extra) hash.update(`${word}\n`);
  return hash.digest("hex");
}

/** A digest of names alone: changes when a file is added or removed. */
export function namesOf(files, ...extra) {
  return stampOf([], ...files.map((file) => file.path), ...extra);
}

export class Stamps {
  #path;
  #entries;

  constructor(path) {
    this.#path = path;
    this.#entries = existsSync(path) ? readEntries(path) : {};
  }

  is(step, stamp) {
    return this.#entries[step] === stamp;
  }

  set(step, stamp) {
    this.#entries[step] = stamp;
    mkdirSync(dirname(this.#path), { recursive: true });
    writeFileSync(this.#path, JSON.stringify(this.#entries, null, 2));
  }

  clear(step) {
    if (step in this.#entries) this.set(step, "");
  }
}

function readEntries(path) {
  try {
    return JSON.parse(readFileSync(path, "utf8"));
  } catch {
    // Cut short by a kill: everything is built again.
    return {};
  }
}
