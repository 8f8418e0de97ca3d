// Owns: the reading of a server's address as people write it. Never resolves a name and never opens a socket. Called by
// the link, once for each address, when a client is made.

import { invalidArgument } from "./errors.js";

export type Address =
  | { readonly text: string; readonly path: string }
  | { readonly text: string; readonly host: string; readonly port: number };

/** `host:port`, `[v6]:port` or `unix:PATH`. */
export function parseAddress(text: string): Address {
  if (typeof text !== "string") throw invalidArgument("addresses", "must be strings");
  if (text.startsWith("unix:")) {
    if (text.length === 5) throw invalidArgument("addresses", "unix: needs a path behind it");
    return { text, path: text.slice(5) };
  }
  const found = /^(?:\[([0-9a-fA-F:.%\w]+)\]|([^:[\]/]+)):(\d{1,5})$/.exec(text);
  const host = found?.[1] ?? found?.[2];
  const port = Number(found?.[3]);
  if (host === undefined || port < 1 || port > 65_535) {
    throw invalidArgument("addresses", `"${text}" is not host:port, [v6]:port or unix:PATH`);
  }
  return { text, host, port };
}
