// Owns: the frame of every verb that talks to a server: the shared flags, a client that is connected at once or not at
// all, the output, and the end of both. Never prints an error: main.ts says what went wrong. Called by the verbs.

import type { Command } from "commander";
import { CapstanClient, CapstanError } from "../client/index.js";
import { clientFlags } from "./options.js";
import { Output } from "./output.js";

/** How a verb tells the exit code of the process. */
export type Exit = (code: number) => void;

export interface Use {
  readonly client: CapstanClient;
  readonly output: Output;
  readonly timeoutMs: number;
}

export interface UseOptions {
  /** Writes are retried safely; costs a request at each end. Default false. */
  readonly session?: boolean;
  readonly name?: string;
}

const connectTimeoutMsMax = 5_000;

export async function withClient(
  command: Command,
  exit: Exit,
  run: (use: Use) => Promise<number>,
  options: UseOptions = {},
): Promise<void> {
  const flags = clientFlags(command);
  const output = new Output(flags.output);
  const client = new CapstanClient({
    addresses: flags.addresses,
    connectTimeoutMs: Math.min(connectTimeoutMsMax, flags.timeoutMs),
    requestTimeoutMs: flags.timeoutMs,
    session: options.session ?? false,
    name: options.name ?? "capstan command line",
  });
  try {
    // Each address once: a person waits for an answer, not for a server to come.
    await client.connect().catch((error: unknown) => {
      throw named(error, flags.addresses);
    });
    exit(await run({ client, output, timeoutMs: flags.timeoutMs }));
    await output.flush();
  } finally {
    await client.close();
  }
}

/** The client tells of the last address; a person wants to know all that were tried. */
function named(error: unknown, addresses: readonly string[]): unknown {
  if (!(error instanceof CapstanError) || error.code !== "connection" || addresses.length < 2) return error;
  const message = `none of ${addresses.join(", ")} can be reached; the last: ${error.message}`;
  return new CapstanError("connection", message, { cause: error });
}
