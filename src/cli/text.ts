// Owns: how single values become text for people and for programs: instants, durations, bytes that may be text, and text
// that must not steer a terminal. Never prints. Called by output.ts and by the verbs.

import { formatDurationMs } from "../units.js";

const strictUtf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** RFC 3339, in UTC. */
export function instantText(ms: number): string {
  const date = new Date(ms);
  return Number.isNaN(date.getTime()) ? String(ms) : date.toISOString();
}

/** Exact for what people set; rounded to seconds for what a clock counts down. */
export function durationText(ms: number): string {
  return formatDurationMs(ms > 10_000 && ms % 1000 !== 0 ? Math.ceil(ms / 1000) * 1000 : ms);
}

/** Undefined: these bytes are no UTF-8. */
export function utf8(bytes: Uint8Array): string | undefined {
  try {
    return strictUtf8.decode(bytes);
  } catch {
    return undefined;
  }
}

export function base64(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("base64");
}

/** Bytes cut in the middle of a character lose its beginning. */
export function wholeCharacters(bytes: Uint8Array): Uint8Array {
  for (let back = 1; back <= Math.min(4, bytes.length); back++) {
    const byte = bytes[bytes.length - back] as number;
    if (byte < 0x80) return bytes;
    if (byte < 0xc0) continue;
    const needs = byte >= 0xf0 ? 4 : byte >= 0xe0 ? 3 : 2;
    return needs > back ? bytes.subarray(0, bytes.length - back) : bytes;
  }
  return bytes;
}

/** The last `bytesMax` bytes as text, from a whole character on; bytes that are no text become replacement signs. */
export function tailText(bytes: Uint8Array, bytesMax: number): string {
  let from = Math.max(0, bytes.length - bytesMax);
  if (from > 0) while (from < bytes.length && ((bytes[from] as number) & 0xc0) === 0x80) from++;
  let text = Buffer.from(bytes.subarray(from)).toString("utf8");
  // A replacement sign takes three bytes for one.
  while (Buffer.byteLength(text) > bytesMax) text = text.slice(Math.max(1, Math.floor(text.length / 8)));
  return text;
}

/** Control characters, and those that turn the direction of text, as escapes: a payload must not steer the terminal. */
export function shown(text: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: these are the ones to be shown.
  return text.replace(/[\u0000-\u001f\u007f-\u009f\u2028-\u202e\u2066-\u2069]/g, (sign) => {
    if (sign === "\n") return "\\n";
    if (sign === "\r") return "\\r";
    if (sign === "\t") return "\\t";
    return `\\u${sign.charCodeAt(0).toString(16).padStart(4, "0")}`;
  });
}

/** One line of JSON. The controls that JSON allows in strings are escaped as well. */
export function jsonLine(value: unknown): string {
  const text = JSON.stringify(value, (_key, part: unknown) => (typeof part === "bigint" ? String(part) : part));
  return text.replace(/[\u007f-\u009f]/g, (sign) => `\\u${sign.charCodeAt(0).toString(16).padStart(4, "0")}`);
}

/** At most `width` characters, the last one an ellipsis where something was cut. */
export function clipped(text: string, width: number): string {
  const signs = [...text];
  return signs.length <= width ? text : `${signs.slice(0, Math.max(0, width - 1)).join("")}…`;
}
