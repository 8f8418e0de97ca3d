// Owns: everything that is generated from schemas/, in C++ and TypeScript. It never touches a hand-written
// source and never runs at request time. Called by: scripts/bootstrap.mjs (TypeScript) and binding.gyp (C++).
//
//   node scripts/generate.mjs                 writes src/generated/
//   node scripts/generate.mjs --native DIRECTORY writes Cap'n Proto's C++ of every schema, error_text.h, and
//                                                 schemas.cc, which is all their sources in one
//   node scripts/generate.mjs --cxx DIRECTORY writes error_text.h alone
//
// src/generated/ (git-ignored; import with the ending `.js`):
//
//   capstan.capnp.ts  compat.capnp.ts  entry.capnp.ts  errors.capnp.ts
//                   message classes for the runtime `capnp-ts`, made by capnpc-ts: `new capnp.Message()`,
//                   `message.initRoot(EnqueueRequest)`, `request.initJobs(2).get(0).setPriority(3)`. 64-bit numbers are
//                   bigint. Enumerants are UPPER_SNAKE. Interfaces have no classes: see protocol.ts.
//   error_codes.ts  `ErrorCode` (`ErrorCode.leaseLost` is 5), `ErrorName`, `errorNames[code]`, `errorTexts[name]` with
//                   `{ code, summary, retryable }`, `isErrorCode(number)`
//   boundary.ts     enums and constants of boundary.capnp: `CallWord.handle`, `EventKind.write`, `callWords`, …
//   protocol.ts     `JobQueue` and `Queueber`: `{ interfaceId: bigint, methods: { enqueue: 0, … } }`, and the types
//                   `JobQueueMethod`, `QueueberMethod`; constants of entry.capnp (`entryVersion`, …)
//   layouts.ts      `layouts.EnqueueRequest`: data words, pointers and where each field lies, for direct encoders
//
// error_text.h: `capstan::schema::errorText(code)` with name, summary and retryable.

import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { basename, join } from "node:path";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("..", import.meta.url));
const schemasFolder = join(root, "schemas");
const require = createRequire(import.meta.url);
const HEAD = "// Generated from schemas/ by scripts/generate.mjs; do not edit.\n";

function main(argv) {
  if (argv[0] === "--cxx" && argv[1]) {
    mkdirSync(argv[1], { recursive: true });
    writeIfChanged(join(argv[1], "error_text.h"), errorTextHeader(readSchemas()));
    return;
  }
  if (argv[0] === "--native" && argv[1]) return writeNative(argv[1]);
  if (argv.length > 0) throw new Error(`unknown argument: ${argv[0]}`);
  const directory = join(root, "src", "generated");
  mkdirSync(directory, { recursive: true });
  const schemas = readSchemas();
  const outputs = new Map(messageClasses(schemas));
  outputs.set("error_codes.ts", errorCodes(schemas));
  outputs.set("boundary.ts", boundary(schemas));
  outputs.set("protocol.ts", protocol(schemas));
  outputs.set("layouts.ts", layouts(schemas));
  for (const [name, text] of outputs) writeIfChanged(join(directory, name), text);
  for (const name of readdirSync(directory)) if (!outputs.has(name)) rmSync(join(directory, name), { recursive: true });
}

// Cap'n Proto names its sources .c++, which node-gyp does not know: so one source includes them all.
function writeNative(directory) {
  mkdirSync(directory, { recursive: true });
  const plugin = `-oc++:${directory}`;
  const run = spawnSync(
    "capnp",
    ["compile", ...includes(), `--src-prefix=${schemasFolder}`, plugin, ...schemaPaths()],
    {
      stdio: ["ignore", "inherit", "inherit"],
    },
  );
  if (run.error) throw new Error(`cannot run capnp: ${run.error.message}`);
  if (run.status !== 0) throw new Error("capnp compile failed");
  writeFileSync(join(directory, "error_text.h"), errorTextHeader(readSchemas()));
  const sources = schemaNames().map((name) => `#include "${name}.c++"\n`);
  writeFileSync(join(directory, "schemas.cc"), `${HEAD}${sources.join("")}`);
}

