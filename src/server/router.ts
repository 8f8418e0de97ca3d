// Decides where each call of a connection goes: the apply loop, the fetches, the readers, or an answer at once. Owns
// nothing but the check of role and memory that comes before; sees records of numbers, never a request's bytes. Called
// once for each socket chunk by the connections of a worker.

import { unreachable } from "../assert.js";
import { CallClass, CallWord, callWords } from "../generated/boundary.js";
import { ErrorCode } from "../generated/error_codes.js";
import type { Native } from "../native.js";
import type { ApplyLoop, WriteSource } from "./apply_loop.js";
import type { Fetches } from "./fetches.js";
import type { MemoryBudget } from "./memory_budget.js";

/** Who a connection speaks for. Everybody may do everything until there is authentication. */
export interface Caller {
  /** `ok`, or the code that a call of `method` is refused with. */
  allows(method: number): number;
}

export const anyone: Caller = { allows: () => ErrorCode.ok };

export interface RouterOptions {
  native: Pick<Native, "answer" | "answerInfo" | "read">;
  worker: number;
  applyLoop: ApplyLoop;
  fetches: Fetches;
  budget: MemoryBudget;
  /** Shown by serverInfo. */
  version: string;
}

/** Retry hints, in milliseconds. */
const retryAfterMemoryMs = 200;
const retryAfterQueueMs = 50;
const retryAfterStopMs = 1000;

export class Router {
  private stopping = false;

  constructor(private readonly options: RouterOptions) {}

  /** Everything that comes from now on is refused with shuttingDown. */
  stop(): void {
    this.stopping = true;
  }

  /** Routes `count` records of `calls`; returns how many of them are calls that now wait for an answer. */
  route(calls: Uint32Array, count: number, caller: Caller, source: WriteSource): number {
    const { native, worker, applyLoop, fetches, budget } = this.options;
    let opened = 0;
    for (let at = 0; at < count * callWords; at += callWords) {
      const callClass = calls[at + CallWord.class] as number;
      // The addon gave an earlier call up; its `dropped` event says the rest.
      if (callClass === CallClass.canceled) continue;
      opened++;
      const handle = calls[at + CallWord.handle] as number;
      const bytes = calls[at + CallWord.bytes] as number;
      const replyBytes = calls[at + CallWord.replyBytesMax] as number;

      const refusal = this.stopping ? ErrorCode.shuttingDown : caller.allows(calls[at + CallWord.method] as number);
      if (refusal !== ErrorCode.ok) {
        budget.take(bytes + replyBytes);
        native.answer(worker, handle, refusal, this.stopping ? retryAfterStopMs : 0);
        continue;
      }
      // A fetch's reply is reserved when it is proposed; what waits holds its request alone.
      const reserved = callClass === CallClass.fetch ? bytes : bytes + replyBytes;
      if (!budget.tryTake(reserved)) {
        budget.take(bytes + replyBytes);
        native.answer(worker, handle, ErrorCode.busy, retryAfterMemoryMs);
        continue;
      }
      switch (callClass) {
        case CallClass.write:
          if (!applyLoop.addWrite(handle, bytes, calls[at + CallWord.jobs] as number, source)) {
            native.answer(worker, handle, ErrorCode.busy, retryAfterQueueMs);
          }
          break;
        case CallClass.fetch:
          fetches.add(handle, calls[at + CallWord.jobs] as number, replyBytes, calls[at + CallWord.waitMs] as number);
          break;
        case CallClass.read: {
          const refused = native.read(worker, handle);
          if (refused !== 0) native.answer(worker, handle, -refused, retryAfterQueueMs);
          break;
        }
        case CallClass.info:
          native.answerInfo(worker, handle, this.options.version);
          break;
        default:
          unreachable("a call has a class that this build does not know", { callClass });
      }
    }
    return opened;
  }
}
