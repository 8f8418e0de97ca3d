// What a setting of the server is: its unit, default, bounds, and why. Owns the shapes and the grouping; the settings
// themselves are in knobs_node.ts and knobs_requests.ts, put together by config.ts. Imports nothing.

/** What the defaults may depend on. */
export interface Machine {
  cores: number;
  /** What the cgroup allows, else what the machine has. */
  memoryBytes: number;
  /** RLIMIT_NOFILE, the soft limit. */
  openFilesMax: number;
}

export type Unit = "ms" | "bytes" | "count" | "percent" | "path" | "addresses" | "choice" | "boolean" | "options";

/** What a computed default or bound may look at: the machine, and settings that stand above it in the table. */
export interface Context {
  machine: Machine;
  number(key: string): number;
}

type Numeric = number | ((context: Context) => number);

interface KnobOf<Kind extends Unit, Value> {
  readonly unit: Kind;
  readonly default: Value | ((context: Context) => Value);
  readonly why: string;
  readonly group: Group;
  /** Another name than the key's own for the flag. */
  readonly flag?: string;
  /** Shown in limits.md as a bound of memory, with what happens when it is reached. */
  readonly whenReached?: string;
  /** SIGHUP takes a new value of it from the file. */
  readonly reloadable?: boolean;
}

export interface NumberKnob extends KnobOf<"ms" | "bytes" | "count" | "percent", number> {
  readonly min: Numeric;
  readonly max: Numeric;
  /** A value outside the bounds that stands for something, such as "unlimited". */
  readonly special?: Readonly<Record<string, number>>;
}
export interface TextKnob extends KnobOf<"path" | "addresses" | "options", string> {}
export interface ChoiceKnob<Value extends string> extends KnobOf<"choice", Value> {
  readonly choices: readonly Value[];
}
export interface SwitchKnob extends KnobOf<"boolean", boolean> {}

export type Knob = NumberKnob | TextKnob | ChoiceKnob<string> | SwitchKnob;

export const groups = {
  server: "Server",
  memory: "Memory",
  storage: "Log and storage",
  connections: "Connections",
  batching: "Batching",
  requests: "Requests",
  queues: "Defaults of a queue",
  state: "Replicated limits of a shard",
} as const;
export type Group = keyof typeof groups;

export const number = (knob: NumberKnob): NumberKnob => knob;
export const text = (knob: TextKnob): TextKnob => knob;
export const toggle = (knob: SwitchKnob): SwitchKnob => knob;
export const choice = <const Value extends string>(knob: ChoiceKnob<Value>): ChoiceKnob<Value> => knob;
