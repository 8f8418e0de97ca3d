// One server of a small memory budget under attack, and a client that must be served all the while. Owns both, and the
// bound on the server's memory. Called by the tests of hostile bytes and of crowds.

import assert from "node:assert/strict";
import { MiB } from "../../src/units.js";
import { memoryOf } from "../support/process_memory.js";
import { ServerProcess } from "../support/server_process.js";
import { SteadyClient, type SteadyFigures } from "./steady_client.js";

export interface Beside {
  readonly server: ServerProcess;
  readonly address: string;
  readonly steady: SteadyClient;
}

export interface BesideFigures extends SteadyFigures {
  readonly peakMiB: number;
  /** Above what the server had before. */
  readonly grownMiB: number;
}

/** The budget, and what Node, code, stacks and the allocator need beside it. */
const memoryBytesMax = 256 * MiB;
const outsideBytes = 192 * MiB;

/** Runs `attack` beside a client that behaves; afterwards the server must still serve and stop in order. */
export async function beside(
  flags: readonly string[],
  attack: (beside: Beside) => Promise<void>,
): Promise<BesideFigures> {
  const server = new ServerProcess({ flags: ["--memory-bytes-max", String(memoryBytesMax), ...flags] });
  let steady: SteadyClient | undefined;
  try {
    const address = await server.ready();
    steady = new SteadyClient(address);
    await steady.more(50);
    const before = memoryOf(server.pid).residentBytes;
    await attack({ server, address, steady });
    await steady.more(50);
    const figures = await steady.stop();
    const { peakBytes } = memoryOf(server.pid);
    assert.ok(peakBytes <= memoryBytesMax + outsideBytes, `a peak of ${Math.round(peakBytes / MiB)} MiB`);
    await server.stop();
    return {
      ...figures,
      peakMiB: Math.round(peakBytes / MiB),
      grownMiB: Math.round((peakBytes - before) / MiB),
    };
  } finally {
    steady?.kill();
    await server.dispose();
  }
}
