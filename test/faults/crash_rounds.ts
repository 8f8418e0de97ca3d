// A server under load that is killed, or loses power, and starts again, many times, with the same clients all along; at
// the end their whole history is judged. Owns the server, its directory and the clients of one run. Called by the tests
// of this folder in short, and by main.ts at length.

import assert from "node:assert/strict";
import { mkdirSync, realpathSync, rmSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { type Checked, checkHistory, type Violation } from "../support/history_check.js";
import { countKinds, HistoryLoad } from "../support/history_load.js";
import { addReports, beginStore, type CutReport, cutPower, diskEnvironment } from "../support/power_cut.js";
import { preloadLibrary } from "../support/preload.js";
import { SeededRandom } from "../support/seeded_random.js";
import { ServerProcess, temporaryDirectory } from "../support/server_process.js";

/** No sync at all; syncs of the log that keep nothing; syncs of the log's directory alone that keep nothing. */
export type Control = "syncNever" | "lyingDisk" | "forgottenNames";

export interface CrashOptions {
  /** `kill` leaves the page cache; `power` takes what was not synced. */
  readonly kind: "kill" | "power";
  readonly rounds: number;
  readonly seed: number;
  /** How a server without durability is made, which the judge must refuse. */
  readonly control?: Control;
  readonly say?: (line: string) => void;
}

export interface CrashReport {
  readonly rounds: number;
  /** Of these, so many before the server was ready. */
  readonly duringStart: number;
  readonly cut: CutReport;
  readonly kinds: Record<string, number>;
  readonly checked: Checked;
  readonly violations: readonly Violation[];
  readonly seconds: number;
}

/** Small, so that the log is cut and the state flushed within a round. */
const flags = ["--write-buffer-bytes", "4MiB", "--log-segment-bytes", "1MiB", "--log-trailing-bytes", "0"];
const lies: Readonly<Partial<Record<Control, string>>> = { lyingDisk: "/log", forgottenNames: "/log$" };
/** For a control: no flush, since its log must not end before what the state has applied. */
const flagsOfControl = ["--log-segment-bytes", "1MiB"];
const jobsOfRoundMin = 200;
/** Enough for several segments, whose names are then forgotten. */
const jobsOfControlMin = 2500;
const progressMsMax = 60_000;

export async function crashRounds(options: CrashOptions): Promise<CrashReport> {
  const directory = realpathSync(temporaryDirectory());
  const run = new Run(options, directory);
  try {
    return await run.play();
  } finally {
    await run.dispose();
    rmSync(directory, { recursive: true, force: true });
  }
}

class Run {
  private readonly options: CrashOptions;
  private readonly dataDir: string;
  private readonly store: string;
  private readonly socket: string;
  private readonly random: SeededRandom;
  private readonly cut: CutReport = { files: 0, filesCut: 0, pagesLost: 0, pagesKept: 0, namesUndone: 0 };
  private server: ServerProcess | undefined;
  private load: HistoryLoad | undefined;
  private duringStart = 0;

  constructor(options: CrashOptions, directory: string) {
    this.options = options;
    this.dataDir = join(directory, "data");
    this.store = join(directory, "store");
    this.socket = join(directory, "rpc.sock");
    this.random = new SeededRandom(options.seed);
    mkdirSync(this.dataDir, { mode: 0o700 });
  }

  async play(): Promise<CrashReport> {
    const startedMs = performance.now();
    await this.found();
    await this.launch().ready();
    this.load = new HistoryLoad({
      address: `unix:${this.socket}`,
      ...{ seed: this.options.seed, producers: 3, workers: 4, payloadBytesMax: 2000 },
      // Without durability sessions are lost too: nothing is worth waiting for.
      requestTimeoutMs: this.options.control ? 1500 : 60_000,
    });
    const { load } = this;
    await load.start();
    for (let round = 1; round <= this.options.rounds; round++) await this.round(round, load);
    await load.stop();
    this.options.say?.(`draining`);
    const history = await load.drain();
    await this.server?.stop();
    const { violations, checked } = checkHistory(history);
    return {
      ...{ rounds: this.options.rounds, duringStart: this.duringStart, cut: this.cut },
      ...{ kinds: countKinds(history.operations), checked, violations },
      seconds: Math.round((performance.now() - startedMs) / 100) / 10,
    };
  }

  async dispose(): Promise<void> {
    await this.load?.abandon();
    await this.server?.dispose();
  }

  private async round(round: number, load: HistoryLoad): Promise<void> {
    const { sent, ended } = load;
    await pause(this.random.between(200, 700));
    const jobsMin = this.options.control === "forgottenNames" ? jobsOfControlMin : jobsOfRoundMin;
    await progress(load, sent + jobsMin, ended + jobsOfRoundMin / 2);
    await this.crash();
    // Recovery may be hit as well.
    for (let again = 0; this.random.chance(0.2) && again < 2 && this.options.control === undefined; again++) {
      this.launch();
      await pause(this.random.between(50, 600));
      if (!/^capstan ready/m.test(this.server?.stdout ?? "")) this.duringStart++;
      await this.crash();
    }
    await this.launch().ready();
    this.options.say?.(`${this.options.kind} ${round} of ${this.options.rounds}: ${load.sent} jobs so far`);
  }

  /**
   * A control loses what was answered, not the files themselves, which a server misses at its start: they are made
   * while syncs still count.
   */
  private async found(): Promise<void> {
    if (this.options.control === undefined) return;
    const server = new ServerProcess({ dataDir: this.dataDir, flags: flagsOfControl });
    this.server = server;
    await server.ready();
    await server.stop();
  }

  private launch(): ServerProcess {
    const isPower = this.options.kind === "power";
    if (isPower) beginStore(this.dataDir, this.store);
    const disk = isPower ? diskEnvironment(this.dataDir, this.store, preloadLibrary("faulty_disk")) : {};
    const { control } = this.options;
    const lie = control === undefined ? undefined : lies[control];
    const never = control === "syncNever" ? ["--sync", "never"] : [];
    this.server = new ServerProcess({
      dataDir: this.dataDir,
      flags: [...(control === undefined ? flags : flagsOfControl), ...never, "--rpc-listen", `unix:${this.socket}`],
      environment: { ...disk, ...(lie !== undefined && { FAULTY_DISK_LIE: lie }) },
    });
    return this.server;
  }

  private async crash(): Promise<void> {
    const { server } = this;
    assert.ok(server !== undefined);
    assert.ok(!server.hasExited, `the server ended by itself:\n${server.stderr}`);
    server.kill("SIGKILL");
    assert.deepEqual(await server.exited, { code: null, signal: "SIGKILL" }, server.stderr);
    if (this.options.kind !== "power") return;
    // A control loses everything, so that what is left is no damage but simply old.
    const kind = this.options.control !== undefined || this.random.chance(0.4) ? "lost" : "torn";
    addReports(this.cut, cutPower(this.dataDir, this.store, kind, this.random));
  }
}

/** Waits until much was answered since, however slow the machine is: a round without load shows nothing. */
async function progress(load: HistoryLoad, sentMin: number, endedMin: number): Promise<void> {
  const giveUpMs = performance.now() + progressMsMax;
  while (load.sent < sentMin || load.ended < endedMin) {
    assert.ok(performance.now() < giveUpMs, `a whole round brought it to ${load.sent} of ${sentMin} jobs`);
    await pause(5);
  }
}
