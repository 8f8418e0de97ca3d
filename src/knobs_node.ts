// Settings of the node itself: the process, its memory, log and storage. Owns no values; config.ts puts the table
// together. None of them changes what is stored.

import { type Context, choice, number, text, toggle } from "./knob.js";
import { GiB, MiB, msOf, TiB } from "./units.js";

/** Descriptors kept for RocksDB, the log, the peers and the terminal; connections get the rest. */
export const openFilesReserve = 512;

/** At most `bytesMax`, or less on a small machine: `share` of the node's memory, in whole MiB. */
const partOfMemory = (bytesMax: number, share: number) => (context: Context) =>
  Math.min(bytesMax, Math.max(4 * MiB, Math.floor((context.number("memoryBytesMax") * share) / MiB) * MiB));

export const nodeKnobs = {
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
    why: "Where Cap'n Proto RPC is served: HOST:PORT, [HOST]:PORT or unix:PATH, several with commas; port 0 picks a free one. With packed: before it, an address takes and gives the packed form.",
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
    why: "Memory of the node, but for 96 MiB (docs/architecture.md says what). Caches, half-received frames and reserved replies count; half of the cgroup or machine.",
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
    whenReached: "half of it full, the state is flushed to disk; all of it, writes wait for the flush",
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
  logCacheBytes: number({
    unit: "bytes",
    default: partOfMemory(64 * MiB, 1 / 16),
    min: 4 * MiB,
    max: ({ number }) => number("memoryBytesMax"),
    group: "memory",
    whenReached: "entries wait to be proposed, then `busy`; older ones are read from disk",
    why: "Log entries in memory: at most half of it is under way, the rest are the newest ones.",
  }),

  // ---- log and storage
  logSegmentBytes: number({
    unit: "bytes",
    default: 64 * MiB,
    min: MiB,
    // A start reads a segment as a whole.
    max: ({ number }) => Math.min(GiB, number("memoryBytesMax") / 4),
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
  rocksdbOptions: text({
    unit: "options",
    default: "",
    group: "storage",
    why: "For benchmarks only: options of RocksDB that are set otherwise, as RocksDB spells them: `name=value;name=value`.",
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
} as const;
