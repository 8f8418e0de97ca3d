// Owns: the call of node-gyp. Called by bootstrap.mjs and sanitize.mjs.
// It never chooses compiler flags: binding.gyp does.

import { existsSync, realpathSync } from "node:fs";
import { join, resolve } from "node:path";
import { fileURLToPath } from "node:url";

const script = fileURLToPath(new URL("../../node_modules/node-gyp/bin/node-gyp.js", import.meta.url));

/** The command. Node's headers are beside the Node in use where it came whole; only otherwise node-gyp fetches them. */
export function nodeGyp(...words) {
  const prefix = resolve(realpathSync(process.execPath), "..", "..");
  const own = existsSync(join(prefix, "include", "node", "node_api.h")) ? [`--nodedir=${prefix}`] : [];
  return [process.execPath, script, ...own, ...words];
}
