// Owns: writing docs/limits.md from the built table of settings. Called by `npm run docs:limits`; a test fails when the
// page is stale.

import { writeFileSync } from "node:fs";

const { limitsDocument } = await import(new URL("../dist/src/limits_document.js", import.meta.url).href);
writeFileSync(new URL("../docs/limits.md", import.meta.url), limitsDocument());
