// The npm package `rocksdb` as a target of the baseline: a synced batch of Puts for each batch of jobs. Owns its database.
// The package lies in bench/baseline, with a lock file of its own, since nothing else needs it. Called by
// baseline_side.ts.

import { createRequire } from "node:module";
import { promisify } from "node:util";
import { baselineSettings, rocksdbPackage } from "./baseline.js";
import type { Target } from "./baseline_side.js";
import { incompressible } from "./payloads.js";

interface Put {
  readonly type: "put";
  readonly key: Buffer;
  readonly value: Buffer;
}

type Done = (error?: Error | null) => void;

/** The part of the package that is used; it has no types of its own. */
interface Leveldown {
  open(options: object, done: Done): void;
  batch(puts: readonly Put[], options: { sync: boolean }, done: Done): void;
  iterator(options: object): { next(done: (error: Error | null, key?: Buffer) => void): void; end(done: Done): void };
  close(done: Done): void;
}

export class RocksdbTarget implements Target {
  private next = 0;
  private readonly payloads: readonly (readonly Buffer[])[];

  private constructor(private readonly database: Leveldown) {
    const { writers, batchJobs, payloadBytes } = baselineSettings;
    this.payloads = Array.from({ length: writers }, () => incompressible(batchJobs, payloadBytes));
  }

  static async open(directory: string): Promise<RocksdbTarget> {
    const rocksdb = createRequire(rocksdbPackage)("rocksdb") as (directory: string) => Leveldown;
    const database = rocksdb(directory);
    // As the addon: nothing is compressed, and as much may be unflushed.
    const options = { compression: false, writeBufferSize: 128 << 20 };
    await promisify((done: Done) => database.open(options, done))();
    return new RocksdbTarget(database);
  }

  write(writer: number): Promise<void> {
    const puts = (this.payloads[writer] ?? []).map((value): Put => {
      const key = Buffer.alloc(baselineSettings.keyBytes);
      key.writeBigUInt64BE(BigInt(this.next++), baselineSettings.keyBytes - 8);
      return { type: "put", key, value };
    });
    return promisify((done: Done) => this.database.batch(puts, { sync: true }, done))();
  }

  async count(): Promise<number> {
    const iterator = this.database.iterator({ values: false, keyAsBuffer: true });
    const next = promisify(iterator.next.bind(iterator)) as () => Promise<Buffer | undefined>;
    let found = 0;
    while ((await next()) !== undefined) found++;
    await promisify((done: Done) => iterator.end(done))();
    return found;
  }

  close(): Promise<void> {
    return promisify((done: Done) => this.database.close(done))();
  }
}
