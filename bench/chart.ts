// Charts as SVG: lines over time in panels below one another, and bars beside one another. Owns their look alone; the
// scales and the paths are d3's. Pure: text in, text out. Called by long.ts and by peers/.

import { scaleBand, scaleLinear } from "d3-scale";
import { line } from "d3-shape";

export type Point = readonly [x: number, y: number];

export interface Series {
  readonly name: string;
  readonly points: readonly Point[];
}

/** One pair of axes; all panels of a chart share the one to the right. */
export interface Panel {
  readonly title: string;
  readonly series: readonly Series[];
}

export interface BarGroup {
  readonly name: string;
  readonly values: readonly { readonly name: string; readonly value: number }[];
}

const width = 860;
const panelHeight = 200;
const margin = { top: 46, right: 24, bottom: 26, left: 84 } as const;
const gap = 34;
const colors = ["#1f6f8b", "#c8553d", "#6a994e", "#8338ec", "#b08900", "#444444"];

export function lineChart(title: string, xTitle: string, panels: readonly Panel[]): string {
  const xs = panels.flatMap((panel) => panel.series.flatMap((series) => series.points.map(([x]) => x)));
  const x = scaleLinear()
    .domain([Math.min(0, ...xs), Math.max(Number.EPSILON, ...xs)])
    .range([margin.left, width - margin.right]);
  const height = margin.top + panels.length * (panelHeight + gap) + margin.bottom;
  const parts = panels.map((panel, index) => panelOf(panel, x, margin.top + index * (panelHeight + gap) + gap / 2));
  const bottom = height - margin.bottom - gap / 2;
  for (const tick of x.ticks(8)) parts.push(label(x(tick), bottom + 14, tickText(tick), "middle"));
  parts.push(label((margin.left + width - margin.right) / 2, bottom + 32, xTitle, "middle"));
  return svg(height + 16, title, parts);
}

type Scale = ReturnType<typeof scaleLinear<number>>;

function panelOf(panel: Panel, x: Scale, top: number): string {
  const ys = panel.series.flatMap((series) => series.points.map(([, y]) => y));
  // From zero: a flat line is to look flat, and a steep one steep.
  const y = scaleLinear()
    .domain([0, Math.max(Number.EPSILON, ...ys)])
    .nice()
    .range([top + panelHeight, top + 16]);
  const parts = y
    .ticks(5)
    .flatMap((tick) => [
      `<line x1="${margin.left}" x2="${width - margin.right}" y1="${round(y(tick))}" y2="${round(y(tick))}" stroke="#ddd"/>`,
      label(margin.left - 8, y(tick) + 4, tickText(tick), "end"),
    ]);
  const path = line<Point>(
    ([at]) => round(x(at)),
    ([, value]) => round(y(value)),
  );
  panel.series.forEach(({ points }, index) => {
    parts.push(`<path d="${path([...points]) ?? ""}" fill="none" stroke="${colorOf(index)}" stroke-width="1.5"/>`);
  });
  parts.push(label(margin.left, top + 4, panel.title, "start", "bold"));
  parts.push(
    legend(
      panel.series.map(({ name }) => name),
      top + 4,
    ),
  );
  return parts.join("\n");
}

/** A group of bars for each workload, a bar for each contestant. */
export function barChart(title: string, yTitle: string, groups: readonly BarGroup[]): string {
  const names = [...new Set(groups.flatMap((group) => group.values.map(({ name }) => name)))];
  const height = margin.top + 2 * panelHeight + margin.bottom + gap;
  const bottom = height - margin.bottom - gap / 2;
  const top = margin.top + gap;
  const outer = scaleBand(
    groups.map(({ name }) => name),
    [margin.left, width - margin.right],
  ).padding(0.2);
  const inner = scaleBand(names, [0, outer.bandwidth()]).padding(0.08);
  const y = scaleLinear()
    .domain([0, Math.max(1, ...groups.flatMap((group) => group.values.map(({ value }) => value)))])
    .nice()
    .range([bottom, top]);
  const parts = y
    .ticks(6)
    .flatMap((tick) => [
      `<line x1="${margin.left}" x2="${width - margin.right}" y1="${round(y(tick))}" y2="${round(y(tick))}" stroke="#ddd"/>`,
      label(margin.left - 8, y(tick) + 4, tickText(tick), "end"),
    ]);
  for (const group of groups) {
    const left = outer(group.name) ?? 0;
    parts.push(label(left + outer.bandwidth() / 2, bottom + 18, group.name, "middle"));
    for (const { name, value } of group.values) {
      const at = left + (inner(name) ?? 0);
      parts.push(
        `<rect x="${round(at)}" y="${round(y(value))}" width="${round(inner.bandwidth())}" ` +
          `height="${round(bottom - y(value))}" fill="${colorOf(names.indexOf(name))}"/>`,
        label(at + inner.bandwidth() / 2, y(value) - 4, tickText(value), "middle"),
      );
    }
  }
  parts.push(label(margin.left, margin.top, yTitle, "start", "bold"), legend(names, margin.top));
  return svg(height + 8, title, parts);
}

function svg(height: number, title: string, parts: readonly string[]): string {
  return (
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" ` +
    `font-family="sans-serif" font-size="12" role="img">\n<title>${escaped(title)}</title>\n` +
    `<rect width="${width}" height="${height}" fill="#fff"/>\n` +
    `${label(margin.left, 22, title, "start", "bold")}\n${parts.join("\n")}\n</svg>\n`
  );
}

/** From the right edge to the left, so that a title has the left. */
function legend(names: readonly string[], y: number): string {
  let right = width - margin.right;
  const parts: string[] = [];
  for (const [index, name] of [...names.entries()].reverse()) {
    parts.push(label(right, y, name, "end"));
    right -= name.length * 7 + 8;
    parts.push(`<rect x="${round(right - 10)}" y="${round(y - 9)}" width="10" height="10" fill="${colorOf(index)}"/>`);
    right -= 22;
  }
  return parts.join("\n");
}

function label(x: number, y: number, text: string, anchor: "start" | "middle" | "end", weight = "normal"): string {
  const bold = weight === "normal" ? "" : ` font-weight="${weight}"`;
  return `<text x="${round(x)}" y="${round(y)}" text-anchor="${anchor}" fill="#222"${bold}>${escaped(text)}</text>`;
}

function colorOf(index: number): string {
  return colors[index % colors.length] ?? "#000";
}

/** 1234567 is 1.23M: a tick has little room. */
function tickText(value: number): string {
  for (const [from, suffix] of [
    [1e9, "G"],
    [1e6, "M"],
    [1e3, "k"],
  ] as const) {
    if (Math.abs(value) >= from) return `${Number((value / from).toPrecision(3))}${suffix}`;
  }
  return String(Number(value.toPrecision(3)));
}

function round(value: number): number {
  return Math.round(value * 10) / 10;
}

function escaped(text: string): string {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;").replaceAll('"', "&quot;");
}
