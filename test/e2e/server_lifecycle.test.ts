// A server's life as its operator sees it: start, ready
// line, refusals to start, signals, exit codes.

import assert from "node:assert/strict";
import { once } from "node:events";
import { existsSync, mkdirSync, rmSync, statSync, writeFileSync } from "node:fs";
import { type AddressInfo, connect, createServer } from "node:net";
import { join } from "node:path";
import { after, afterEach, describe, it } from "node:test";
import { ServerProcess, type ServerProcessOptions, temporaryDirectory } from "../support/server_process.js";

const servers: ServerProcess[] = [];
const scratch = temporaryDirectory();
after(() => rmSync(scratch, { recursive: true, force: true }));

function start(options: ServerProcessOptions = {}): ServerProcess {
  const server = new ServerProcess(options);
  servers.push(server);
  return server;
}

async function refused(options: ServerProcessOptions, code: number, pattern: RegExp): Promise<string> {
  const server = start(options);
  const exit = await server.exited;
  assert.deepEqual(exit, { code, signal: null }, server.stderr);
  assert.match(server.stderr, pattern);
  assert.equal(server.stdout, "", "no ready line");
  return server.stderr;
}

function split(address: string): { host: string; port: number } {
  const at = address.lastIndexOf(":");
  return { host: address.slice(0, at).replace(/[[\]]/g, ""), port: Number(address.slice(at + 1)) };
}

async function connected(address: string): Promise<ReturnType<typeof connect>> {
  const socket = address.startsWith("unix:") ? connect(address.slice("unix:".length)) : connect(split(address));
  await once(socket, "connect");
  socket.on("error", () => {});
  return socket;
}

