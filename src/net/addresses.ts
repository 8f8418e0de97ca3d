// Addresses to listen on: what people write, what the engine takes, and whether others can reach them. Owns the grammar
// HOST:PORT, [HOST]:PORT and unix:PATH, each with packed: before it where that is served; opens nothing. Called by
// main.ts, and by the listener workers for what a listener's number says.

import { lookup } from "node:dns/promises";
import { isIP, isIPv4 } from "node:net";
import { exitCodes, InsecureAddressError, ServerError } from "../errors.js";

export interface ListenAddress {
  /** As the engine takes it: a numeric host, or unix:PATH. */
  address: string;
  /** Whether only this machine can reach it. */
  isLocal: boolean;
  /** Whether it speaks the packed form. */
  isPacked: boolean;
}

const packedPrefix = "packed:";

/** How long a path of a Unix socket may be (sun_path with its final zero). */
const unixPathBytesMax = 107;

/** Addresses of one kind of listener that may be listed in one setting. */
const addressesMax = 16;

/**
 * Reads a list separated by commas; host names are looked up, so that the check below is about what is bound. `packed`:
 * what listens there can speak the packed form.
 */
export async function parseAddresses(flag: string, text: string, packed = false): Promise<ListenAddress[]> {
  const parts = text.split(",").map((part) => part.trim());
  if (parts.length > addressesMax) throw invalid(flag, text, `at most ${addressesMax} addresses`);
  return Promise.all(
    parts.map(async (part) => {
      const isPacked = packed && part.startsWith(packedPrefix);
      return { ...(await parseAddress(flag, isPacked ? part.slice(packedPrefix.length) : part)), isPacked };
    }),
  );
}

/** As people write it, of an address as it was bound. */
export function shownAddress(bound: string, { isPacked }: Pick<ListenAddress, "isPacked">): string {
  return isPacked ? packedPrefix + bound : bound;
}

/** The number by which the engine tells of connections to the address at this place in the list. */
export function listenerNumber(index: number, { isPacked }: Pick<ListenAddress, "isPacked">): number {
  return index * 2 + (isPacked ? 1 : 0);
}

export function isPackedListener(listener: number): boolean {
  return listener % 2 === 1;
}

/** Refuses what other machines can reach, unless `insecure`; returns those addresses for a warning. */
export function refuseInsecure(flag: string, addresses: readonly ListenAddress[], insecure: boolean): string[] {
  const open = addresses.filter((one) => !one.isLocal).map((one) => one.address);
  if (open[0] !== undefined && !insecure) throw new InsecureAddressError(flag, open[0]);
  return open;
}

async function parseAddress(flag: string, text: string): Promise<Omit<ListenAddress, "isPacked">> {
  if (text.startsWith("unix:")) {
    const path = text.slice("unix:".length);
    const bytes = Buffer.byteLength(path);
    if (bytes === 0 || bytes > unixPathBytesMax)
      throw invalid(flag, text, `unix:PATH of 1 to ${unixPathBytesMax} bytes`);
    return { address: text, isLocal: true };
  }
  const match = /^(?:\[([^\]]+)\]|([^:[\]]+)):(\d{1,5})$/.exec(text);
  const host = match?.[1] ?? match?.[2];
  const port = Number(match?.[3]);
  if (host === undefined || port > 65_535) throw invalid(flag, text, "HOST:PORT, [HOST]:PORT or unix:PATH");
  const ip = isIP(host) !== 0 ? host : await resolve(flag, text, host);
  return { address: isIPv4(ip) ? `${ip}:${port}` : `[${ip}]:${port}`, isLocal: isLoopback(ip) };
}

async function resolve(flag: string, text: string, host: string): Promise<string> {
  try {
    return (await lookup(host)).address;
  } catch (error) {
    const why = (error as NodeJS.ErrnoException).code ?? String(error);
    throw new ServerError("addressInvalid", `--${flag} ${text}: cannot look up ${host}: ${why}`, exitCodes.address);
  }
}

function isLoopback(ip: string): boolean {
  return isIPv4(ip) ? ip.startsWith("127.") : /^(0*:)*0*1$/.test(ip) || /^::ffff:127\./i.test(ip);
}

function invalid(flag: string, text: string, expected: string): ServerError {
  return new ServerError("addressInvalid", `--${flag} ${JSON.stringify(text)} is not ${expected}`, exitCodes.usage);
}