function schemaNames() {
  return readdirSync(schemasFolder)
    .filter((name) => name.endsWith(".capnp"))
    .sort();
}

function schemaPaths() {
  return schemaNames().map((name) => join(schemasFolder, name));
}

// The compiled schemas: the request that `capnp compile` hands to its plugins, and its nodes by file.
function readSchemas() {
  const names = readdirSync(join(root, "schemas"))
    .filter((name) => name.endsWith(".capnp"))
    .sort();
  const paths = names.map((name) => join(root, "schemas", name));
  const run = spawnSync("capnp", ["compile", ...includes(), `--src-prefix=${join(root, "schemas")}`, "-o-", ...paths], {
    maxBuffer: 64 << 20,
  });
  if (run.error) throw new Error(`cannot run capnp: ${run.error.message}`);
  if (run.status !== 0) throw new Error(`capnp compile failed:\n${run.stderr}`);
  const capnp = require("capnp-ts");
  const schema = require("capnp-ts/src/std/schema.capnp.js");
  const message = new capnp.Message(run.stdout, false);
  message._capnp.traversalLimit = Number.MAX_SAFE_INTEGER;
  const request = message.getRoot(schema.CodeGeneratorRequest);
  const nodes = new Map();
  for (const node of request.getNodes().toArray()) nodes.set(node.getId(), node);
  const files = new Map();
  request.getRequestedFiles().forEach((file) => {
    const children = nodes.get(file.getId()).getNestedNodes();
    const list = [];
    for (const child of children.toArray()) list.push({ name: child.getName(), node: nodes.get(child.getId()) });
    files.set(basename(file.getFilename(), ".capnp"), list);
  });
  return { bytes: run.stdout, files, nodes, kinds: schema };
}

// The folder of Cap'n Proto's own schemas, where it is not beside the compiler's default.
function includes() {
  return ["/usr/include", "/usr/local/include", "/opt/homebrew/include"]
    .filter((directory) => existsSync(join(directory, "capnp", "c++.capnp")))
    .map((directory) => `-I${directory}`);
}

// capnpc-ts was written for an older runtime: its sources are taken before it compiles them, and its 64-bit types become
// bigint, as the runtime in use has it.
function messageClasses(schemas) {
  const compiler = createRequire(require.resolve("capnpc-ts/package.json"));
  const oldCapnp = compiler("capnp-ts");
  const { CodeGeneratorRequest } = compiler("capnp-ts/src/std/schema.capnp.js");
  const { loadRequest, printSourceFiles } = compiler("./src/compiler.js");
  const bytes = schemas.bytes;
  const message = new oldCapnp.Message(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length), false);
  message._capnp.traversalLimit = Number.MAX_SAFE_INTEGER;
  const context = loadRequest(message.getRoot(CodeGeneratorRequest));
  const sources = withoutInterfaceWarnings(() => printSourceFiles(context));
  return context.files
    .map((file, index) => [basename(file.tsPath), sources[index]])
    .filter(([name]) => !name.startsWith("boundary"))
    .map(([name, source]) => [
      name,
      `${HEAD}// @ts-nocheck\n${source.replace(/\bcapnp\.U?[Ii]nt64\b(?!List)/g, "bigint")}`,
    ]);
}

// capnpc-ts says for each interface that it makes no class of it, which protocol.ts is there for.
function withoutInterfaceWarnings(run) {
  const print = console.error;
  console.error = (...words) => {
    if (!String(words[0]).includes("Interface generation")) print(...words);
  };
  try {
    return run();
  } finally {
    console.error = print;
  }
}