describe("the server", () => {
  afterEach(async () => {
    for (const server of servers.splice(0)) await server.dispose();
  });

  for (const workers of ["1", "3"]) {
    it(`starts, names its address, accepts, and exits 0 at SIGTERM, with ${workers} workers`, async () => {
      const server = start({ flags: ["--workers", workers, "--log-format", "json"] });
      const address = await server.ready();
      const sockets = await Promise.all(Array.from({ length: 7 }, () => connected(address)));
      server.kill("SIGTERM");
      await Promise.all(sockets.map((socket) => once(socket.resume(), "end")));
      assert.deepEqual(await server.exited, { code: 0, signal: null }, server.stderr);
      for (const line of server.stderr.trim().split("\n")) JSON.parse(line);
    });
  }

  it("says that the HTTP and peer ports stay closed", async () => {
    const server = start({ flags: ["--http-listen", "127.0.0.1:0", "--peer-listen", "127.0.0.1:0"] });
    await server.ready();
    assert.match(server.stdout, /http=closed peer=closed/);
    assert.match(server.stderr, /does not serve http/);
    assert.match(server.stderr, /does not serve peer/);
    server.kill("SIGINT");
    assert.deepEqual(await server.exited, { code: 0, signal: null });
  });

  it("keeps its directory to itself, whatever the umask", async () => {
    const server = start({ dataDir: join(scratch, "private", "data") });
    await server.ready();
    assert.equal(statSync(server.dataDir).mode & 0o777, 0o700);
    await server.stop();
  });

  it("starts again on the same directory after a stop and after a kill", async () => {
    const dataDir = join(scratch, "again");
    for (const end of ["SIGTERM", "SIGKILL", "SIGTERM"] as const) {
      const server = start({ dataDir });
      await server.ready();
      server.kill(end);
      await server.exited;
    }
  });

  it("refuses a directory that another server has, and says what to do", async () => {
    const first = start();
    await first.ready();
    const text = await refused({ dataDir: first.dataDir }, 3, /--data-dir/);
    assert.match(text, /stop it/);
    await first.stop();
  });

  it("warns of a directory that lies in memory", async (context) => {
    const directory = "/dev/shm";
    const dataDir = join(directory, `capstan-test-${process.pid}`);
    context.after(() => rmSync(dataDir, { recursive: true, force: true }));
    const server = start({ dataDir });
    await server.ready();
    assert.match(server.stderr, /lies in memory \(tmpfs\): a restart of the machine loses every job/);
    await server.stop();
  });

  it("refuses a directory that it cannot use", async () => {
    const path = join(scratch, "file");
    writeFileSync(path, "");
    await refused({ dataDir: path }, 3, /file/);
    await refused({ dataDir: "/proc/capstan" }, 3, /making directory \/proc\/capstan: No such file[\s\S]*--data-dir/);
    await refused({ dataDir: join(scratch, "x".repeat(300)) }, 3, /too long[\s\S]*--data-dir/);
  });

  it("refuses a port that is taken", async () => {
    const taken = createServer().listen(0, "127.0.0.1");
    await once(taken, "listening");
    const { port } = taken.address() as AddressInfo;
    await refused({ flags: ["--rpc-listen", `127.0.0.1:${port}`] }, 4, /--rpc-listen/);
    taken.close();
  });

  it("listens on several addresses, Unix sockets among them", async () => {
    const path = join(scratch, "rpc.sock");
    const server = start({ flags: ["--rpc-listen", `127.0.0.1:0,[::1]:0,unix:${path}`] });
    const addresses = (await server.ready()).split(",");
    assert.equal(addresses.length, 3);
    for (const address of addresses) (await connected(address)).destroy();
    await server.stop();
    assert.ok(!existsSync(path), "the socket's file is gone");
  });

  it("takes over the file of a Unix socket that a killed server left", async () => {
    const path = join(scratch, "left.sock");
    for (const end of ["SIGKILL", "SIGTERM"] as const) {
      const server = start({ flags: ["--rpc-listen", `unix:${path}`] });
      (await connected(await server.ready())).destroy();
      server.kill(end);
      await server.exited;
    }
  });

  it("refuses addresses that others can reach, unless --insecure, which it warns about", async () => {
    await refused({ flags: ["--rpc-listen", "0.0.0.0:0"] }, 4, /--insecure/);
    await refused({ flags: ["--http-listen", "0.0.0.0:0"] }, 4, /--http-listen/);
    const server = start({ flags: ["--rpc-listen", "0.0.0.0:0", "--insecure"] });
    await server.ready();
    assert.match(server.stderr, /warn.*--insecure/);
    await server.stop();
  });

  it("refuses settings that it does not know or that are out of bounds", async () => {
    await refused({ environment: { CAPSTAN_WORKER: "1" } }, 2, /CAPSTAN_WORKERS/);
    await refused({ environment: { CAPSTAN_WORKERS: "0" } }, 2, /at least 1/);
    const file = join(scratch, "bad.toml");
    writeFileSync(file, "wrokers = 1\n");
    await refused({ flags: ["--config", file] }, 2, /did you mean workers/);
  });

  it("says that few files may be open, and that connections were refused for it", async () => {
    const server = start({ openFilesMax: 520 });
    const address = await server.ready();
    assert.match(server.stderr, /"openFilesMax":520,"connectionsMax":16,"msg":"few files may be open/);
    const sockets = await Promise.all(Array.from({ length: 20 }, () => connected(address)));
    for (const socket of sockets) socket.resume();
    await server.says(/"refused":4,"connectionsMax":16,"msg":"connections were closed at once/);
    for (const socket of sockets) socket.destroy();
    await server.stop();
  });

  it("takes a new log level from its file at SIGHUP, and keeps the old one when the file is broken", async () => {
    const file = join(scratch, "capstan.toml");
    writeFileSync(file, 'logLevel = "info"\n');
    const server = start({ flags: ["--config", file] });
    await server.ready();
    writeFileSync(file, 'logLevel = "nonsense"\n');
    server.kill("SIGHUP");
    await server.says(/SIGHUP: nothing was changed/);
    writeFileSync(file, 'logLevel = "debug"\nbacklog = 100\n');
    server.kill("SIGHUP");
    await server.says(/SIGHUP: log level taken/);
    assert.match(server.stderr, /backlog.*needs a restart|needs a restart.*backlog/);
    await server.stop();
  });

  it("exits at once at a second signal, and starts again", async () => {
    const dataDir = join(scratch, "twice");
    mkdirSync(dataDir);
    const server = start({ dataDir, flags: ["--shutdown-timeout", "60s"] });
    const address = await server.ready();
    // A client that never closes and never reads holds the stop up.
    const socket = await connected(address);
    socket.pause();
    server.kill("SIGTERM");
    await server.says(/stopping/);
    server.kill("SIGTERM");
    const exit = await server.exited;
    assert.ok(exit.code === 143 || exit.code === 0, JSON.stringify(exit));
    socket.destroy();
    const next = start({ dataDir });
    await next.ready();
    await next.stop();
  });
});
