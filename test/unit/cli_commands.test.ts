// The command line as a process, as far as it needs no server: help, suggestions, exit codes, settings, completion, and a
// reader that goes away. Failure first.

import assert from "node:assert/strict";
import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { type AddressInfo, createServer } from "node:net";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { describe, it } from "node:test";
import type { Command } from "commander";
import { exitCode, exitCodeOf, exitCodeOfRefusals } from "../../src/cli/exit_codes.js";
import { capstanProgram } from "../../src/cli/main.js";
import { type CliOptions, CliProcess, jsonLines, runCli } from "../support/cli_process.js";

const run = (args: readonly string[], options: CliOptions = {}) => runCli(args, { built: false, ...options });
const id = "ab".repeat(16);

describe("a command that cannot be understood", () => {
  const refused: readonly (readonly [readonly string[], RegExp])[] = [
    [[], /Usage: capstan/],
    [["enqeue", "q", "x"], /unknown command 'enqeue'\n\(Did you mean enqueue\?\)/],
    [["queue", "shwo", "q"], /Did you mean show\?/],
    [["queues", "--prefx", "a"], /unknown option '--prefx'\n\(Did you mean --prefix\?\)/],
    [["server", "--workres", "1"], /Did you mean --workers\?/],
    [["queues", "more"], /too many arguments/],
    [["queues", "-o", "xml"], /Allowed choices are json, table/],
    [["queues", "--addr", "nowhere"], /"nowhere" is not HOST:PORT/],
    [["enqueue", "q"], /give a payload, - for one a line/],
    [["enqueue", "q", "x", "--delay", "30"], /duration with its unit/],
    [["enqueue", "q", "x", "--delay", "1s", "--run-at", "2027-01-31T08:00:00Z"], /exclude each other/],
    [["enqueue", "q", "x", "--null"], /--null is for payloads from standard input/],
    [["ack", "12"], /32 hex digits/],
    [["ack", id], /give the ids of the jobs, or --all/],
    [["ack", id, id, "--all"], /not both/],
    [["fail", id, id, "--dead", "--retry-in", "1s"], /exclude each other/],
    [["exchange"], /the exchange is no JSON/],
    [["dead", "redrive", "q"], /give the ids of dead jobs, or --all/],
    [["job", "delete", id], /no terminal to ask on: give --yes/],
    [["queue", "delete", "q"], /give --yes/],
    [["dead", "delete", "q", "--all"], /give --yes/],
    [["queue", "set", "q", "--jitter", "101"], /whole number from 0 to 100\./],
    [["bench", "e1", "--dir", "/nonexistent/x"], /There is no such directory: mkdir -p \/nonexistent\/x/],
    [["work", "q"], /missing required argument 'command'/],
    [["config", "--workers", "0"], /workers = 0 is below its bound: at least 1/],
  ];
  for (const [args, pattern] of refused) {
    it(`capstan ${args.join(" ")}`, async () => {
      const { code, stdout, stderr } = await run(args);
      assert.match(stderr, pattern);
      assert.equal(code, exitCode.usage, stderr);
      assert.equal(stdout, "");
    });
  }

  it("names the variable at fault", async () => {
    const { code, stderr } = await run(["queues"], { environment: { CAPSTAN_ADDR: "nowhere" } });
    assert.equal(code, exitCode.usage);
    assert.match(stderr, /CAPSTAN_ADDR: "nowhere"/);
  });
});

describe("a command that finds no server", () => {
  it("says so at once, with every address", async () => {
    // A port that was free a moment ago.
    const server = createServer().listen(0, "127.0.0.1");
    await once(server, "listening");
    const { port } = server.address() as AddressInfo;
    server.close();
    await once(server, "close");
    const address = `127.0.0.1:${port}`;
    const { code, stdout, stderr } = await run(["queues", "--addr", address, "--addr", "unix:/nonexistent/socket"]);
    assert.equal(code, exitCode.unreachable, stderr);
    assert.match(stderr, /^capstan: connection: /);
    assert.ok(stderr.includes(address), stderr);
    assert.equal(stdout, "");
  });

  it("does not wait longer than --timeout for one that says nothing", async () => {
    const server = createServer((socket) => socket.on("error", () => {}).resume()).listen(0, "127.0.0.1");
    await once(server, "listening");
    const { port } = server.address() as AddressInfo;
    const startMs = performance.now();
    const { code } = await run(["queues", "--addr", `127.0.0.1:${port}`, "--timeout", "200ms"]);
    assert.equal(code, exitCode.unreachable);
    assert.ok(performance.now() - startMs < 10_000);
    server.close();
  });

  it("does not even look for one when the command of `work` cannot be run", async () => {
    const { code, stderr } = await run(["work", "q", "--", "./no-such-command"]);
    assert.equal(code, exitCode.failed);
    assert.match(stderr, /there is no file \.\/no-such-command/);
    const file = join(mkdtempSync(join(tmpdir(), "capstan-test-")), "plain");
    writeFileSync(file, "", { mode: 0o644 });
    const plain = await run(["work", "q", "--", file]);
    assert.match(plain.stderr, /plain is not executable/);
    assert.equal(plain.code, exitCode.failed);
    rmSync(dirname(file), { recursive: true });
  });
});

