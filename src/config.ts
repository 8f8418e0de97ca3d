// Every setting of the server: name, unit, default, bounds and why. The only table of them: flags, environment, file,
// `capstan config` and docs/limits.md all come from here. Owns no values; config_load.ts finds them. Called by main.ts,
// the command line and the generator of docs/limits.md. Never read by what decides the stored state: what limits that
// travels in the entries.

import { GiB, KiB, MiB, msOf, TiB } from "./units.js";

/** What the defaults may depend on. */
export interface Machine {
  cores: number;
  /** What the cgroup allows, else what the machine has. */
  memoryBytes: number;
  /** RLIMIT_NOFILE, the soft limit. */
  openFilesMax: number;
}

export type Unit = "ms" | "bytes" | "count" | "percent" | "path" | "addresses" | "choice" | "boolean";

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
export interface TextKnob extends KnobOf<"path" | "addresses", string> {}
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

/** "Unlimited" in `maxAttempts`. */
export const attemptsUnlimited = 0xffff_ffff;

/** Descriptors kept for RocksDB, the log, the peers and the terminal; connections get the rest. */
export const openFilesReserve = 512;

/** What a listener worker's own JavaScript heap takes, besides its slabs and requests. */
export const workerHeapBytes = 32 * MiB;

/** What the process takes before it serves: code, V8, thread stacks, allocator slack. */
export const processBytes = 64 * MiB;

const number = (knob: NumberKnob): NumberKnob => knob;
const text = (knob: TextKnob): TextKnob => knob;
const toggle = (knob: SwitchKnob): SwitchKnob => knob;
const choice = <const Value extends string>(knob: ChoiceKnob<Value>): ChoiceKnob<Value> => knob;

/** At most `bytesMax`, or less on a small machine: `share` of the node's memory, in whole MiB. */
const partOfMemory = (bytesMax: number, share: number) => (context: Context) =>
  Math.min(bytesMax, Math.max(4 * MiB, Math.floor((context.number("memoryBytesMax") * share) / MiB) * MiB));

