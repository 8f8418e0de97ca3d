// Tables and generated sections of Markdown. Owns the markers between which a page is generated; pure. Called by what
// prints medians and by performance_document.ts.

/** The first row is the head; cells after the first column are figures and stand to the right. */
export function markdownTable(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]) => `| ${cells.map((cell) => cell.replaceAll("|", "\\|")).join(" | ")} |\n`;
  const rule = `|${head.map((_, at) => (at === 0 ? "---|" : "---:|")).join("")}\n`;
  return `${line(head)}${rule}${rows.map(line).join("")}`;
}

/**
 * Puts new text between each pair of markers, `<!-- figures: NAME -->` and `<!-- end -->`. Throws for a name that
 * `sections` has not, and for one that the page has not: a figure must not be lost.
 */
export function fillSections(page: string, sections: Readonly<Record<string, string>>): string {
  const missing = new Set(Object.keys(sections));
  const filled = page.replace(/<!-- figures: ([a-z0-9-]+) -->\n[\s\S]*?<!-- end -->/g, (_, name: string) => {
    const text = sections[name];
    if (text === undefined) throw new Error(`there are no figures of the name ${name}`);
    missing.delete(name);
    return `<!-- figures: ${name} -->\n\n${text.trim()}\n\n<!-- end -->`;
  });
  if (missing.size > 0) throw new Error(`the page has no place for ${[...missing].join(", ")}`);
  return filled;
}
