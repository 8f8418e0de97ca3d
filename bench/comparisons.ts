// What `capstan bench matrix` compares: each default of the server that was chosen for speed, with its alternative. Owns
// the list; every option of RocksDB that native/storage/database.cc sets for speed has its line here, but for pipelined
// writes, which RocksDB refuses beside atomic flushes. Called by matrix.ts.

import type { QuestionId } from "./question.js";

export interface Comparison {
  readonly name: string;
  readonly bench: QuestionId;
  /** In words, for the table. */
  readonly ours: string;
  readonly alternative: string;
  /** Flags of the server that make it the alternative. */
  readonly flags: readonly string[];
}

/** RocksDB's own spelling, after `--rocksdb-options`. */
const rocksdb = (name: string, bench: QuestionId, ours: string, alternative: string, options: string): Comparison => ({
  name: `rocksdb-${name}`,
  bench,
  ours,
  alternative,
  flags: ["--rocksdb-options", options],
});

const table = (option: string) => `block_based_table_factory={${option}}`;

/** A call never waits for others: an entry of its own, as many as the server allows under way. */
const none = ["--entry-commands-max", "2", "--inflight-max", "64"];

const coalescing: readonly Comparison[] = (["e1", "u1", "l1", "p1"] as const).flatMap((bench) => [
  {
    name: `coalescing-none-${bench}`,
    bench,
    ours: "an entry gathers while the last ones are under way",
    alternative: "no gathering: two commands an entry, 64 under way",
    flags: none,
  },
  ...[1, 5].map((windowMs) => ({
    name: `coalescing-window-${windowMs}ms-${bench}`,
    bench,
    ours: "an entry gathers while the last ones are under way",
    alternative: `a fixed window of ${windowMs} ms`,
    flags: ["--flush-window-ms", String(windowMs)],
  })),
]);

const inflight: readonly Comparison[] = [1, 2, 8].map((entries) => ({
  name: `inflight-${entries}`,
  bench: "e1",
  ours: "4 entries under way",
  alternative: `${entries}`,
  flags: ["--inflight-max", String(entries)],
}));

const sync: readonly Comparison[] = (["e1", "l1", "u1", "p1"] as const).map((bench) => ({
  name: `sync-never-${bench}`,
  bench,
  ours: "`sync` always",
  alternative: "never (loses answered jobs in a power cut)",
  flags: ["--sync", "never"],
}));

const storage: readonly Comparison[] = [
  rocksdb("block-size", "l1", "blocks of 16 KiB for payloads, 4 KiB else", "4 KiB for all", table("block_size=4096")),
  rocksdb("format-version", "e1", "format_version 5", "4", table("format_version=4")),
  rocksdb(
    "index-in-cache",
    "e1",
    "index and filter blocks in the cache, pinned in level 0",
    "outside of it",
    table("cache_index_and_filter_blocks=false;pin_l0_filter_and_index_blocks_in_cache=false"),
  ),
  rocksdb(
    "pin-level-0",
    "e1",
    "index and filter blocks of level 0 pinned",
    "not pinned",
    table("pin_l0_filter_and_index_blocks_in_cache=false"),
  ),
  rocksdb("no-filter", "l1", "Bloom filters of 10 bits for point reads", "none", table("filter_policy=nullptr")),
  rocksdb("compression", "e1", "no compression", "Snappy", "compression=kSnappyCompression"),
  rocksdb("write-buffers", "e1", "4 memtables of a family", "2", "max_write_buffer_number=2"),
  rocksdb("level-bytes", "e1", "dynamic sizes of levels", "fixed ones", "level_compaction_dynamic_level_bytes=false"),
  rocksdb(
    "insert-hint",
    "e1",
    "a hint where the next key of a lane goes",
    "none",
    "memtable_insert_with_hint_prefix_extractor=nullptr",
  ),
  rocksdb("prefix", "l1", "a prefix of the lane", "none", "prefix_extractor=nullptr"),
  rocksdb("one-writer", "e1", "no concurrent memtable writes", "allowed", "allow_concurrent_memtable_write=true"),
  rocksdb("bytes-per-sync", "e1", "files written out every MiB", "left to the kernel", "bytes_per_sync=0"),
  rocksdb("open-files", "l1", "512 open files", "all of them", "max_open_files=-1"),
  rocksdb("checks", "e1", "paranoid checks", "none", "paranoid_checks=false"),
  rocksdb("log-level", "e1", "RocksDB's own log from warnings on", "from information on", "info_log_level=INFO_LEVEL"),
  {
    name: "rocksdb-background-jobs",
    bench: "e1",
    ours: "a background thread for each core",
    alternative: "8",
    flags: ["--background-jobs", "8"],
  },
  {
    name: "rocksdb-block-cache",
    bench: "l1",
    ours: "a block cache of 128 MiB",
    alternative: "8 MiB",
    flags: ["--block-cache-bytes", "8MiB"],
  },
  ...(["e1", "l1"] as const).map((bench) => ({
    name: `rocksdb-write-buffer-${bench}`,
    bench,
    ours: "128 MiB of unflushed writes",
    alternative: "32 MiB",
    flags: ["--write-buffer-bytes", "32MiB"],
  })),
];

export const comparisons: readonly Comparison[] = [...coalescing, ...inflight, ...sync, ...storage];
