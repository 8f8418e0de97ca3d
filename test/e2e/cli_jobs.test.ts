// The command line against a real server: enqueue, fetch, settle, exchange, queues, dead jobs, with their exit codes. Each
// test has queues of its own.

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { closeSync, openSync } from "node:fs";
import { after, before, describe, it } from "node:test";
import { exitCode } from "../../src/cli/exit_codes.js";
import { CliProcess, type CliResult, jsonLines, runCli } from "../support/cli_process.js";
import { capstan, ServerProcess } from "../support/server_process.js";

const server = new ServerProcess();
let address = "";
before(async () => {
  address = await server.ready();
});
after(() => server.dispose());

function run(args: readonly string[], input: string | Uint8Array = ""): Promise<CliResult> {
  return runCli(args, { input, environment: { CAPSTAN_ADDR: address } });
}

async function fine(args: readonly string[], input: string | Uint8Array = ""): Promise<Record<string, unknown>[]> {
  const { code, stdout, stderr } = await run(args, input);
  assert.equal(code, exitCode.ok, `capstan ${args.join(" ")}\n${stderr}`);
  return jsonLines(stdout);
}

async function ends(code: number, args: readonly string[], input = ""): Promise<CliResult> {
  const result = await run(args, input);
  assert.equal(result.code, code, `capstan ${args.join(" ")}\n${result.stdout}${result.stderr}`);
  return result;
}

const noId = "0123456789abcdef".repeat(2);

