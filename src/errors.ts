// Errors of the server's own edge: what a person who starts it did wrong or must repair, each with a stable code and
// the exit code of the process. Outcomes of client requests are not errors here; they are values with a code from
// schemas/errors.capnp. Called by main.ts, the configuration and the command line.

/** Exit codes of `capstan server`; documented in docs/configuration.md. */
export const exitCodes = {
  /** A graceful stop. */
  ok: 0,
  /** The engine could not start or stop for a reason that has no code of its own. */
  failed: 1,
  /** A flag, environment variable or file that cannot be used. */
  usage: 2,
  /** The data directory is locked, damaged, of another format or not accessible. */
  dataDirectory: 3,
  /** An address cannot be listened on, or is refused without --insecure. */
  address: 4,
  /** A fault of our own; the log has the details. */
  fault: 70,
} as const;

export class ServerError extends Error {
  override readonly name: string = "ServerError";
  constructor(
    readonly code: string,
    message: string,
    readonly exitCode: number,
    /** What to do about it, one sentence. */
    readonly remedy?: string,
  ) {
    super(message);
  }
}

export type ConfigErrorCode = "unknownKey" | "invalidValue" | "outOfBounds" | "unreadableFile" | "contradiction";

/** A setting that cannot be used: names the key, where it came from, and the bound. */
export class ConfigError extends ServerError {
  override readonly name = "ConfigError";
  constructor(
    code: ConfigErrorCode,
    message: string,
    readonly key: string,
    readonly source: string,
  ) {
    super(code, message, exitCodes.usage, "`capstan config` lists every setting with its unit and bounds.");
  }
}

/** An address beyond this machine although nothing protects it. */
export class InsecureAddressError extends ServerError {
  override readonly name = "InsecureAddressError";
  constructor(flag: string, address: string) {
    super(
      "insecureAddress",
      `--${flag} ${address} can be reached from other machines, and there is neither TLS nor authentication`,
      exitCodes.address,
      "Use 127.0.0.1, [::1] or unix:PATH, or give --insecure if the network itself is protected.",
    );
  }
}

/** An error of the engine as the addon throws it: `code` is a stable word. */
export interface NativeError extends Error {
  code: string;
}

export function isNativeError(error: unknown): error is NativeError {
  return error instanceof Error && typeof (error as { code?: unknown }).code === "string";
}
