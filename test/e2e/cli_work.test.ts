// `capstan work` against a real server: jobs that work and that fail, a server that restarts, a lease that is lost, and
// the two ways to stop it. Failure first.

import assert from "node:assert/strict";
import { existsSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, afterEach, describe, it } from "node:test";
import { exitCode } from "../../src/cli/exit_codes.js";
import { CliProcess, jsonLines, runCli } from "../support/cli_process.js";
import { ServerProcess, temporaryDirectory } from "../support/server_process.js";

const scratch = temporaryDirectory();
const socket = `unix:${join(scratch, "rpc")}`;
const environment = { CAPSTAN_ADDR: socket };
const processes: { dispose(): Promise<void> }[] = [];
after(() => rmSync(scratch, { recursive: true, force: true }));

async function startServer(dataDir: string): Promise<ServerProcess> {
  const server = new ServerProcess({ dataDir, flags: ["--rpc-listen", socket] });
  processes.push(server);
  await server.ready();
  return server;
}

function startWorker(...args: string[]): CliProcess {
  const worker = new CliProcess(["work", ...args], { environment });
  processes.push(worker);
  return worker;
}

async function fine(...args: string[]): Promise<Record<string, unknown>[]> {
  const { code, stdout, stderr } = await runCli(args, { environment });
  assert.equal(code, exitCode.ok, `capstan ${args.join(" ")}\n${stderr}`);
  return jsonLines(stdout);
}

const queue = async (name: string): Promise<Record<string, unknown>> => (await fine("queue", "show", name))[0] ?? {};

describe("capstan work", () => {
  afterEach(async () => {
    for (const one of processes.splice(0).reverse()) await one.dispose();
  });

  it("stops at a command that cannot be started, and spends no attempt on it", async () => {
    await startServer(join(scratch, "broken"));
    const script = join(scratch, "broken.sh");
    writeFileSync(script, "#!/nonexistent/interpreter\n", { mode: 0o755 });
    await fine("enqueue", "q", "x", "--max-attempts", "1");
    const { code, stderr } = await startWorker("q", "--", script).ended;
    assert.equal(code, exitCode.failed);
    assert.match(stderr, /stopped: cannot run .*broken\.sh/);
    assert.equal((await fine("fetch", "q"))[0]?.["attempt"], 1);
  });

  it("fails jobs with the tail of standard error, and acks the others", async () => {
    await startServer(join(scratch, "mixed"));
    await fine("queue", "set", "q", "--max-attempts", "1");
    for (const payload of ["1", "2", "3", "4"]) await fine("enqueue", "q", payload);
    const script = 'read -r n || true; if [ "$n" = 3 ]; then echo "no $n" >&2; exit 9; fi; echo "did $n"';
    const { code, stdout, stderr } = await startWorker("q", "--concurrency", "2", "--drain", "--", "sh", "-c", script)
      .ended;
    assert.equal(code, exitCode.ok, stderr);
    assert.deepEqual(stdout.trim().split("\n").sort(), ["did 1", "did 2", "did 4"]);
    assert.match(stderr, /3 acked, 1 failed/);
    const [dead] = await fine("dead", "list", "q");
    assert.equal(dead?.["payload"], "3");
    assert.equal(dead?.["lastError"], "no 3");
  });

  it("goes on when the server is killed and comes back, with the command still running", async () => {
    const dataDir = join(scratch, "restart");
    const server = await startServer(dataDir);
    const go = join(scratch, "go");
    await fine("enqueue", "q", "1");
    const script = 'echo begun >&2; until [ -e "$1" ]; do sleep 0.05; done; echo done';
    const worker = startWorker("q", "--lease", "1m", "--", "sh", "-c", script, "sh", go);
    await worker.says(/begun/, "stderr");
    server.kill("SIGKILL");
    await server.exited;
    await startServer(dataDir);
    writeFileSync(go, "");
    await fine("enqueue", "q", "2");
    await worker.says(/done\ndone\n/, "stdout");
    worker.kill("SIGTERM");
    const { code, stderr } = await worker.ended;
    assert.equal(code, exitCode.ok, stderr);
    assert.match(stderr, /2 acked\n$/);
    const { ackedTotal, ready, leased } = await queue("q");
    assert.deepEqual({ ackedTotal, ready, leased }, { ackedTotal: 2, ready: 0, leased: 0 });
  });

  it("ends the command when its lease is lost", async () => {
    await startServer(join(scratch, "lost"));
    await fine("enqueue", "q", "1");
    const lease = join(scratch, "lease");
    const script = 'echo "$CAPSTAN_LEASE" > "$1.new"; mv "$1.new" "$1"; echo begun >&2; sleep 600; :';
    const worker = startWorker("q", "--lease", "1s", "--", "sh", "-c", script, "sh", lease);
    await worker.says(/begun/, "stderr");
    assert.ok(existsSync(lease));
    // Somebody who knows the lease gives the job back; the next extension is refused.
    await fine("queue", "pause", "q");
    await fine("release", readFileSync(lease, "utf8").trim(), "--all");
    await worker.says(/lease lost: /, "stderr");
    worker.kill("SIGTERM");
    const { code, stderr } = await worker.ended;
    assert.equal(code, exitCode.ok, stderr);
    assert.match(stderr, /0 acked, 1 lost/);
  });

  it("keeps a lease for as long as its command runs", async () => {
    await startServer(join(scratch, "extended"));
    await fine("enqueue", "q", "1");
    const { stderr } = await startWorker("q", "--lease", "300ms", "--drain", "--", "sleep", "1.5").ended;
    assert.match(stderr, /1 acked\n$/);
    assert.equal((await queue("q"))["expiredTotal"], 0);
  });

  it("lets commands end at the first signal, kills and releases at the second", async () => {
    await startServer(join(scratch, "signals"));
    await fine("enqueue", "q", "1", "--max-attempts", "1");
    const worker = startWorker("q", "--", "sh", "-c", 'trap "" TERM INT; echo begun >&2; sleep 600; :');
    await worker.says(/begun/, "stderr");
    worker.kill("SIGINT");
    await worker.says(/stopping when 1 running have ended/, "stderr");
    worker.kill("SIGINT");
    const { code, stderr } = await worker.ended;
    assert.equal(code, 130, stderr);
    assert.match(stderr, /0 acked, 1 released/);
    assert.equal((await fine("fetch", "q"))[0]?.["attempt"], 1);
  });
});