describe("jobs on the command line", () => {
  it("end with a code of their own when there is nothing, or no longer a lease", async () => {
    await ends(exitCode.nothing, ["fetch", "empty"]);
    await ends(exitCode.nothing, ["job", "show", noId]);
    await ends(exitCode.nothing, ["queue", "show", "no-such-queue"]);
    await ends(exitCode.nothing, ["queue", "pause", "no-such-queue"]);
    await ends(exitCode.leaseLost, ["ack", noId, "--all"]);
    await ends(exitCode.leaseLost, ["ack", noId, noId]);
    await ends(exitCode.leaseLost, ["fail", noId, noId]);
    await ends(exitCode.leaseLost, ["extend", noId, "1m"]);
    await ends(exitCode.usage, ["extend", noId, "1ms"]);
  });

  it("are given back when standard output takes nothing", async () => {
    await fine(["enqueue", "unprinted", "x"]);
    const full = openSync("/dev/full", "w");
    const cli = spawnSync(process.execPath, [capstan, "fetch", "unprinted", "--ack"], {
      stdio: ["ignore", full, "pipe"],
      env: { PATH: process.env["PATH"], CAPSTAN_ADDR: address },
      encoding: "utf8",
    });
    closeSync(full);
    assert.equal(cli.status, exitCode.failed);
    assert.match(cli.stderr, /^capstan: cannot write to standard output: ENOSPC[^\n]*\n$/);
    const [job] = await fine(["fetch", "unprinted"]);
    assert.equal(job?.["attempt"], 1, "no attempt was spent");
  });

  it("are enqueued, fetched and acked", async () => {
    const flags = ["--priority", "7", "--group", "g", "--header", "trace=abc", "--content-type", "text/plain"];
    const [made] = await fine(["enqueue", "life", "häß\n", "--max-attempts", "4", ...flags]);
    const [job] = await fine(["fetch", "life", "--lease", "1m", "--wait", "10s"]);
    assert.equal(job?.["id"], made?.["id"]);
    assert.equal(job?.["payload"], "häß\n");
    assert.deepEqual(job?.["headers"], { trace: "abc" });
    const { priority, group, contentType, attempt, maxAttempts, leaseMs } = job ?? {};
    assert.deepEqual(
      { priority, group, contentType, attempt, maxAttempts, leaseMs },
      { priority: 7, group: "g", contentType: "text/plain", attempt: 1, maxAttempts: 4, leaseMs: 60_000 },
    );
    assert.ok(Math.abs(Date.parse(String(job?.["enqueuedAt"])) - Date.now()) < 60_000);
    const [shown] = await fine(["job", "show", String(job?.["id"])]);
    assert.equal(shown?.["state"], "leased");
    assert.deepEqual(await fine(["extend", String(job?.["lease"]), "2m"]), [{ openJobs: 1, leaseMs: 120_000 }]);
    const ack = ["ack", String(job?.["lease"]), String(job?.["id"])];
    assert.deepEqual(await fine(ack), [{ accepted: 1, refused: [] }]);
    await ends(exitCode.leaseLost, ack);
    await ends(exitCode.nothing, ["fetch", "life"]);
  });

  it("keep bytes that are no text", async () => {
    await fine(["enqueue", "bytes", "--file", "-"], new Uint8Array([0xff, 0x00, 0x0a]));
    const [job] = await fine(["fetch", "bytes", "--ack"]);
    assert.equal(job?.["payload"], "/wAK");
    assert.equal(job?.["payloadEncoding"], "base64");
    await ends(exitCode.nothing, ["fetch", "bytes"]);
  });

  it("with the same key are taken once", async () => {
    const [first] = await fine(["enqueue", "keys", "x", "--key", "order 7"]);
    const [second] = await fine(["enqueue", "keys", "x", "--key", "order 7"]);
    assert.equal(second?.["id"], first?.["id"]);
    const refused = await ends(exitCode.failed, ["enqueue", "keys", "y", "--key", "order 7"]);
    assert.match(refused.stderr, /^capstan: idempotencyConflict: /);
  });

  it("wait for their time, and may be looked at", async () => {
    await fine(["enqueue", "later", "soon", "--delay", "1h"]);
    await fine(["enqueue", "later", "then", "--run-at", "2100-01-01T00:00:00Z"]);
    await ends(exitCode.nothing, ["fetch", "later"]);
    const jobs = await fine(["peek", "later", "--state", "scheduled"]);
    assert.deepEqual(jobs.map((job) => job["payload"]).sort(), ["soon", "then"]);
    assert.ok(jobs.every((job) => job["state"] === "scheduled" && Number(job["dueInMs"]) > 0));
    const ids = jobs.map((job) => String(job["id"]));
    assert.deepEqual(await fine(["job", "delete", ...ids, "--yes"]), [{ accepted: 2, refused: [] }]);
    assert.deepEqual(await fine(["peek", "later", "--state", "scheduled"]), []);
  });

  it("come back when they are released, and are dead when they failed for good", async () => {
    await fine(["queue", "set", "mortal", "--max-attempts", "3", "--backoff-base", "1m"]);
    await fine(["enqueue", "mortal", "x"]);
    const [first] = await fine(["fetch", "mortal"]);
    await fine(["release", String(first?.["lease"]), "--all"]);
    const [again] = await fine(["fetch", "mortal"]);
    assert.equal(again?.["attempt"], 1, "a release is not counted");
    assert.ok(BigInt(String(again?.["token"])) > BigInt(String(first?.["token"])));
    const names = [String(again?.["lease"]), String(again?.["id"])];
    await fine(["fail", ...names, "--reason", "no mailbox", "--dead"]);
    const [dead] = await fine(["dead", "list", "mortal"]);
    assert.equal(dead?.["id"], again?.["id"]);
    assert.equal(dead?.["lastError"], "no mailbox");
    const [redriven] = await fine(["dead", "redrive", "mortal", "--all"]);
    assert.equal(redriven?.["done"], 1);
    assert.equal(redriven?.["finished"], true);
    const [third] = await fine(["fetch", "mortal", "--wait", "10s"]);
    await fine(["fail", String(third?.["lease"]), String(third?.["id"]), "--dead"]);
    assert.equal((await fine(["dead", "delete", "mortal", String(third?.["id"]), "--yes"]))[0]?.["done"], 1);
    assert.deepEqual(await fine(["dead", "list", "mortal"]), []);
  });
});