function errorCodes(schemas) {
  const codes = errorTable(schemas);
  return `${HEAD}
export const ErrorCode = {
${codes.map(({ name, code }) => `  ${name}: ${code},`).join("\n")}
} as const;
export type ErrorName = keyof typeof ErrorCode;
export type ErrorCode = (typeof ErrorCode)[ErrorName];

/** Names by code. */
export const errorNames: readonly ErrorName[] = [
${codes.map(({ name }) => `  "${name}",`).join("\n")}
];

export interface ErrorText {
  readonly code: ErrorCode;
  readonly summary: string;
  readonly retryable: boolean;
}

export const errorTexts: Readonly<Record<ErrorName, ErrorText>> = {
${codes.map((c) => `  ${c.name}: { code: ${c.code}, summary: ${JSON.stringify(c.summary)}, retryable: ${c.retryable} },`).join("\n")}
};

export function isErrorCode(code: number): code is ErrorCode {
  return Number.isInteger(code) && code >= 0 && code < errorNames.length;
}
`;
}

function errorTextHeader(schemas) {
  const codes = errorTable(schemas);
  return `${HEAD}#pragma once

#include <array>
#include <cstddef>
#include <string_view>

#include "errors.capnp.h"

namespace capstan::schema {

struct ErrorText {
  std::string_view name;
  std::string_view summary;
  bool retryable;
};

inline constexpr std::array<ErrorText, ${codes.length}> errorTexts{{
${codes.map((c) => `    {${JSON.stringify(c.name)}, ${JSON.stringify(c.summary)}, ${c.retryable}},`).join("\n")}
}};

// A number that this build does not know reads as \`unknown\`.
inline constexpr const ErrorText& errorText(ErrorCode code) {
  auto number = static_cast<size_t>(code);
  return errorTexts[number < errorTexts.size() ? number : static_cast<size_t>(ErrorCode::UNKNOWN)];
}

}  // namespace capstan::schema
`;
}

function errorTable(schemas) {
  const file = schemas.files.get("errors");
  const annotationIds = new Map(file.map(({ name, node }) => [node.getId(), name]));
  return enumerants(find(file, "ErrorCode")).map(({ name, number, annotations }) => {
    const own = new Map();
    for (const annotation of annotations.toArray()) {
      own.set(annotationIds.get(annotation.getId()), annotation.getValue());
    }
    const summary = own.get("summary");
    if (!summary) throw new Error(`errors.capnp: ${name} has no summary`);
    return { name, code: number, summary: summary.getText(), retryable: own.has("retryable") };
  });
}

function boundary(schemas) {
  const file = schemas.files.get("boundary");
  const parts = [];
  for (const { name, node } of file) {
    if (node.which() === schemas.kinds.Node.ENUM) parts.push(enumSource(name, node));
    if (node.which() === schemas.kinds.Node.CONST) parts.push(constSource(schemas, name, node));
  }
  return `${HEAD}\n${parts.join("\n")}`;
}

function protocol(schemas) {
  const parts = [];
  for (const [file, list] of schemas.files) {
    if (file === "boundary") continue;
    for (const { name, node } of list) {
      if (node.which() === schemas.kinds.Node.CONST) parts.push(constSource(schemas, name, node));
      if (node.which() !== schemas.kinds.Node.INTERFACE) continue;
      const found = node.getInterface().getMethods().toArray();
      const methods = found.map((method, index) => `    ${method.getName()}: ${index},`);
      parts.push(`export const ${name} = {
  interfaceId: 0x${hex(node.getId())}n,
  methods: {
${methods.join("\n")}
  },
} as const;
export type ${name}Method = keyof typeof ${name}.methods;
`);
    }
  }
  return `${HEAD}\n${parts.join("\n")}`;
}

