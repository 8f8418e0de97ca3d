// Owns: the verb `capstan version`: this program's version, and with --server that of the server and how it stands. Never
// talks to a server unless asked to. Called by the command line's main.

import { readFileSync } from "node:fs";
import { Command } from "commander";
import { type Exit, withClient } from "./connect.js";
import { clientFlags, withClientFlags } from "./options.js";
import { Output } from "./output.js";
import { serverJson } from "./shapes.js";

export function packageVersion(): string {
  // From dist/src/cli.
  const text = readFileSync(new URL("../../../package.json", import.meta.url), "utf8");
  return String((JSON.parse(text) as { version: unknown }).version);
}

export function versionCommand(exit: Exit): Command {
  return withClientFlags(new Command("version"))
    .description("print the version of this program, or of a server")
    .option("--server", "ask the server: its version, cluster, node, and how far its state is")
    .addHelpText("after", help)
    .action(async (options: { server?: boolean }, command: Command) => {
      if (options.server === true) {
        await withClient(command, exit, async ({ client, output }) => {
          const fields = serverJson(await client.serverInfo());
          if (output.isTable) {
            output.record(Object.fromEntries(Object.entries(fields).map(([name, value]) => [name, String(value)])));
          } else output.json(fields);
          return 0;
        });
        return;
      }
      const output = new Output(clientFlags(command).output);
      const fields = { version: packageVersion(), node: process.version };
      if (output.isTable) output.line(`capstan ${fields.version} (Node ${fields.node})`);
      else output.json(fields);
      await output.flush();
    });
}

const help = `
Examples:
  capstan version
  capstan version --server -o json`;
