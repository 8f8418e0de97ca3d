// docs/limits.md is what the table
// of settings says today.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { it } from "node:test";
import { keys } from "../../src/config.js";
import { limitsDocument } from "../../src/limits_document.js";

it("docs/limits.md is fresh (npm run docs:limits)", () => {
  const page = readFileSync(new URL("../../../docs/limits.md", import.meta.url), "utf8");
  assert.equal(page, limitsDocument());
  for (const key of keys) assert.ok(page.includes(`| \`${key}\`<br>`), key);
});
