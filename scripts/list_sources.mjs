// Owns: which source files a native target is made of. Called by binding.gyp, whose working folder is the root:
// `node scripts/list_sources.mjs SUFFIX FOLDER...` prints the files of these folders that end so, one a line, sorted;
// with `-SUFFIX` as a further argument those with that ending are left out. It never looks into subfolders.
import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";

const [suffix = ".cc", ...rest] = process.argv.slice(2);
const without = rest.filter((word) => word.startsWith("-")).map((word) => word.slice(1));
const files = rest
  .filter((word) => !word.startsWith("-") && existsSync(word))
  .flatMap((folder) => readdirSync(folder).map((name) => join(folder, name)))
  .filter((path) => path.endsWith(suffix) && !without.some((ending) => path.endsWith(ending)))
  .sort();
if (files.length > 0) console.log(files.join("\n"));