export const knobs = {
  // ---- server
  dataDir: text({
    unit: "path",
    default: "./capstan-data",
    group: "server",
    why: "The directory that holds everything durable. Never a temporary one by default.",
  }),
  rpcListen: text({
    unit: "addresses",
    default: "127.0.0.1:9090",
    group: "server",
    why: "Where Cap'n Proto RPC is served: HOST:PORT, [HOST]:PORT or unix:PATH, several with commas; port 0 picks a free one.",
  }),
  httpListen: text({
    unit: "addresses",
    default: "127.0.0.1:8080",
    group: "server",
    why: "Where HTTP is to be served. Taken and checked, but the port stays closed in this version.",
  }),
  peerListen: text({
    unit: "addresses",
    default: "127.0.0.1:9091",
    group: "server",
    why: "Where other nodes are to connect. Taken and checked, but the port stays closed in this version.",
  }),
  insecure: toggle({
    unit: "boolean",
    default: false,
    group: "server",
    why: "Allows addresses beyond loopback and Unix sockets although there is neither TLS nor authentication.",
  }),
  workers: number({
    unit: "count",
    default: ({ machine }) =>
      Math.max(1, Math.min(64, Math.floor(machine.cores / 2), Math.floor(machine.memoryBytes / (512 * MiB)))),
    min: 1,
    max: 64,
    group: "server",
    why: "Listener threads, each with its own event loop: half of the cores, the rest is for the engine; fewer where memory is short.",
  }),
  sync: choice({
    unit: "choice",
    default: "always",
    choices: ["always", "never"],
    group: "server",
    why: "`always` answers after fsync. `never` is for benchmarks only: a power cut then loses answered jobs.",
  }),
  shutdownTimeoutMs: number({
    unit: "ms",
    default: 30 * msOf.second,
    min: 100,
    max: msOf.hour,
    flag: "shutdown-timeout",
    group: "server",
    why: "How long a graceful stop may take before what is left is cut off.",
  }),
  logLevel: choice({
    unit: "choice",
    default: "info",
    choices: ["trace", "debug", "info", "warn", "error", "fatal", "silent"],
    group: "server",
    reloadable: true,
    why: "The least severe message that is logged. SIGHUP reads it anew from the file.",
  }),
  logFormat: choice({
    unit: "choice",
    default: "auto",
    choices: ["auto", "pretty", "json"],
    group: "server",
    why: "`auto` is readable on a terminal and JSON otherwise.",
  }),

  // ---- memory
  memoryBytesMax: number({
    unit: "bytes",
    default: ({ machine }) => Math.max(256 * MiB, Math.floor(machine.memoryBytes / 2 / MiB) * MiB),
    min: 256 * MiB,
    max: ({ machine }) => Math.max(256 * MiB, machine.memoryBytes),
    group: "memory",
    whenReached: "`busy` with a retry hint",
    why: "Memory of the node. Caches, half-received frames and reserved replies count; half of the cgroup or machine.",
  }),
  blockCacheBytes: number({
    unit: "bytes",
    default: partOfMemory(128 * MiB, 1 / 8),
    min: 4 * MiB,
    max: ({ number }) => number("memoryBytesMax"),
    group: "memory",
    whenReached: "least recently used blocks go",
    why: "RocksDB's cache of blocks read from disk, shared by all families.",
  }),
  writeBufferBytes: number({
    unit: "bytes",
    default: partOfMemory(128 * MiB, 1 / 8),
    min: 4 * MiB,
    max: ({ number }) => number("memoryBytesMax"),
    group: "memory",
    whenReached: "the state is flushed to disk",
    why: "RocksDB's unflushed writes. Jobs acked before a flush leave nothing on disk.",
  }),
  windowBytesMax: number({
    unit: "bytes",
    default: partOfMemory(64 * MiB, 1 / 16),
    min: MiB,
    max: ({ number }) => number("memoryBytesMax"),
    group: "memory",
    whenReached: "windows shrink and are refilled from disk",
    why: "Keys of ready jobs kept in memory, over all lanes, however long the backlog.",
  }),
  windowJobsMax: number({
    unit: "count",
    default: 4096,
    min: 1,
    max: 1_000_000,
    group: "memory",
    whenReached: "the rest of the lane is read when its turn comes",
    why: "Ready jobs of one lane kept in memory. Only speed depends on it, never the result.",
  }),
  payloadCacheBytes: number({
    unit: "bytes",
    default: partOfMemory(64 * MiB, 1 / 16),
    min: 0,
    max: ({ number }) => number("memoryBytesMax"),
    group: "memory",
    whenReached: "payloads are read from disk",
    why: "Payloads of ready jobs kept beside the windows, so that a short queue is never read back.",
  }),

  // ---- log and storage
  logSegmentBytes: number({
    unit: "bytes",
    default: 64 * MiB,
    min: MiB,
    max: GiB,
    group: "storage",
    why: "Size at which the log begins a new file.",
  }),
  logTrailingBytes: number({
    unit: "bytes",
    default: 64 * MiB,
    min: 0,
    max: TiB,
    group: "storage",
    why: "Log kept behind the last flushed state.",
  }),
  diskReserveBytes: number({
    unit: "bytes",
    default: 512 * MiB,
    min: 0,
    max: 16 * TiB,
    group: "storage",
    whenReached: "enqueue is `diskFull`; fetch, ack and delete go on",
    why: "Free space below which enqueue is refused; the larger of this and the percentage counts.",
  }),
  diskReservePercent: number({
    unit: "percent",
    default: 2,
    min: 0,
    max: 50,
    group: "storage",
    whenReached: "as above",
    why: "The same as a share of the file system.",
  }),
  backgroundJobs: number({
    unit: "count",
    default: ({ machine }) => Math.min(64, Math.max(1, machine.cores)),
    min: 1,
    max: 64,
    group: "storage",
    why: "RocksDB's flush and compaction threads.",
  }),
  readerThreads: number({
    unit: "count",
    default: 1,
    min: 1,
    max: 16,
    group: "storage",
    why: "Threads that read payloads which are not in the cache.",
  }),
  proposalsMax: number({
    unit: "count",
    default: 1024,
    min: 16,
    max: 65_536,
    group: "storage",
    whenReached: "`busy` with a retry hint",
    why: "Entries that wait for the consensus thread.",
  }),
  tickRowsMax: number({
    unit: "count",
    default: 10_000,
    min: 100,
    max: 1_000_000,
    group: "storage",
    whenReached: "the rest is done by the next entry",
    why: "Rows that one entry may move when leases expire or delays end.",
  }),

  // ---- connections
  connectionsMax: number({
    unit: "count",
    default: ({ machine }) => Math.max(16, Math.min(10_000, machine.openFilesMax - openFilesReserve)),
    min: 1,
    max: ({ machine }) => Math.max(16, Math.min(1_000_000, machine.openFilesMax - openFilesReserve)),
    group: "connections",
    whenReached: "further ones are closed at once",
    why: "Client connections at a time; stays below the file limit with a reserve.",
  }),
  backlog: number({
    unit: "count",
    default: 4096,
    min: 1,
    max: 65_535,
    group: "connections",
    whenReached: "the kernel refuses",
    why: "Connections that the kernel holds until they are accepted (net.core.somaxconn bounds it too).",
  }),
  callsOutstandingMax: number({
    unit: "count",
    default: 1024,
    min: 1,
    max: 65_536,
    group: "connections",
    whenReached: "the connection is not read from",
    why: "Unanswered calls of one connection.",
  }),
  unsentBytesMax: number({
    unit: "bytes",
    default: 16 * MiB,
    min: 64 * KiB,
    max: 256 * MiB,
    group: "connections",
    whenReached: "the connection is not read from and no more replies are made for it",
    why: "Reply bytes that a connection's client has not taken yet.",
  }),
  deafTimeoutMs: number({
    unit: "ms",
    default: 30 * msOf.second,
    min: msOf.second,
    max: msOf.hour,
    group: "connections",
    whenReached: "the connection is closed",
    why: "How long a client may take nothing of what is sent to it.",
  }),
  frameTimeoutMs: number({
    unit: "ms",
    default: 30 * msOf.second,
    min: msOf.second,
    max: msOf.hour,
    group: "connections",
    whenReached: "the connection is closed",
    why: "How long a frame may stay half received; 1 s more for every 32 KiB that came.",
  }),
  keepAliveMs: number({
    unit: "ms",
    default: msOf.minute,
    min: msOf.second,
    max: msOf.day,
    group: "connections",
    why: "Idle time after which TCP keep-alive asks whether the client is still there.",
  }),
  readBufferBytes: number({
    unit: "bytes",
    default: 256 * KiB,
    min: 4 * KiB,
    max: 256 * KiB,
    group: "connections",
    whenReached: "the rest is read in the next turn",
    why: "One buffer a worker, shared by its sockets: what is taken from a socket at a time.",
  }),
  slabBytes: number({
    unit: "bytes",
    default: 256 * KiB,
    min: 16 * KiB,
    max: 16 * MiB,
    group: "connections",
    whenReached: "the next slab is begun",
    why: "One buffer into which replies are encoded.",
  }),
  slabsMax: number({
    unit: "count",
    default: 64,
    min: 2,
    max: 4096,
    group: "connections",
    whenReached: "unsent replies are copied out of the slabs",
    why: "Slabs of one worker that may wait for slow sockets.",
  }),

  // ---- batching
  inflightMax: number({
    unit: "count",
    default: 4,
    min: 1,
    max: 64,
    group: "batching",
    whenReached: "calls gather for the next entry",
    why: "Entries of a worker under way at a time. Fewer means larger entries and a longer wait.",
  }),
  entryBytesMax: number({
    unit: "bytes",
    default: MiB,
    min: 64 * KiB,
    max: 16 * MiB,
    group: "batching",
    whenReached: "the next entry is begun; a single larger command goes alone",
    why: "Request bytes of one log entry.",
  }),
  entryCommandsMax: number({
    unit: "count",
    default: 4096,
    min: 2,
    max: 65_536,
    group: "batching",
    whenReached: "the next entry is begun",
    why: "Commands of one log entry.",
  }),
  entryJobsMax: number({
    unit: "count",
    default: 16_384,
    min: 1,
    max: 1_000_000,
    group: "batching",
    whenReached: "the next entry is begun",
    why: "Jobs that the commands of one entry name or ask for; bounds how long applying it takes.",
  }),
  flushWindowMs: number({
    unit: "ms",
    default: 0,
    min: 0,
    max: 1000,
    group: "batching",
    why: "For benchmarks only: gathers calls for a fixed time instead of flushing when an entry returns.",
  }),
  writesWaitingMax: number({
    unit: "count",
    default: 262_144,
    min: 1024,
    max: 16_777_216,
    group: "batching",
    whenReached: "`busy` with a retry hint",
    why: "Calls of one worker, other than fetches, that wait for an entry.",
  }),
  parkedMax: number({
    unit: "count",
    default: 100_000,
    min: 1,
    max: 10_000_000,
    group: "batching",
    whenReached: "`busy` with a retry hint",
    why: "Fetches of one worker that wait for jobs.",
  }),

  // ---- requests
  frameBytesMax: number({
    unit: "bytes",
    default: 32 * MiB,
    min: 64 * KiB,
    max: 32 * MiB,
    group: "requests",
    whenReached: "the connection is aborted",
    why: "One message on the wire.",
  }),
  commandBytesMax: number({
    unit: "bytes",
    default: 16 * MiB,
    min: 64 * KiB,
    max: 16 * MiB,
    group: "requests",
    whenReached: "`tooLarge`",
    why: "One request.",
  }),
  jobsPerCommandMax: number({
    unit: "count",
    default: 10_000,
    min: 1,
    max: 10_000,
    group: "requests",
    whenReached: "`tooLarge`",
    why: "Jobs or ids of one request.",
  }),
  payloadBytesMax: number({
    unit: "bytes",
    default: MiB,
    min: 0,
    max: 16 * MiB,
    group: "requests",
    whenReached: "`tooLarge`",
    why: "The payload of one job.",
  }),
  headersBytesMax: number({
    unit: "bytes",
    default: 8 * KiB,
    min: 0,
    max: 64 * KiB,
    group: "requests",
    whenReached: "`tooLarge`",
    why: "The headers of one job, names and values together.",
  }),
  nameBytesMax: number({
    unit: "bytes",
    default: 200,
    min: 16,
    max: 200,
    group: "requests",
    whenReached: "`invalidArgument`",
    why: "Names of queues, groups, workers and the like: UTF-8 without control characters.",
  }),
  queuesPerFetchMax: number({
    unit: "count",
    default: 64,
    min: 1,
    max: 64,
    group: "requests",
    whenReached: "`invalidArgument`",
    why: "Queues that one fetch may list.",
  }),
  fetchJobsMax: number({
    unit: "count",
    default: 1024,
    min: 1,
    max: 1024,
    group: "requests",
    whenReached: "`invalidArgument`",
    why: "Jobs of one fetch.",
  }),
  fetchBytesMax: number({
    unit: "bytes",
    default: 16 * MiB,
    min: 64 * KiB,
    max: 16 * MiB,
    group: "requests",
    whenReached: "`invalidArgument`",
    why: "Payload bytes that a fetch may ask for; its first job is granted whatever its size.",
  }),
  fetchBytesDefault: number({
    unit: "bytes",
    default: 4 * MiB,
    min: 4 * KiB,
    max: ({ number }) => number("fetchBytesMax"),
    group: "requests",
    why: "Payload bytes of a fetch that does not say.",
  }),
  waitMsMax: number({
    unit: "ms",
    default: 10 * msOf.minute,
    min: 0,
    max: 10 * msOf.minute,
    group: "requests",
    whenReached: "`invalidArgument`",
    why: "How long a fetch may wait. The Queueber interface also waits without end.",
  }),
  leaseMsMin: number({
    unit: "ms",
    default: 100,
    min: 100,
    max: msOf.day,
    group: "requests",
    whenReached: "`invalidArgument`",
    why: "The shortest lease.",
  }),
  leaseMsMax: number({
    unit: "ms",
    default: msOf.day,
    min: ({ number }) => number("leaseMsMin"),
    max: msOf.day,
    group: "requests",
    whenReached: "`invalidArgument`",
    why: "The longest lease.",
  }),
  leaseMsDefault: number({
    unit: "ms",
    default: ({ number }) => Math.min(number("leaseMsMax"), Math.max(number("leaseMsMin"), 30 * msOf.second)),
    min: ({ number }) => number("leaseMsMin"),
    max: ({ number }) => number("leaseMsMax"),
    group: "requests",
    why: "The lease of a fetch that does not say.",
  }),
  delayMsMax: number({
    unit: "ms",
    default: 10 * msOf.year,
    min: 0,
    max: 10 * msOf.year,
    group: "requests",
    whenReached: "`invalidArgument`",
    why: "The longest delay of a job, also as an instant.",
  }),
  attemptsMax: number({
    unit: "count",
    default: 1000,
    min: 1,
    max: 1000,
    group: "requests",
    whenReached: "`invalidArgument`; unlimited is allowed",
    why: "The largest limit of attempts that a job or queue may ask for.",
  }),
  sessionKeepMsDefault: number({
    unit: "ms",
    default: 10 * msOf.minute,
    min: msOf.second,
    max: msOf.day,
    group: "requests",
    why: "Idle time after which a session that does not say ends.",
  }),
  sessionKeepMsMin: number({
    unit: "ms",
    default: msOf.second,
    min: msOf.second,
    max: ({ number }) => number("sessionKeepMsDefault"),
    group: "requests",
    whenReached: "`invalidArgument`",
    why: "The shortest idle time that a session may ask for.",
  }),
  sessionKeepMsMax: number({
    unit: "ms",
    default: msOf.day,
    min: ({ number }) => number("sessionKeepMsDefault"),
    max: msOf.day,
    group: "requests",
    whenReached: "`invalidArgument`",
    why: "The longest idle time that a session may ask for.",
  }),
  peekJobsMax: number({
    unit: "count",
    default: 1000,
    min: 1,
    max: 1000,
    group: "requests",
    whenReached: "`invalidArgument`",
    why: "Rows of one page: peek, dead jobs, queues.",
  }),
  reasonBytesMax: number({
    unit: "bytes",
    default: 8 * KiB,
    min: 0,
    max: 64 * KiB,
    group: "requests",
    whenReached: "the rest is cut off",
    why: "What is kept of the reason that a failed job is given.",
  }),

  // ---- defaults of a queue
  queueMaxAttempts: number({
    unit: "count",
    default: 10,
    min: 1,
    max: ({ number }) => number("attemptsMax"),
    special: { unlimited: attemptsUnlimited },
    group: "queues",
    why: "Deliveries after which a job is dead. The Queueber interface does not limit them.",
  }),
  queueBackoffBaseMs: number({
    unit: "ms",
    default: msOf.second,
    min: 0,
    max: msOf.day,
    group: "queues",
    why: "Delay after the first failure.",
  }),
  queueBackoffFactorPercent: number({
    unit: "percent",
    default: 200,
    min: 100,
    max: 10_000,
    group: "queues",
    why: "Growth of the delay with each further failure; 200 doubles it.",
  }),
  queueBackoffMaxMs: number({
    unit: "ms",
    default: 10 * msOf.minute,
    min: 0,
    max: 30 * msOf.day,
    group: "queues",
    why: "The longest delay after a failure.",
  }),
  queueBackoffJitterPercent: number({
    unit: "percent",
    default: 20,
    min: 0,
    max: 100,
    group: "queues",
    why: "Spread of the delay to both sides, so that what failed together does not return together.",
  }),
  queueDeadKeepMs: number({
    unit: "ms",
    default: 14 * msOf.day,
    min: msOf.minute,
    max: 10 * msOf.year,
    group: "queues",
    whenReached: "the oldest are removed, counted and logged",
    why: "How long dead jobs are kept; their number is not limited.",
  }),
  queueGroupQuantum: number({
    unit: "count",
    default: 1,
    min: 1,
    max: 10_000,
    group: "queues",
    why: "Jobs that a group gets before it is the next group's turn.",
  }),

  // ---- replicated limits
  queuesMax: number({
    unit: "count",
    default: 100_000,
    min: 1,
    max: 1_000_000,
    group: "state",
    whenReached: "`limitReached`",
    why: "Queues.",
  }),
  lanesMax: number({
    unit: "count",
    default: 2_000_000,
    min: 1,
    max: 10_000_000,
    group: "state",
    whenReached: "`limitReached`",
    why: "Lanes (queue, priority and group) that hold jobs.",
  }),
  groupsMax: number({
    unit: "count",
    default: 1_000_000,
    min: 1,
    max: 10_000_000,
    group: "state",
    whenReached: "`limitReached`",
    why: "Groups that hold jobs.",
  }),
  sessionsMax: number({
    unit: "count",
    default: 100_000,
    min: 1,
    max: 1_000_000,
    group: "state",
    whenReached: "`limitReached`",
    why: "Open sessions.",
  }),
  leasedJobsMax: number({
    unit: "count",
    default: 1_000_000,
    min: 1,
    max: 10_000_000,
    group: "state",
    whenReached: "`busy` with a retry hint",
    why: "Jobs under a lease; each takes some memory.",
  }),
  sessionResultsMax: number({
    unit: "count",
    default: 1024,
    min: 1,
    max: 1024,
    group: "state",
    whenReached: "`busy` until the client acknowledges results",
    why: "Results kept for one session.",
  }),
  sessionResultBytesMax: number({
    unit: "bytes",
    default: MiB,
    min: 4 * KiB,
    max: 16 * MiB,
    group: "state",
    whenReached: "`busy` until the client acknowledges results",
    why: "Bytes of the results kept for one session.",
  }),
  idempotencyKeepMs: number({
    unit: "ms",
    default: msOf.day,
    min: msOf.minute,
    max: 30 * msOf.day,
    group: "state",
    why: "How long the result of a request with an idempotency key is kept.",
  }),
} as const;

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
