// Owns: the figures of docs/performance.md, written anew between their markers from the raw results. Called by
// `npm run docs:performance` after a build; a test fails when the page says something else than the raw results.

import { readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

const { performanceDocument } = await import(new URL("../dist/bench/performance_document.js", import.meta.url).href);
const page = new URL("../docs/performance.md", import.meta.url);
const results = fileURLToPath(new URL("../bench/results", import.meta.url));
writeFileSync(page, performanceDocument(readFileSync(page, "utf8"), results));
