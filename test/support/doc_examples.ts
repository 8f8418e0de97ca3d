// Reads the examples out of the project's documents: the fenced blocks of one language, and of shell blocks the commands
// one by one. Owns no process. Called by the tests that run what the documents show.

import { readFileSync } from "node:fs";
import { join } from "node:path";
import { root } from "./server_process.js";

export interface Example {
  /** Where its block begins, for messages. */
  readonly place: string;
  readonly text: string;
}

export function examples(document: string, language: string): Example[] {
  const lines = readFileSync(join(root, document), "utf8").split("\n");
  const found: Example[] = [];
  let start = -1;
  lines.forEach((line, index) => {
    if (start < 0 && line === `\`\`\`${language}`) {
      start = index + 1;
    } else if (start >= 0 && line === "```") {
      found.push({ place: `${document}:${start + 1}`, text: lines.slice(start, index).join("\n") });
      start = -1;
    }
  });
  return found;
}

/** The commands of a shell block: a line each, or with all of its here-document; comments are left out. */
export function commands(block: Example): Example[] {
  const found: Example[] = [];
  const lines = block.text.split("\n");
  for (let at = 0; at < lines.length; at++) {
    const line = (lines[at] as string).replace(/\s+#\s.*$/, "");
    if (line.trim() === "" || line.startsWith("#")) continue;
    const end = /<<'(\w+)'/.exec(line)?.[1];
    const last = end === undefined ? at : lines.indexOf(end, at);
    found.push({ place: block.place, text: [line, ...lines.slice(at + 1, last + 1)].join("\n") });
    at = last;
  }
  return found;
}
