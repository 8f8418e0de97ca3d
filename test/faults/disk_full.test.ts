// A disk that fills: enqueue is refused by name while all else goes on, space that comes back is enough, and a disk without
// a block ends the server without losing what it answered. Owns a loop-mounted disk for each test. As root it is never
// left out.

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { fillToTheLastBlock, fillToTheReserve } from "./disk.js";
import { LoopDisk, whyNoLoopDisk } from "./loop_disk.js";

const diskBytes = 256 << 20;

async function onDisk<T>(use: (disk: LoopDisk) => Promise<T>): Promise<T> {
  const disk = new LoopDisk(diskBytes);
  try {
    return await use(disk);
  } finally {
    disk.close();
  }
}

describe("a disk that fills", { skip: whyNoLoopDisk() ?? false }, () => {
  it("at the reserve refuses enqueue as diskFull, settles and reads on, and recovers by itself", async (context) => {
    const figures = await onDisk(fillToTheReserve);
    assert.equal(figures.settledWhileFull, 1000);
    context.diagnostic(JSON.stringify(figures));
  });

  it("without a block left ends the server, which lost nothing it had answered", async (context) => {
    context.diagnostic(JSON.stringify(await onDisk(fillToTheLastBlock)));
  });
});