describe("queues on the command line", () => {
  it("are listed, shown, set, paused, resumed and deleted", async () => {
    await fine(["queue", "set", "admin.a", "--max-attempts", "unlimited", "--dead-keep", "2d", "--jitter", "5"]);
    await fine(["enqueue", "admin.b", "x"]);
    const names = async () => (await fine(["queues", "--prefix", "admin."])).map((queue) => queue["name"]);
    assert.deepEqual(await names(), ["admin.a", "admin.b"]);
    const [shown] = await fine(["queue", "show", "admin.a"]);
    const settings = shown?.["settings"] as Record<string, unknown>;
    assert.equal(settings["maxAttempts"], "unlimited");
    assert.equal(settings["deadKeepMs"], 172_800_000);
    assert.equal(settings["backoffJitterPercent"], 5);
    const [still] = await fine(["queue", "set", "admin.a", "--jitter", "0", "--backoff-base", "0s"]);
    const settled = still?.["settings"] as Record<string, unknown>;
    assert.deepEqual([settled["backoffJitterPercent"], settled["backoffBaseMs"]], [0, 0]);
    assert.equal(settled["deadKeepMs"], 172_800_000, "what is not given stays");
    const tooLong = await ends(exitCode.usage, ["queue", "set", "admin.a", "--backoff-base", "2h"]);
    assert.match(tooLong.stderr, /backoffBaseMs: 7200000 is above backoffMaxMs, which is 600000/);
    const tooShort = await ends(exitCode.usage, ["queue", "set", "admin.a", "--dead-keep", "1s"]);
    assert.match(tooShort.stderr, /deadKeepMs: 1000 is not between 60000 and/);
    await fine(["queue", "pause", "admin.b"]);
    await ends(exitCode.nothing, ["fetch", "admin.b"]);
    await fine(["queue", "resume", "admin.b"]);
    assert.equal((await fine(["fetch", "admin.b"])).length, 1);
    const [gone] = await fine(["queue", "delete", "admin.b", "--yes"]);
    assert.equal(gone?.["finished"], true);
    assert.deepEqual(await names(), ["admin.a"]);
  });

  it("are a table where one is asked for", async () => {
    await fine(["enqueue", "table", "x"]);
    const { stdout } = await ends(exitCode.ok, ["queues", "--prefix", "table", "-o", "table"]);
    assert.match(stdout, /^QUEUE +READY +LEASED +SCHEDULED +DEAD +SIZE +STATE\ntable +1 +0 +0 +0 +1 B +active\n$/);
    assert.match((await ends(exitCode.ok, ["queue", "show", "table", "-o", "table"])).stdout, /^name +table\n/);
    assert.match((await ends(exitCode.ok, ["version", "--server", "-o", "table"])).stdout, /^version +\d/);
  });
});

describe("an exchange on the command line", () => {
  it("hands over from one queue to the next in one commit, or not at all", async () => {
    await fine(["enqueue", "step1", "x"]);
    const [job] = await fine(["fetch", "step1"]);
    const acks = [{ lease: job?.["lease"], ids: [job?.["id"]] }];
    const enqueues = [{ queue: "step2", jobs: [{ payload: "next", headers: { from: "step1" } }] }];
    const handOver = JSON.stringify({ requireAcks: true, acks, enqueues });
    const [result] = await fine(["exchange"], handOver);
    assert.deepEqual(result?.["acks"], [{ accepted: 1, refused: [] }]);
    const refused = await ends(exitCode.failed, ["exchange", "-"], handOver);
    assert.match(refused.stderr, /^capstan: refused: /);
    const [fetched] = await fine(["exchange"], '{"fetch":{"queues":["step2"],"jobsMax":5,"leaseMs":"1m"}}');
    const { jobs } = (fetched as { fetch: { jobs: Record<string, unknown>[] } }).fetch;
    assert.deepEqual(
      jobs.map((one) => one["payload"]),
      ["next"],
      "the second hand-over enqueued nothing",
    );
    await ends(exitCode.nothing, ["exchange"], '{"fetch":{"queues":["step2"]}}');
  });
});

