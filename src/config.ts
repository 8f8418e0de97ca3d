// Every setting of the server: name, unit, default, bounds and why. The only table of them: flags, environment, file,
// `capstan config` and docs/limits.md all come from here. Owns no values; config_load.ts finds them. Called by main.ts,
// the command line and the generator of docs/limits.md. Never read by what decides the stored state: what limits that
// travels in the entries.

import type { ChoiceKnob, Knob, SwitchKnob, TextKnob } from "./knob.js";
import { nodeKnobs } from "./knobs_node.js";
import { requestKnobs } from "./knobs_requests.js";
import { MiB } from "./units.js";

export type { Context, Group, Knob, Machine, NumberKnob, Unit } from "./knob.js";
export { groups } from "./knob.js";
export { openFilesReserve } from "./knobs_node.js";
export { attemptsUnlimited } from "./knobs_requests.js";

/** What a listener worker's own JavaScript heap takes, besides its slabs and requests. */
export const workerHeapBytes = 32 * MiB;

/** What the process takes before it serves: code, V8, thread stacks, allocator slack. */
export const processBytes = 64 * MiB;

export const knobs = { ...nodeKnobs, ...requestKnobs } as const;

export type Key = keyof typeof knobs;

type ValueOf<K> =
  K extends ChoiceKnob<infer Value> ? Value : K extends SwitchKnob ? boolean : K extends TextKnob ? string : number;

/** Effective values, every one within its bounds. */
export type Config = { readonly [K in Key]: ValueOf<(typeof knobs)[K]> };

export const keys = Object.keys(knobs) as Key[];

/** `leaseMsDefault` is `--lease-ms-default`, unless the table names another flag. */
export function flagOf(key: Key): string {
  const knob: Knob = knobs[key];
  return knob.flag ?? words(key).join("-");
}

/** `leaseMsDefault` is `CAPSTAN_LEASE_MS_DEFAULT`. */
export function variableOf(key: Key): string {
  return `CAPSTAN_${words(key).join("_").toUpperCase()}`;
}

export function isReloadable(key: Key): boolean {
  return (knobs[key] as Knob).reloadable === true;
}

function words(key: string): string[] {
  return key
    .replace(/([A-Z])/g, " $1")
    .toLowerCase()
    .split(" ");
}
