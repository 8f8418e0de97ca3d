// Latencies in buckets that are 1/64 wide of what they hold, so that percentiles are right within 1.6 % and a long run
// costs no memory. Owns the counts. Called by load_thread.ts, which fills one, and run.ts, which merges them.

const SUB_BUCKETS = 64;
const SUB_BITS = 6;
const BUCKETS = (32 - SUB_BITS + 1) * SUB_BUCKETS;

export class Histogram {
  readonly counts = new Uint32Array(BUCKETS);

  /** Up to 71 minutes; more counts as that. */
  record(ms: number): void {
    const bucket = bucketOf(Math.min(0xffff_ffff, Math.max(0, Math.round(ms * 1000))));
    this.counts[bucket] = (this.counts[bucket] ?? 0) + 1;
  }

  merge(counts: Uint32Array): void {
    counts.forEach((count, bucket) => {
      this.counts[bucket] = (this.counts[bucket] ?? 0) + count;
    });
  }

  get count(): number {
    return this.counts.reduce((sum, count) => sum + count, 0);
  }

  /** The value in milliseconds that `share` of all are at or below, rounded up to its bucket; 0 when there are none. */
  percentile(share: number): number {
    const wanted = Math.max(1, Math.ceil(share * this.count));
    let seen = 0;
    for (let bucket = 0; bucket < this.counts.length; bucket++) {
      seen += this.counts[bucket] ?? 0;
      if (seen >= wanted) return upperMicroseconds(bucket) / 1000;
    }
    return 0;
  }
}

function bucketOf(microseconds: number): number {
  if (microseconds < SUB_BUCKETS) return microseconds;
  const shift = 31 - Math.clz32(microseconds) - SUB_BITS;
  return shift * SUB_BUCKETS + (microseconds >>> shift);
}

function upperMicroseconds(bucket: number): number {
  const shift = Math.max(0, Math.floor(bucket / SUB_BUCKETS) - 1);
  return (bucket - shift * SUB_BUCKETS + 1) * 2 ** shift - 1;
}
