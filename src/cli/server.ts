// Owns: the verb `capstan server`: its flags. The server itself is src/main.ts, which is loaded here and only here, since
// it brings the addon with it. Called by the command line's main.

import { Command } from "commander";
import type { Exit } from "./connect.js";
import { serverFlags, withServerFlags } from "./server_flags.js";

export function serverCommand(exit: Exit): Command {
  return withServerFlags(new Command("server"))
    .description("run a server until SIGTERM or SIGINT")
    .addHelpText("after", help)
    .action(async (_options: unknown, command: Command) => {
      const { runServer } = await import("../main.js");
      exit(await runServer({ flags: serverFlags(command) }));
    });
}

const help = `
A flag goes before an environment variable (--lease-ms-default is CAPSTAN_LEASE_MS_DEFAULT), that before the file, that
before the default. \`capstan config\` prints what is in effect.

Examples:
  capstan server
  capstan server --data-dir /var/lib/capstan --rpc-listen 127.0.0.1:9090 --workers 2
  capstan server --config /etc/capstan.toml --rpc-listen unix:/run/capstan/rpc.sock

Exit codes: 0 stopped in order, 1 could not start or stop in time, 2 usage, 3 data directory, 4 address, 70 a fault,
130 and 143 a second SIGINT or SIGTERM.`;
