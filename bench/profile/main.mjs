// Owns: one profile of a server under the load of a named benchmark: clinic's flame, doctor and bubbleprof for its
// JavaScript, perf for the addon's threads. What comes out lies below bench/profile/output, which git does not keep. It
// judges nothing. Called by `npm run profile:flame` and so on, after a build and after `npm run profile:install`:
//
//     node bench/profile/main.mjs flame|doctor|bubbleprof|native [BENCH=e1] [SECONDS=10]
//
// clinic starts the server and ends with it, so the load goes to it by its address. A clinic of version 13 asks about
// usage statistics on Node 20 and then ends without a word, unless NO_INSIGHT is set.

import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { createWriteStream, existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { program } from "../../scripts/lib/packages.mjs";
import { foldedStacks } from "./folded_stacks.mjs";

const root = fileURLToPath(new URL("../..", import.meta.url));
const here = fileURLToPath(new URL(".", import.meta.url));
const output = join(here, "output");
const clinic = join(here, "node_modules", "clinic", "bin.js");
const capstan = join(root, "scripts", "capstan.mjs");
const startMsMax = 120_000;
const stopMsMax = 300_000;
const samplesPerSecond = 499;
const clinicTools = ["flame", "doctor", "bubbleprof"];

async function main() {
  const [tool = "", bench = "e1", seconds = "10"] = process.argv.slice(2);
  if (![...clinicTools, "native"].includes(tool))
    throw new Error("usage: flame|doctor|bubbleprof|native [BENCH] [SECONDS]");
  if (tool === "native" ? !program("perf") : !existsSync(clinic)) {
    throw new Error(
      tool === "native" ? "perf is not installed (linux-perf)" : "not installed yet: npm run profile:install",
    );
  }
  mkdirSync(output, { recursive: true });
  const directory = mkdtempSync(join(root, "capstan-bench-"));
  try {
    await (tool === "native" ? profileNative : profileClinic)(tool, bench, seconds, directory);
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

/** The server's own words, without the launcher: a profiler is to see one process. */
function serverWords(directory) {
  return [capstan, "server", "--data-dir", join(directory, "data"), "--rpc-listen", "127.0.0.1:0"];
}

async function profileClinic(tool, bench, seconds, directory) {
  const words = [clinic, tool, "--open=false", "--dest", output, "--name", `${tool}_${bench}`];
  const server = new Server([...words, "--", process.execPath, ...serverWords(directory)]);
  try {
    await load(bench, seconds, await server.ready());
  } finally {
    // clinic passes the signal on, waits for the server and writes its page.
    await server.stop();
  }
  say(`written below ${output}`);
}

async function profileNative(tool, bench, seconds, directory) {
  const server = new Server(serverWords(directory));
  const data = join(output, `${tool}_${bench}.data`);
  let recorder;
  try {
    const address = await server.ready();
    const recordWords = ["record", "-F", String(samplesPerSecond), "-g", "--call-graph", "fp", "-o", data];
    recorder = spawn("perf", [...recordWords, "-p", String(server.processId)], { stdio: ["ignore", "ignore", "pipe"] });
    const recorded = once(recorder, "close");
    await load(bench, seconds, address);
    recorder.kill("SIGINT");
    await recorded;
  } finally {
    if (recorder?.exitCode === null && recorder.signalCode === null) recorder.kill("SIGKILL");
    await server.stop();
  }
  const { stdout, status, stderr } = spawnSync("perf", ["script", "-i", data, "-F", "comm,ip,sym"], {
    encoding: "utf8",
    maxBuffer: 1 << 30,
  });
  if (status !== 0) throw new Error(`perf script failed: ${stderr}`);
  const { folded, threads } = foldedStacks(stdout);
  const path = join(output, `${tool}_${bench}.folded`);
  writeFileSync(path, folded);
  for (const { name, share } of threads) process.stdout.write(`${(share * 100).toFixed(1).padStart(5)} %  ${name}\n`);
  say(`folded stacks in ${path}: any flame graph takes them`);
}

async function load(bench, seconds, address) {
  say(`${bench} for ${seconds} s on ${address}`);
  const words = [capstan, "bench", bench, "--seconds", seconds, "--warm-up", "1", "--no-floor", "--addr", address];
  const child = spawn(process.execPath, words, { stdio: ["ignore", "inherit", "ignore"] });
  const [code] = await once(child, "close");
  if (code !== 0) throw new Error(`the load ended with ${code}`);
}

class Server {
  #child;
  #exited;
  #output = "";

  constructor(words) {
    const env = { ...process.env, NO_INSIGHT: "1" };
    // A group of its own: a profiler and its server get the signal together. Node's traces go to the working directory.
    const options = { cwd: output, env, stdio: ["ignore", "pipe", "pipe"], detached: true };
    this.#child = spawn(process.execPath, words, options);
    process.once("exit", () => this.#kill());
    const log = createWriteStream(join(output, "server.log"));
    for (const stream of [this.#child.stdout, this.#child.stderr]) {
      stream.setEncoding("utf8").on("data", (text) => {
        this.#output += text;
        log.write(text);
      });
    }
    this.#exited = once(this.#child, "close");
  }

  get processId() {
    return this.#child.pid;
  }

  async ready() {
    const found = new Promise((resolve) => {
      this.#child.stdout.on("data", () => {
        const address = /^capstan ready rpc=([^\s,]+)/m.exec(this.#output)?.[1];
        if (address !== undefined) resolve(address);
      });
    });
    const late = new Promise((_, reject) => {
      setTimeout(() => reject(new Error(`no server within ${startMsMax / 1000} s`)), startMsMax).unref();
    });
    const ended = this.#exited.then(([code]) => {
      throw new Error(`the server ended with ${code}:\n${this.#output}`);
    });
    ended.catch(() => {});
    return Promise.race([found, late, ended]);
  }

  async stop() {
    if (this.#isRunning()) process.kill(-this.#child.pid, "SIGINT");
    const late = setTimeout(() => this.#kill(), stopMsMax);
    await this.#exited;
    clearTimeout(late);
  }

  #isRunning() {
    return this.#child.exitCode === null && this.#child.signalCode === null;
  }

  #kill() {
    if (this.#isRunning()) process.kill(-this.#child.pid, "SIGKILL");
  }
}

function say(line) {
  process.stderr.write(`${line}\n`);
}

for (const signal of ["SIGINT", "SIGTERM"]) process.once(signal, () => process.exit(1));
try {
  await main();
} catch (error) {
  say(`profile: ${error instanceof Error ? error.message : error}`);
  process.exitCode = 1;
}
