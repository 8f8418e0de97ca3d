// Owns: the sequences of one session: which are still unanswered, and which answers the server has not been told of yet.
// What it keeps is bounded by the calls outstanding, however long one of them waits. Never sends anything. Called by the
// link when it sends a call and when a call ends.
//
//   sequences   1 2 3 … | lowest unanswered … next |
//               answered | unanswered, or answered and told, or answered and untold (`receivedAbove` of the next request)

/** The server's bound of `receivedAbove`. */
const receivedAboveMax = 1_024;
const nothing: readonly number[] = [];

export class Session {
  readonly id: bigint;
  private next = 1;
  /** In ascending order: sequences are only ever added at the end. */
  private readonly unanswered = new Set<number>();
  private untold: number[] = [];
  private readonly told = new Map<number, readonly number[]>();

  constructor(id: bigint) {
    this.id = id;
  }

  get outstanding(): number {
    return this.unanswered.size;
  }

  take(): number {
    const sequence = this.next++;
    this.unanswered.add(sequence);
    return sequence;
  }

  get lowestUnanswered(): number {
    for (const sequence of this.unanswered) return sequence;
    return this.next;
  }

  /**
   * The received sequences that request `sequence` tells the server of. Each is told once: a server that answers the
   * request knows them, and `lost` says that it did not.
   */
  tell(sequence: number): readonly number[] {
    if (this.untold.length === 0) return nothing;
    const lowest = this.lowestUnanswered;
    const above = this.untold.filter((received) => received > lowest);
    const telling = above.slice(0, receivedAboveMax).sort((a, b) => a - b);
    this.untold = above.slice(receivedAboveMax);
    if (telling.length > 0) this.told.set(sequence, telling);
    return telling;
  }

  /** The request has its answer, or its caller gave it up: its result need not be kept. */
  answered(sequence: number): void {
    if (!this.unanswered.delete(sequence)) return;
    this.told.delete(sequence);
    if (sequence > this.lowestUnanswered) this.untold.push(sequence);
  }

  /** The request may not have come to the state: what it told must be told again. */
  lost(sequence: number): void {
    const telling = this.told.get(sequence);
    if (telling === undefined) return;
    this.told.delete(sequence);
    this.untold.push(...telling);
  }
}
