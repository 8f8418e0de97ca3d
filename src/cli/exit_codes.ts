// Owns: the exit codes of the command line and which outcome ends with which; documented in docs/cli.md. `capstan server`
// has its own, in src/errors.ts. Never ends the process itself. Called by main.ts and by the verbs.

import type { CapstanError, Refusal } from "../client/index.js";

export const exitCode = {
  ok: 0,
  /** The server refused, or a part of what was asked for was not done. */
  failed: 1,
  /** A flag, an argument or a field that cannot be used; nothing was done. */
  usage: 2,
  /** Nothing was fetched, or there is no such queue, job or operation. */
  nothing: 3,
  /** The lease is over: the job may be with another worker. */
  leaseLost: 4,
  /** No server could be reached, or it did not answer in time. */
  unreachable: 5,
  /** A limit is reached for now; the same command may succeed later. */
  busy: 6,
  /** The answer was lost: the command may or may not have been carried out. */
  unknown: 7,
  /** A fault of our own. */
  fault: 70,
} as const;

const byCode: Readonly<Record<string, number>> = {
  invalidArgument: exitCode.usage,
  notFound: exitCode.nothing,
  leaseLost: exitCode.leaseLost,
  connection: exitCode.unreachable,
  shuttingDown: exitCode.unreachable,
  notLeader: exitCode.unreachable,
  deadlineExceeded: exitCode.unreachable,
  busy: exitCode.busy,
  diskFull: exitCode.busy,
  queueDeleting: exitCode.busy,
  unknown: exitCode.unknown,
};

export function exitCodeOf(error: Pick<CapstanError, "code">): number {
  return byCode[error.code] ?? exitCode.failed;
}

/** A lost lease outweighs other refusals. */
export function exitCodeOfRefusals(refused: readonly Refusal[]): number {
  if (refused.length === 0) return exitCode.ok;
  const codes = refused.map((one) => byCode[one.code] ?? exitCode.failed);
  if (codes.includes(exitCode.leaseLost)) return exitCode.leaseLost;
  return codes[0] ?? exitCode.failed;
}

/** 128 and the number of the signal, as shells have it. */
export function exitCodeOfSignal(signal: "SIGINT" | "SIGTERM"): number {
  return signal === "SIGINT" ? 130 : 143;
}

/** What ends a verb with a message and an exit code of its choice. */
export class Failure extends Error {
  override readonly name = "Failure";
  constructor(
    message: string,
    readonly exitCode: number,
  ) {
    super(message);
  }
}

export function usage(message: string): Failure {
  return new Failure(message, exitCode.usage);
}
