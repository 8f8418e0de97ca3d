// The machine that a result belongs to: processor, cores, memory, kernel, and the file system under the data. Reads /proc
// and asks the system once; owns nothing. Called by run.ts.

import { readFileSync, realpathSync } from "node:fs";
import { availableParallelism, cpus, release, totalmem } from "node:os";

export interface MachineFacts {
  readonly processor: string;
  readonly cores: number;
  readonly memoryBytes: number;
  readonly kernel: string;
  readonly node: string;
  /** Of the directory that holds the data: "ext4", "tmpfs"; empty when it is not known. */
  readonly fileSystem: string;
}

export function machineFacts(directory: string): MachineFacts {
  return {
    processor: cpus()[0]?.model.trim() ?? "",
    cores: availableParallelism(),
    memoryBytes: totalmem(),
    kernel: release(),
    node: process.version,
    fileSystem: fileSystemOf(directory),
  };
}

/** Why a result on such a file system says little about durable work; undefined when it says what it should. */
export function fileSystemWarning(kind: string): string | undefined {
  if (kind === "tmpfs" || kind === "ramfs") return `${kind} keeps nothing: fsync costs nothing there`;
  if (kind === "overlay") return "overlay adds a layer to every write; give --dir on the disk itself";
  if (/^(nfs|cifs|smb|fuse|9p)/.test(kind)) return `${kind} is a network or user-space file system`;
  return undefined;
}

function fileSystemOf(directory: string): string {
  try {
    const path = realpathSync(directory);
    let best = { point: "", kind: "" };
    for (const line of readFileSync("/proc/self/mounts", "utf8").split("\n")) {
      const [, point = "", kind = ""] = line.split(" ");
      const isAbove = path === point || path.startsWith(point.endsWith("/") ? point : `${point}/`);
      // Of several mounts on one point the last one is seen.
      if (point !== "" && isAbove && point.length >= best.point.length) best = { point, kind };
    }
    return best.kind;
  } catch {
    return "";
  }
}
