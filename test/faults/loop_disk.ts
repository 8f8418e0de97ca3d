// A small ext4 file system in a file, mounted through a loop device, that a test may fill to its last block. Owns image,
// mount and directory; `close` takes all of them away, whatever happened. Needs root and loop devices. Used by the test of
// a full disk.

import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, rmSync, statfsSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** Why there can be none here; undefined: there can. As root it is never left out. */
export function whyNoLoopDisk(): string | undefined {
  return process.getuid?.() === 0 ? undefined : "mounting a file system needs root";
}

export class LoopDisk {
  readonly path: string;
  private readonly directory: string;
  private ballasts = 0;

  constructor(bytes: number) {
    this.directory = mkdtempSync(join(tmpdir(), "capstan-disk-"));
    this.path = join(this.directory, "mounted");
    try {
      this.mount(bytes);
    } catch (error) {
      this.close();
      throw error;
    }
  }

  get freeBytes(): number {
    const { bavail, bsize } = statfsSync(this.path);
    return bavail * bsize;
  }

  /** Takes space until no more than `bytes` are free. */
  fill(bytes: number): void {
    // A file system needs some blocks to note which ones a file has: so in steps.
    for (let taken = this.freeBytes - bytes; taken >= 4096; taken = this.freeBytes - bytes) {
      const file = join(this.path, `ballast-${this.ballasts++}`);
      try {
        execFileSync("fallocate", ["-l", String(taken), file], { stdio: "pipe" });
      } catch {
        // The last blocks are not to be had by one file.
        if (taken < 1 << 20) return;
        execFileSync("fallocate", ["-l", String(taken - (512 << 10)), file], { stdio: "pipe" });
      }
    }
  }

  /** Gives all of it back. */
  free(): void {
    for (let at = 0; at < this.ballasts; at++) rmSync(join(this.path, `ballast-${at}`), { force: true });
    this.ballasts = 0;
  }

  close(): void {
    if (this.isMounted()) {
      try {
        execFileSync("umount", [this.path], { stdio: "pipe" });
      } catch {
        // Something still looks at it: it goes when that ends.
        execFileSync("umount", ["-l", this.path]);
      }
    }
    rmSync(this.directory, { recursive: true, force: true });
  }

  private mount(bytes: number): void {
    const image = join(this.directory, "image");
    writeFileSync(image, "");
    truncateSync(image, bytes);
    execFileSync("mkfs.ext4", ["-q", "-F", "-m", "0", image], { stdio: "pipe" });
    mkdirSync(this.path);
    execFileSync("mount", ["-o", "loop", image, this.path], { stdio: "pipe" });
  }

  private isMounted(): boolean {
    if (!existsSync(this.path)) return false;
    try {
      execFileSync("mountpoint", ["-q", this.path]);
      return true;
    } catch {
      return false;
    }
  }
}
