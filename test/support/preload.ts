// The libraries of test/native/preload, which stand between a server process and libc. Compiles each once for its text
// into build/preload; never part of the product. Called by the fault tests, which put the path into LD_PRELOAD.

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, renameSync } from "node:fs";
import { join } from "node:path";
import { root } from "./server_process.js";

const flags = ["-std=c++20", "-O2", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC"];

/** The path of the compiled library. */
export function preloadLibrary(name: "faulty_disk" | "shifted_clock"): string {
  const source = join(root, "test", "native", "preload", `${name}.cc`);
  const digest = createHash("sha256").update(flags.join(" ")).update(readFileSync(source)).digest("hex").slice(0, 16);
  const folder = join(root, "build", "preload");
  const library = join(folder, `${name}-${digest}.so`);
  if (existsSync(library)) return library;
  mkdirSync(folder, { recursive: true });
  const made = `${library}.${process.pid}`;
  const compiler = process.env["CXX"]?.split(" ") ?? ["c++"];
  const run = spawnSync(compiler[0] as string, [...compiler.slice(1), ...flags, "-o", made, source, "-ldl"], {
    encoding: "utf8",
  });
  assert.equal(run.status, 0, `${name} does not compile: ${run.error?.message ?? ""}${run.stderr ?? ""}`);
  renameSync(made, library);
  return library;
}
