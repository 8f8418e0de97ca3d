// A client made of the stock Cap'n Proto RPC library (test/native) through both interfaces of a real server: delays,
// leases and their exact end, wrong leases, extension, long polls, crowds, sessions, exchanges, refusals. Each scenario
// has a server and a data directory of its own; those of crowds run again over three workers, some over a Unix socket,
// and most in the packed form.

import assert from "node:assert/strict";
import { execFile, execFileSync } from "node:child_process";
import { mkdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { after, describe, test } from "node:test";
import { promisify } from "node:util";
import { root, ServerProcess, temporaryDirectory } from "../support/server_process.js";

const client = join(root, "build", "Release", "stock_client");
const scenarioMsMax = 60_000;
const scenarios = execFileSync(client, ["--list"], { encoding: "utf8" }).trim().split("\n");

async function runScenarios(address: string, ...names: string[]): Promise<void> {
  const run = promisify(execFile)(client, [address, ...names], { timeout: scenarioMsMax, encoding: "utf8" });
  const { stdout } = await run.catch((error: { stdout?: string; stderr?: string; message: string }) =>
    assert.fail(`${error.message}\n${error.stdout ?? ""}${error.stderr ?? ""}`),
  );
  const wanted = names.length === 0 ? scenarios.length : names.length;
  assert.match(stdout, new RegExp(`^${wanted} passed, 0 failed$`, "m"));
}

async function withServer(flags: readonly string[], use: (address: string) => Promise<void>): Promise<void> {
  const server = new ServerProcess({ flags });
  try {
    await use(await server.ready());
    assert.ok(!server.hasExited, `the server ended by itself:\n${server.stderr}`);
    await server.stop();
  } finally {
    await server.dispose();
  }
}

describe("a stock client", () => {
  assert.ok(scenarios.length >= 30, "the client lists its scenarios");
  for (const name of scenarios) {
    test(name, () => withServer(["--workers", "1"], (address) => runScenarios(address, name)));
  }
});

describe("a stock client over three workers", () => {
  const crowds = scenarios.filter((name) => /Parked|sixtyFour|coalesced|canceled|closed|addPollRemove/i.test(name));
  for (const name of crowds) {
    test(name, () => withServer(["--workers", "3"], (address) => runScenarios(address, name)));
  }
});

describe("a stock client over a Unix socket", () => {
  const directory = temporaryDirectory();
  after(() => rmSync(directory, { recursive: true, force: true }));
  test("addPollRemove", async () => {
    mkdirSync(directory, { recursive: true });
    const path = join(directory, "rpc.sock");
    await withServer(["--rpc-listen", `unix:${path}`], (address) => {
      assert.equal(address, `unix:${path}`);
      return runScenarios(address, "addPollRemove", "enqueueFetchAck");
    });
  });
});

describe("a stock client in the packed form", () => {
  // Those that end their connection in the midst of something would end the bridge's, a moment later.
  const steady = scenarios.filter((name) => !/closed|canceled|disconnect|sixtyFour/i.test(name));
  assert.ok(steady.length >= 20, "most scenarios are run");
  for (const name of steady) {
    test(name, () =>
      withServer(["--workers", "1", "--rpc-listen", "packed:127.0.0.1:0"], (address) => {
        assert.match(address, /^packed:127\.0\.0\.1:\d+$/);
        return runScenarios(address, name);
      }),
    );
  }
});
