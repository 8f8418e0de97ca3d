// Owns: what SIGINT and SIGTERM do while a verb runs that must end in order: the first aborts `signal`, the second exits
// at once. Never decides what ending in order means. Called by fetch, enqueue and work.

import { exitCodeOfSignal } from "./exit_codes.js";

type Stop = "SIGINT" | "SIGTERM";

export class Interrupts {
  private readonly controller = new AbortController();
  private first: Stop | undefined;
  private readonly handler = (signal: NodeJS.Signals): void => {
    const stop = signal as Stop;
    if (this.first === undefined) {
      this.first = stop;
      this.controller.abort();
    } else {
      this.again(stop);
    }
  };

  /** `again` is what the second signal does. */
  constructor(private readonly again: (signal: Stop) => void = (signal) => process.exit(exitCodeOfSignal(signal))) {
    process.on("SIGINT", this.handler);
    process.on("SIGTERM", this.handler);
  }

  get signal(): AbortSignal {
    return this.controller.signal;
  }

  /** Undefined: none came. */
  get exitCode(): number | undefined {
    return this.first === undefined ? undefined : exitCodeOfSignal(this.first);
  }

  close(): void {
    process.off("SIGINT", this.handler);
    process.off("SIGTERM", this.handler);
  }
}
