#!/usr/bin/env node
// Owns: the command `capstan`. It checks that the checkout is built, says what to run where it is not, and hands over to
// the command line in src/cli. `npx capstan` comes here without any bootstrap. It never builds anything itself.

import { existsSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const entry = join(root, "dist", "src", "cli", "main.js");
const missing = ["node_modules", "build/Release/capstan.node", "dist/src/cli/main.js"].filter(
  (path) => !existsSync(join(root, path)),
);
if (missing.length > 0) {
  process.stderr.write(
    `capstan: this checkout is not built yet (${missing.join(", ")} missing). Run:\n\n  cd ${root} && npm run build\n\n`,
  );
  process.exit(1);
}
const { main } = await import(pathToFileURL(entry).href);
// The command line may also run by itself when it is loaded; then it exports no `main`.
if (typeof main === "function") {
  const code = await main(process.argv.slice(2));
  if (typeof code === "number") process.exitCode = code;
}