describe("a payload from a file without an end", () => {
  it("is read no further than the largest payload", async () => {
    const { code, stderr } = await run(["enqueue", "q", "--file", "/dev/zero"]);
    assert.equal(code, exitCode.failed);
    assert.match(stderr, /cannot take \/dev\/zero: it is larger than 16 MiB/);
  });
});

describe("help", () => {
  it("gives defaults as people write them", () => {
    const server = capstanProgram(() => {}).commands.find((command) => command.name() === "server");
    const text = server?.helpInformation().replace(/\s+/g, " ") ?? "";
    assert.match(text, /--shutdown-timeout <duration> [^-]*\(default: 30 s\)/);
    assert.match(text, /--slab-bytes <size> [^-]*\(default: 256 KiB\)/);
    assert.match(text, /--backlog <number> [^-]*\(default: 4096\)/);
  });

  it("has examples for every command", () => {
    const without: string[] = [];
    const visit = (command: Command, path: string): void => {
      let text = "";
      command.configureOutput({ writeOut: (part) => (text += part) });
      command.outputHelp();
      if (!/Examples:\n {2}\S/.test(text)) without.push(path);
      for (const child of command.commands) visit(child, `${path} ${child.name()}`);
    };
    visit(
      capstanProgram(() => {}),
      "capstan",
    );
    assert.deepEqual(without, []);
  });

  it("goes to standard output and ends with 0", async () => {
    for (const args of [["--help"], ["help"], ["help", "queue"], ["queue", "set", "--help"]]) {
      const { code, stdout, stderr } = await run(args);
      assert.equal(code, exitCode.ok, args.join(" "));
      assert.match(stdout, /Usage: capstan/);
      assert.equal(stderr, "");
    }
  });
});

describe("version and config", () => {
  it("print the version", async () => {
    assert.match((await run(["--version"])).stdout, /^\d+\.\d+\.\d+\n$/);
    const [fields] = jsonLines((await run(["version"])).stdout);
    assert.match(String(fields?.["version"]), /^\d+\.\d+\.\d+$/);
  });

  it("print settings with unit, source and bounds", async () => {
    const environment = {
      CAPSTAN_LEASE_MS_DEFAULT: "45s",
      CAPSTAN_ADDR: "a:1",
      CAPSTAN_JOB_ID: id,
      CAPSTAN_TOKEN: "1",
    };
    const { code, stdout } = await run(["config", "--workers", "3"], { environment });
    assert.equal(code, exitCode.ok);
    const rows = new Map(jsonLines(stdout).map((row) => [row["key"], row]));
    assert.ok(rows.size > 50);
    const workers = rows.get("workers");
    assert.deepEqual(
      [workers?.["value"], workers?.["unit"], workers?.["source"], workers?.["min"], workers?.["max"]],
      [3, "count", "flag --workers", 1, 64],
    );
    assert.equal(rows.get("leaseMsDefault")?.["value"], 45_000);
    assert.equal(rows.get("leaseMsDefault")?.["source"], "environment CAPSTAN_LEASE_MS_DEFAULT");
    assert.equal(rows.get("dataDir")?.["source"], "default");
  });

  it("print chosen settings as a table", async () => {
    const { stdout } = await run(["config", "sync", "lease-ms-max", "-o", "table"]);
    assert.match(stdout, /^SETTING +VALUE +UNIT +BOUNDS +SOURCE\nsync +always +choice +always\|never +default\n/);
    assert.match(stdout, /\nleaseMsMax +1 day +ms /);
    assert.equal((await run(["config", "nonsense"])).code, exitCode.nothing);
  });

  it("end quietly when their reader goes away", async () => {
    const process = new CliProcess(["config"], { built: false });
    process.child.stdout?.destroy();
    const { code, stderr } = await process.ended;
    assert.equal(stderr, "");
    assert.equal(code, exitCode.ok);
  });
});

describe("completion", () => {
  it("refuses a shell that it does not know", async () => {
    assert.equal((await run(["completion", "tcsh"])).code, exitCode.usage);
  });
});

describe("exit codes", () => {
  it("follow the code of the error", () => {
    const expected = {
      invalidArgument: 2,
      notFound: 3,
      leaseLost: 4,
      connection: 5,
      shuttingDown: 5,
      deadlineExceeded: 5,
      busy: 6,
      diskFull: 6,
      unknown: 7,
      tooLarge: 1,
      internal: 1,
      protocol: 1,
    } as const;
    for (const [code, exit] of Object.entries(expected)) assert.equal(exitCodeOf({ code: code as "busy" }), exit, code);
  });

  it("follow the worst refusal", () => {
    assert.equal(exitCodeOfRefusals([]), exitCode.ok);
    assert.equal(exitCodeOfRefusals([{ index: 0, code: "notFound" }]), exitCode.nothing);
    const both = [
      { index: 0, code: "notFound" },
      { index: 1, code: "leaseLost" },
    ];
    assert.equal(exitCodeOfRefusals(both), exitCode.leaseLost);
    assert.equal(exitCodeOfRefusals([{ index: 0, code: "strange" }]), exitCode.failed);
  });
});
