// What the machine allows: memory limits of cgroup
// v1 and v2, nested and in containers.

import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterEach, beforeEach, describe, it } from "node:test";
import { cgroupMemoryBytes } from "../../src/machine.js";

let root: string;

function put(path: string, text: string): void {
  mkdirSync(dirname(join(root, path)), { recursive: true });
  writeFileSync(join(root, path), text);
}

describe("the memory limit", () => {
  beforeEach(() => {
    root = mkdtempSync(join(tmpdir(), "capstan-machine-"));
  });
  afterEach(() => rmSync(root, { recursive: true, force: true }));

  it("is the tightest of the cgroups above a process (v2)", () => {
    put("proc/self/cgroup", "0::/system.slice/capstan.service\n");
    put("sys/fs/cgroup/system.slice/capstan.service/memory.max", "max\n");
    put("sys/fs/cgroup/system.slice/memory.max", "1073741824\n");
    put("sys/fs/cgroup/memory.max", "2147483648\n");
    assert.equal(cgroupMemoryBytes(root), 1_073_741_824);
  });

  it("is found in a container, where the path is the host's (v2)", () => {
    put("proc/self/cgroup", "0::/../../pod1/box\n");
    put("sys/fs/cgroup/memory.max", "536870912\n");
    assert.equal(cgroupMemoryBytes(root), 536_870_912);
  });

  it("is read from the memory controller (v1), where a huge number means none", () => {
    put("proc/self/cgroup", "12:cpu,cpuacct:/a\n5:memory:/docker/x\n");
    put("sys/fs/cgroup/memory/docker/x/memory.limit_in_bytes", "268435456\n");
    put("sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n");
    assert.equal(cgroupMemoryBytes(root), 268_435_456);
    put("sys/fs/cgroup/memory/docker/x/memory.limit_in_bytes", "9223372036854771712\n");
    assert.equal(cgroupMemoryBytes(root), undefined);
  });

  it("is absent without cgroups", () => {
    assert.equal(cgroupMemoryBytes(root), undefined);
  });
});
