// Puts many jobs into a queue before something else is measured: large calls, a few under way at a time. Owns its
// connections while it runs. It is no measurement, though its rate is told. Called by backlog.ts, restart.ts and long.ts.

import { enqueueFrame, writeGroup } from "./frames.js";
import { Histogram } from "./histogram.js";
import { LoadConnection } from "./load_connection.js";
import { incompressible } from "./payloads.js";

export interface FillOptions {
  readonly address: string;
  readonly queue: string;
  readonly jobs: number;
  readonly payloadBytes: number;
  /** Jobs go to that many groups in turn; without, to none. */
  readonly groups?: number | undefined;
  readonly progress: (line: string) => void;
  readonly signal?: AbortSignal | undefined;
}

export interface Filled {
  readonly seconds: number;
  readonly calls: Histogram;
}

export const fillConnections = 4;
export const fillBatchJobs = 1000;
const progressMs = 1000;

/** Resolves when every job was acknowledged. The stamp in the first bytes of their payloads is 0. */
export async function fill(options: FillOptions): Promise<Filled> {
  const { jobs, progress, signal } = options;
  const startMs = performance.now();
  const calls = new Histogram();
  const state = { taken: 0, done: 0 };
  const timer = setInterval(() => {
    const rate = state.done / ((performance.now() - startMs) / 1000);
    progress(`filling: ${state.done} of ${jobs} jobs, ${Math.round(rate)} jobs/s`);
  }, progressMs);
  const connections: LoadConnection[] = [];
  try {
    for (let number = 0; number < fillConnections; number++)
      connections.push(await LoadConnection.open(options.address));
    await Promise.all(connections.map((connection) => fillOver(connection, options, state, calls)));
    signal?.throwIfAborted();
    return { seconds: (performance.now() - startMs) / 1000, calls };
  } finally {
    clearInterval(timer);
    for (const connection of connections) connection.close();
  }
}

async function fillOver(
  connection: LoadConnection,
  options: FillOptions,
  state: { taken: number; done: number },
  calls: Histogram,
): Promise<void> {
  const { jobs, queue, payloadBytes, groups, signal } = options;
  const payloads = incompressible(fillBatchJobs, payloadBytes);
  for (const payload of payloads) payload.fill(0, 0, 8);
  const prepare = (count: number) => {
    let answered = () => {};
    let groupsAt: readonly number[] = [];
    const call = connection.prepare(
      (target) => {
        const made = enqueueFrame(target, queue, payloads.slice(0, count), groups !== undefined);
        groupsAt = made.groupsAt;
        return made.frame;
      },
      () => answered(),
    );
    return (from: number): Promise<void> => {
      groupsAt.forEach((at, index) => {
        writeGroup(call.frame, at, (from + index) % (groups ?? 1));
      });
      const answer = new Promise<void>((resolve) => {
        answered = () => {
          calls.record(performance.now() - call.sentMs);
          resolve();
        };
      });
      connection.send(call);
      return Promise.race([answer, connection.failed]);
    };
  };
  const whole = prepare(fillBatchJobs);
  while (state.taken < jobs && signal?.aborted !== true) {
    const from = state.taken;
    const count = Math.min(fillBatchJobs, jobs - from);
    state.taken += count;
    await (count === fillBatchJobs ? whole : prepare(count))(from);
    state.done += count;
  }
}
