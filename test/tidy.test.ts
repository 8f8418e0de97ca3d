// Owns: the rules of layout that no compiler checks: which folder may import which, where Node's headers may appear,
// that each file says what it owns, how long a file may be, and which words must not be in the repository. It judges
// text alone and never runs what it reads. Each rule is first shown to refuse a planted breach of it.

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { readFileSync, statSync } from "node:fs";
import { dirname, join, posix } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";

interface SourceFile {
  readonly path: string;
  readonly text: string;
}

type Rule = (file: SourceFile) => string[];

const root = join(dirname(fileURLToPath(import.meta.url)), "..", "..");
const LINES_MAX = 700;
const OWNER_LINES_MIN = 2;

/** For each folder of native/, the ones it may include besides itself. Generated schema headers are open to all. */
const nativeLayers: Readonly<Record<string, readonly string[]>> = {
  base: [],
  consensus: ["base"],
  codec: ["base"],
  rpc: ["codec", "base"],
  log: ["base"],
  raft: ["consensus", "base"],
  storage: ["base"],
  fsm: ["storage", "codec", "base"],
  engine: ["fsm", "storage", "raft", "consensus", "log", "rpc", "codec", "base"],
  napi: ["engine", "fsm", "storage", "raft", "log", "rpc", "codec", "base"],
  sim: ["engine", "fsm", "storage", "raft", "consensus", "log", "rpc", "codec", "base"],
  fuzz: ["test", "fsm", "storage", "log", "rpc", "codec", "base"],
  test: ["sim", "engine", "fsm", "storage", "raft", "consensus", "log", "rpc", "codec", "base"],
};

/** Folders of src/ from the bottom up; "." are the files of src/ itself but main.ts. A folder imports from lower ones. */
const sourceLayers = [
  "generated",
  ".",
  "server",
  "rpc",
  "http",
  "stream",
  "cluster",
  "mirror",
  "metrics",
  "net",
  "main",
  "cli",
];

const rules: Readonly<Record<string, Rule>> = {
  nativeImports,
  nodeHeaders,
  sourceImports,
  addonLoading,
  owner,
  length,
  words,
};

