// A process that is done with its calls ends by itself, though it never closed its client; one that waits for an answer
// stays. Shown with real child processes against a server in this one.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { dirname, join } from "node:path";
import { describe, it } from "node:test";
import { fileURLToPath } from "node:url";
import * as schema from "../../src/generated/capstan.capnp.js";
import { RpcServer } from "../support/rpc_server.js";

const root = join(dirname(fileURLToPath(import.meta.url)), "..", "..", "..");

const childMsMax = 30_000;

function child(address: string, body: string) {
  const source = `
    import { CapstanClient } from "capstan/client";
    const client = new CapstanClient({ addresses: [${JSON.stringify(address)}] });
    ${body}
  `;
  return spawn(process.execPath, ["--input-type=module", "-e", source], {
    // Where the package's own name leads to what it exports, as it does for whoever installs it.
    cwd: root,
    stdio: ["ignore", "pipe", "inherit"],
    // One that does not end is killed, and its exit code tells.
    timeout: childMsMax,
  });
}

describe("a process without close()", () => {
  it("ends when its calls are answered", { timeout: 90_000 }, async () => {
    const server = await RpcServer.listen();
    try {
      const running = child(
        server.address,
        `console.log((await client.fetch("q", { waitMs: 60_000 })) === null, (await client.serverInfo()).version);`,
      );
      const exited = once(running, "exit");
      const output = running.stdout.setEncoding("utf8").toArray();
      // While it waits, it stays: the answer comes only after the fetch is seen here.
      (await server.next("fetch")).respond(schema.FetchResponse, () => {});
      assert.deepEqual(await exited, [0, null]);
      assert.equal((await output).join(""), "true test\n");
    } finally {
      await server.close();
    }
  });

  it("ends when it only connected, and when nobody listens", { timeout: 90_000 }, async () => {
    const server = await RpcServer.listen();
    try {
      assert.deepEqual(await once(child(server.address, "await client.connect();"), "exit"), [0, null]);
      const refused = `await client.connect().catch(() => {}); await client.serverInfo({ timeoutMs: 20 }).catch(() => {});`;
      assert.deepEqual(await once(child("127.0.0.1:1", refused), "exit"), [0, null]);
    } finally {
      await server.close();
    }
  });
});