// Where each field of a struct lies: `offset` counts bytes in the data section (bits for a bool), or pointers.
function layouts(schemas) {
  const { Type } = schemas.kinds;
  const kinds = new Map(Object.entries(TYPE_KINDS).map(([key, kind]) => [Type[key], kind]));
  const widths = { bool: 1, int8: 1, uint8: 1, int16: 2, uint16: 2, int32: 4, uint32: 4, int64: 8, uint64: 8 };
  Object.assign(widths, { float32: 4, float64: 8, enum: 2 });
  const parts = [];
  for (const { name, node } of schemas.files.get("capstan")) {
    if (node.which() !== schemas.kinds.Node.STRUCT) continue;
    const struct = node.getStruct();
    const fields = [];
    struct.getFields().forEach((field) => {
      if (field.which() !== schemas.kinds.Field.SLOT) throw new Error(`${name}: groups have no layout here`);
      const slot = field.getSlot();
      const kind = kinds.get(slot.getType().which());
      if (kind === undefined) throw new Error(`${name}.${field.getName()}: a type without a layout`);
      const offset = slot.getOffset() * (widths[kind] ?? 1);
      fields.push(`      ${field.getName()}: { kind: "${kind}", offset: ${offset} },`);
    });
    parts.push(`  ${name}: {
    dataWords: ${struct.getDataWordCount()},
    pointers: ${struct.getPointerCount()},
    fields: {
${fields.join("\n")}
    },
  },`);
  }
  return `${HEAD}
export interface FieldLayout {
  readonly kind: string;
  /** In bytes of the data section (bits for a bool), or counted in pointers for text, data, list and struct. */
  readonly offset: number;
}

export interface StructLayout {
  readonly dataWords: number;
  readonly pointers: number;
  readonly fields: Readonly<Record<string, FieldLayout>>;
}

export const layouts = {
${parts.join("\n")}
} as const satisfies Readonly<Record<string, StructLayout>>;
`;
}

const TYPE_KINDS = {
  BOOL: "bool",
  INT8: "int8",
  INT16: "int16",
  INT32: "int32",
  INT64: "int64",
  UINT8: "uint8",
  UINT16: "uint16",
  UINT32: "uint32",
  UINT64: "uint64",
  FLOAT32: "float32",
  FLOAT64: "float64",
  ENUM: "enum",
  TEXT: "text",
  DATA: "data",
  LIST: "list",
  STRUCT: "struct",
};

function enumSource(name, node) {
  const lines = enumerants(node).map((enumerant) => `  ${enumerant.name}: ${enumerant.number},`);
  return `export const ${name} = {
${lines.join("\n")}
} as const;
export type ${name} = (typeof ${name})[keyof typeof ${name}];
`;
}

function constSource(schemas, name, node) {
  const value = node.getConst().getValue();
  const { Value } = schemas.kinds;
  switch (value.which()) {
    case Value.BOOL:
      return `export const ${name} = ${value.getBool()};\n`;
    case Value.UINT8:
      return `export const ${name} = ${value.getUint8()};\n`;
    case Value.UINT16:
      return `export const ${name} = ${value.getUint16()};\n`;
    case Value.UINT32:
      return `export const ${name} = ${value.getUint32()};\n`;
    case Value.INT32:
      return `export const ${name} = ${value.getInt32()};\n`;
    case Value.UINT64:
      return `export const ${name} = ${value.getUint64()}n;\n`;
    case Value.TEXT:
      return `export const ${name} = ${JSON.stringify(value.getText())};\n`;
    default:
      throw new Error(`constant ${name}: a type that the generator does not know`);
  }
}

function enumerants(node) {
  const list = [];
  node
    .getEnum()
    .getEnumerants()
    .forEach((enumerant, number) => {
      list.push({ name: enumerant.getName(), number, annotations: enumerant.getAnnotations() });
    });
  return list;
}

function find(file, name) {
  const found = file.find((child) => child.name === name);
  if (!found) throw new Error(`no ${name} in the schema`);
  return found.node;
}

function hex(id) {
  return typeof id === "bigint" ? id.toString(16).padStart(16, "0") : id.toHexString();
}

// Keeps the time of a file that stays the same, so that nothing is built anew because of it.
function writeIfChanged(path, text) {
  if (existsSync(path) && readFileSync(path, "utf8") === text) return;
  writeFileSync(path, text);
}

main(process.argv.slice(2));
