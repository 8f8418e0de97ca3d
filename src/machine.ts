// What this process may use of the machine: cores, memory (cgroup v1 or v2, else all) and open files. Reads /proc and
// /sys once at start; owns nothing. Called by the configuration; tests give a root directory of their own.

import { readFileSync } from "node:fs";
import { availableParallelism, totalmem } from "node:os";
import { join } from "node:path";
import type { Machine } from "./config.js";

/** cgroup v1 writes a huge number for "no limit". */
const unlimitedBytes = 2 ** 60;

export function probeMachine(root = "/"): Machine {
  return {
    cores: availableParallelism(),
    memoryBytes: Math.min(totalmem(), cgroupMemoryBytes(root) ?? Number.POSITIVE_INFINITY),
    openFilesMax: openFilesMax(root) ?? 1024,
  };
}

/** The tightest limit of this process's cgroup and those above it; undefined when there is none. */
export function cgroupMemoryBytes(root: string): number | undefined {
  const membership = readText(join(root, "proc/self/cgroup"));
  if (membership === undefined) return undefined;
  let tightest: number | undefined;
  for (const line of membership.split("\n")) {
    const [, controllers, ...rest] = line.split(":");
    if (controllers === undefined) continue;
    const path = rest.join(":");
    const limits =
      controllers === ""
        ? limitsUpward(join(root, "sys/fs/cgroup"), path, "memory.max")
        : controllers.split(",").includes("memory")
          ? limitsUpward(join(root, "sys/fs/cgroup/memory"), path, "memory.limit_in_bytes")
          : [];
    for (const limit of limits) tightest = Math.min(tightest ?? limit, limit);
  }
  return tightest;
}

function limitsUpward(mount: string, path: string, file: string): number[] {
  const limits: number[] = [];
  const parts = path.split("/").filter((part) => part !== "" && part !== "..");
  // In a container the path is often that of the host, and the mount already shows our own group: start there too.
  for (let depth = parts.length; depth >= 0; depth--) {
    const text = readText(join(mount, ...parts.slice(0, depth), file))?.trim();
    if (text === undefined || !/^\d+$/.test(text)) continue;
    const bytes = Number(text);
    if (bytes < unlimitedBytes) limits.push(bytes);
  }
  return limits;
}

function openFilesMax(root: string): number | undefined {
  const match = /^Max open files\s+(\d+|unlimited)/m.exec(readText(join(root, "proc/self/limits")) ?? "");
  if (match === null) return undefined;
  return match[1] === "unlimited" ? 1_000_000 : Number(match[1]);
}

function readText(path: string): string | undefined {
  try {
    return readFileSync(path, "utf8");
  } catch {
    // Absent where there is no such cgroup version: the caller looks elsewhere.
    return undefined;
  }
}