describe("many lines into a queue", () => {
  it("are all there, in order, with their ids", async () => {
    const lines = Array.from({ length: 2_500 }, (_, index) => `line ${index + 1}`);
    const printed = await fine(["enqueue", "lines", "-", "--ids", "--batch", "100"], `${lines.join("\n")}\n`);
    assert.deepEqual(printed.pop(), { queue: "lines", accepted: 2_500 });
    assert.equal(new Set(printed.map((one) => one["id"])).size, 2_500);
    const fetched: unknown[] = [];
    while (fetched.length < lines.length) {
      for (const job of await fine(["fetch", "lines", "--jobs", "1000", "--ack"])) fetched.push(job["payload"]);
    }
    assert.deepEqual(fetched, lines);
  });

  it("may end with NUL", async () => {
    await fine(["enqueue", "nul", "-", "--null"], "a\nb\0c\0");
    assert.deepEqual(
      (await fine(["fetch", "nul", "--jobs", "5"])).map((job) => job["payload"]),
      ["a\nb", "c"],
    );
  });

  it("leave as they come, and say what was accepted when they are interrupted", async () => {
    const options = { input: "first\n", keepsInput: true, environment: { CAPSTAN_ADDR: address } };
    const producer = new CliProcess(["enqueue", "stream", "-", "--ids"], options);
    await producer.says(/"line":1,/, "stdout");
    assert.equal((await fine(["fetch", "stream", "--wait", "10s", "--ack"]))[0]?.["payload"], "first");
    producer.kill("SIGINT");
    const { code, stderr } = await producer.ended;
    assert.equal(code, 130, stderr);
    assert.match(stderr, /1 job accepted into stream/);
  });

  it("name the first one that was not accepted, and why", async () => {
    const lines = ["a", "b", "x".repeat(2 << 20), "d"];
    const { code, stdout, stderr } = await run(["enqueue", "large", "-"], lines.join("\n"));
    assert.equal(code, exitCode.failed, stderr);
    const [report] = jsonLines(stdout);
    assert.equal(report?.["firstUnaccepted"], 3);
    assert.equal(report?.["error"], "tooLarge");
    assert.match(stderr, /first unaccepted line: 3: tooLarge: /);
    assert.equal((await fine(["queue", "show", "large"]))[0]?.["ready"], report?.["accepted"]);
  });
});

describe("a line that no server takes", () => {
  it("is named with its reason, and those before it are accepted", async () => {
    const { code, stdout, stderr } = await run(["enqueue", "longest", "-"], `a\nb\n${"x".repeat(17 << 20)}\nd\n`);
    assert.equal(code, exitCode.failed, stderr);
    const expected = { queue: "longest", accepted: 2, firstUnaccepted: 3, error: "tooLarge" };
    assert.deepEqual(jsonLines(stdout), [expected]);
    assert.match(stderr, /first unaccepted line: 3: line 3 is longer than 16 MiB/);
  });
});

describe("a fetch that waits", () => {
  it("leaves at once when it is interrupted, and takes no job along", async () => {
    const waiting = new CliProcess(["fetch", "interrupted", "--wait", "10m"], {
      environment: { CAPSTAN_ADDR: address },
    });
    // One that began later, and waited itself, has its answer: most likely the first one waits by now.
    await ends(exitCode.nothing, ["fetch", "interrupted", "--wait", "200ms"]);
    waiting.kill("SIGINT");
    const { code, signal } = await waiting.ended;
    // On a slow machine the signal comes before the command line looks after it.
    assert.ok(code === 130 || signal === "SIGINT", `it ended with ${code}`);
    await fine(["enqueue", "interrupted", "x"]);
    assert.equal((await fine(["fetch", "interrupted", "--wait", "10s"])).length, 1);
  });
});