function nativeImports(file: SourceFile): string[] {
  const folder = /^native\/([a-z_]+)\//.exec(file.path)?.[1];
  if (folder === undefined || !isCpp(file.path)) return [];
  const allowed = nativeLayers[folder];
  if (allowed === undefined) return [`${file.path}: native/${folder} has no place among the layers`];
  return [...file.text.matchAll(/^\s*#include "([^"]+)"/gm)]
    .map((match) => match[1] ?? "")
    .filter((included) => {
      if (included.endsWith(".capnp.h") || included === "error_text.h") return false;
      const target = included.split("/")[0] ?? "";
      return !included.includes("/") || (target !== folder && !allowed.includes(target));
    })
    .map((included) => `${file.path}: native/${folder} must not include "${included}"`);
}

function nodeHeaders(file: SourceFile): string[] {
  if (!file.path.startsWith("native/") || !isCpp(file.path)) return [];
  if (file.path.startsWith("native/napi/") || file.path === "native/addon.cc") return [];
  return [...file.text.matchAll(/^\s*#include [<"]((?:node_api|js_native_api|napi|napi-inl|node|v8|uv)\.h)[>"]/gm)].map(
    (match) => `${file.path}: ${match[1]} belongs in native/napi`,
  );
}

function sourceImports(file: SourceFile): string[] {
  const layer = sourceLayer(file.path);
  if (layer === undefined) return [];
  return relativeImports(file).flatMap((imported) => {
    const target = sourceLayer(imported);
    if (imported.endsWith("package.json")) return [];
    if (target === undefined) return [`${file.path}: ${imported} is outside of src/`];
    if (target === layer) return [];
    // The client is a package of its own: it needs nothing of the server, and of the server only the CLI needs it.
    const isGood =
      layer === "client"
        ? target === "generated"
        : target === "client"
          ? layer === "cli"
          : sourceLayers.indexOf(target) < sourceLayers.indexOf(layer);
    return isGood ? [] : [`${file.path}: src/${layer} must not import ${imported}`];
  });
}

function sourceLayer(path: string): string | undefined {
  const parts = path.split("/");
  if (parts[0] !== "src" || !path.endsWith(".ts")) return undefined;
  if (path === "src/main.ts") return "main";
  return parts.length === 2 ? "." : parts[1];
}

function relativeImports(file: SourceFile): string[] {
  const pattern = /(?:from|import|import\(|new URL\()\s*"(\.{1,2}\/[^"]+)"/g;
  return [...file.text.matchAll(pattern)].map((match) =>
    posix.join(posix.dirname(file.path), (match[1] ?? "").replace(/\.js$/, ".ts")),
  );
}

function addonLoading(file: SourceFile): string[] {
  if (!file.path.startsWith("src/") || !file.path.endsWith(".ts") || file.path === "src/native.ts") return [];
  return /\bcreateRequire\b|\bprocess\.dlopen\b|capstan\.node\b/.test(file.text)
    ? [`${file.path}: only src/native.ts loads the addon`]
    : [];
}

function owner(file: SourceFile): string[] {
  if (!/\.(cc|h|ts|mjs|rs)$/.test(file.path)) return [];
  const lines = file.text.replace(/^#!.*\n/, "").split("\n");
  const isComment = (line: string) => /^\s*(\/\/|\/\*|\*)/.test(line);
  const count = lines.findIndex((line) => !isComment(line));
  return count < OWNER_LINES_MIN ? [`${file.path}: its first lines do not say what it owns`] : [];
}

function length(file: SourceFile): string[] {
  if (!/\.(cc|h|ts|mjs|rs|capnp|gyp)$/.test(file.path)) return [];
  const count = file.text.split("\n").length - 1;
  return count > LINES_MAX ? [`${file.path}: ${count} lines, more than ${LINES_MAX}`] : [];
}

function words(file: SourceFile): string[] {
  // Cargo names its registry in every lock file.
  if (file.path.endsWith("Cargo.lock")) return [];
  return forbiddenWords.filter((word) => file.text.includes(word)).map((word) => `${file.path}: contains "${word}"`);
}

// In parts, so that this file does not hold them itself: host names of package registries, paths of one machine.
const forbiddenWords = [
  ["registry.npmjs", ".org"],
  ["www.npmjs", ".com"],
  ["crates", ".io"],
  ["pypi", ".org"],
  ["proxy.golang", ".org"],
  ["repo1.maven", ".org"],
  ["deb.debian", ".org"],
  ["security.debian", ".org"],
  ["/wo", "rk/"],
  ["/ro", "ot/"],
  ["/ho", "me/"],
].map((parts) => parts.join(""));

function isCpp(path: string): boolean {
  return /\.(cc|h)$/.test(path);
}

function repositoryFiles(): SourceFile[] {
  const list = execFileSync("git", ["ls-files", "--cached", "--others", "--exclude-standard", "-z"], { cwd: root });
  return list
    .toString("utf8")
    .split("\0")
    .filter((path) => path !== "" && !/\.(png|ico|woff2|bin)$/.test(path))
    .filter((path) => statSync(join(root, path), { throwIfNoEntry: false })?.isFile() ?? false)
    .map((path) => ({ path, text: readFileSync(join(root, path), "utf8") }));
}

const breaches: ReadonlyArray<readonly [string, string, string]> = [
  ["nativeImports", "native/base/a.cc", '#include "base/a.h"\n#include "engine/engine.h"\n'],
  ["nativeImports", "native/fsm/a.cc", '#include "rpc/frames.h"\n'],
  ["nativeImports", "native/log/a.cc", '#include "segment.h"\n'],
  ["nativeImports", "native/unheard_of/a.cc", ""],
  ["nodeHeaders", "native/rpc/a.cc", "#include <node_api.h>\n"],
  ["sourceImports", "src/client/a.ts", 'import { limits } from "../config.js";\n'],
  ["sourceImports", "src/server/a.ts", 'import { connection } from "../rpc/connection.js";\n'],
  ["sourceImports", "src/server/a.ts", 'export * from "../client/index.js";\n'],
  ["sourceImports", "src/rpc/a.ts", 'import "../main.js";\n'],
  ["addonLoading", "src/rpc/a.ts", 'createRequire(import.meta.url)("../x");\n'],
  ["owner", "src/a.ts", "// One line is not enough.\nexport const a = 1;\n"],
  ["owner", "native/base/a.h", "#pragma once\n"],
  ["length", "src/a.ts", "\n".repeat(LINES_MAX + 1)],
  ["words", "docs/a.md", `see ${forbiddenWords[0]}`],
];

test("each rule of layout refuses a planted breach", () => {
  for (const [name, path, text] of breaches) {
    assert.notDeepEqual(rules[name]?.({ path, text }), [], `${name} lets ${path} pass`);
  }
});

test("each rule of layout lets sound files pass", () => {
  const sound: SourceFile[] = [
    {
      path: "native/fsm/a.cc",
      text: '// One.\n// Two.\n#include "fsm/a.h"\n#include "storage/keys.h"\n#include "entry.capnp.h"\n',
    },
    { path: "native/napi/a.cc", text: '// One.\n// Two.\n#include <node_api.h>\n#include "engine/engine.h"\n' },
    { path: "src/cli/a.ts", text: '// One.\n// Two.\nimport { Client } from "../client/index.js";\n' },
    { path: "src/client/a.ts", text: '// One.\n// Two.\nimport { ErrorCode } from "../generated/error_codes.js";\n' },
  ];
  for (const file of sound) {
    for (const [name, rule] of Object.entries(rules)) assert.deepEqual(rule(file), [], name);
  }
});

test("the repository keeps its rules of layout", () => {
  const files = repositoryFiles();
  assert.ok(files.length > 20, `only ${files.length} files found`);
  const found = files.flatMap((file) => Object.values(rules).flatMap((rule) => rule(file)));
  assert.deepEqual(found, [], `\n${found.join("\n")}\n`);
});
