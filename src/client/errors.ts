// Owns: the one class of errors that the client gives to its callers, and its stable codes. Never retries and never
// logs. Made by the decoder, the connection and the client; a caller looks at `code`, never at the message.

import { type ErrorName, errorNames, errorTexts } from "../generated/error_codes.js";
import type { ExchangeResult } from "./types.js";

/**
 * The codes of the server (schemas/errors.capnp), and three that only a client can know:
 * `connection` no server could be reached, so nothing was sent; `protocol` the server's bytes could not be understood;
 * `closed` the client was closed.
 */
export type ErrorCodeName = ErrorName | "connection" | "protocol" | "closed";

export interface ErrorDetails {
  /** When the same request may succeed; 0: no hint. */
  readonly retryAfterMs?: number;
  /** The field at fault, where there is one. */
  readonly field?: string;
  readonly cause?: unknown;
  /** The code as the server gave it: one that this client does not know reads as `unknown`. */
  readonly number?: number;
  /** A refused exchange: what each part came to. */
  readonly parts?: ExchangeResult;
}

export class CapstanError extends Error {
  readonly code: ErrorCodeName;
  readonly retryAfterMs: number;
  readonly field: string;
  /** The server's number of the code; -1 when the client made the error. */
  readonly number: number;
  readonly parts: ExchangeResult | undefined;

  constructor(code: ErrorCodeName, message: string, details: ErrorDetails = {}) {
    super(message, details.cause === undefined ? undefined : { cause: details.cause });
    this.name = "CapstanError";
    this.code = code;
    this.retryAfterMs = details.retryAfterMs ?? 0;
    this.field = details.field ?? "";
    this.number = details.number ?? -1;
    this.parts = details.parts;
  }

  /** The same request may succeed later. */
  get retryable(): boolean {
    return this.code === "connection" || (this.code in errorTexts && errorTexts[this.code as ErrorName].retryable);
  }
}

/** The name of a code of the server; one that this build does not know reads as `unknown`. */
export function errorName(code: number): ErrorName {
  return errorNames[code] ?? "unknown";
}

export function protocolFault(what: string): CapstanError {
  return new CapstanError("protocol", `the server's bytes cannot be understood: ${what}`);
}

export function invalidArgument(field: string, problem: string): CapstanError {
  return new CapstanError("invalidArgument", `${field} ${problem}`, { field });
}
