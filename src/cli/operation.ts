// Owns: the wait for work that the server does in steps, with its progress. Giving the wait up leaves the work going on.
// Called by the verbs that delete a queue, redrive or delete dead jobs.

import { setTimeout as pause } from "node:timers/promises";
import type { OperationState } from "../client/index.js";
import { formatCount } from "../units.js";
import type { Use } from "./connect.js";
import { exitCode } from "./exit_codes.js";
import { Progress } from "./output.js";

const pauseMsFirst = 20;
const pauseMsMax = 1_000;

export interface OperationFlags {
  /** Commander's form of `--no-wait`. */
  readonly wait: boolean;
}

/** Waits unless told not to, prints how it stands, and returns the exit code. */
export async function finishOperation(
  use: Use,
  started: OperationState,
  verb: string,
  flags: OperationFlags,
): Promise<number> {
  const progress = new Progress();
  let state = started;
  for (let pauseMs = pauseMsFirst; flags.wait && !state.finished; pauseMs = Math.min(pauseMsMax, pauseMs * 2)) {
    progress.show(`${formatCount(state.done)} jobs ${verb}`);
    await pause(pauseMs);
    state = await use.client.getOperation(started.operation);
  }
  progress.clear();
  if (use.output.isTable) {
    const end = state.finished ? "" : `; operation ${started.operation} goes on`;
    use.output.line(`${formatCount(state.done)} jobs ${verb}${end}`);
  } else {
    use.output.json({ operation: String(started.operation), done: state.done, finished: state.finished });
  }
  return exitCode.ok;
}
