// What the engine's refusals to start mean for the person at the terminal: one sentence on what to do, and an exit code.
// Owns the table; the message itself, with file and offset, is the engine's. Called by main.ts.

import type { Config } from "../config.js";
import { exitCodes, type NativeError, ServerError } from "../errors.js";

interface Advice {
  exitCode: number;
  remedy: (config: Config) => string;
}

const { dataDirectory, address } = exitCodes;

const advices: Readonly<Record<string, Advice>> = {
  directoryLocked: {
    exitCode: dataDirectory,
    remedy: (config) => `Another server uses ${config.dataDir}: stop it, or give this one a --data-dir of its own.`,
  },
  formatNewer: {
    exitCode: dataDirectory,
    remedy: () => "A newer version wrote this directory: run that version or a later one.",
  },
  formatOlder: {
    exitCode: dataDirectory,
    remedy: () => "An older version wrote this directory: run the version in between, which migrates it.",
  },
  damaged: {
    exitCode: dataDirectory,
    remedy: () => "Do not start it again on these files: restore a backup, or ask with the message above.",
  },
  permission: {
    exitCode: dataDirectory,
    remedy: (config) => `Give the user of this process ${config.dataDir}, or choose another with --data-dir.`,
  },
  notDirectory: {
    exitCode: dataDirectory,
    remedy: () => "Choose a directory with --data-dir.",
  },
  diskFull: {
    exitCode: dataDirectory,
    remedy: (config) => `Free space on the file system of ${config.dataDir}.`,
  },
  addressInUse: {
    exitCode: address,
    remedy: () => "Another process listens there: stop it, or choose another --rpc-listen (port 0 picks a free one).",
  },
  addressInvalid: {
    exitCode: address,
    remedy: () => "Choose an address of this machine with --rpc-listen.",
  },
  addressForbidden: {
    exitCode: address,
    remedy: () => "Choose a port above 1023, or give the process CAP_NET_BIND_SERVICE.",
  },
};

export function engineError(error: NativeError, config: Config, listenAddress?: string): ServerError {
  const advice = advices[error.code];
  const exitCode = advice?.exitCode ?? (listenAddress === undefined ? exitCodes.failed : address);
  return new ServerError(error.code, error.message, exitCode, advice?.remedy(config));
}
