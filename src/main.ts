// The composition root of `capstan server`: settings, engine, listener workers, signals, and the stop. Owns the order in
// which parts start and end; never handles a request. Called by the command line's `server` verb.
//
//   settings ▶ addresses checked ▶ engine opened (replay) ▶ workers ▶ listening ▶ ready
//   stop: no new connections ▶ workers answer the rest ▶ engine flushed and closed ▶ exit

import { readFileSync } from "node:fs";
import { type Config, flagOf, isReloadable, type Key } from "./config.js";
import { type LoadedConfig, loadConfig, type Sources } from "./config_load.js";
import { exitCodes, isNativeError, ServerError } from "./errors.js";
import { EngineState } from "./generated/boundary.js";
import { connectionsDefault } from "./knobs_requests.js";
import { createLogger, type Logger } from "./log.js";
import { probeMachine } from "./machine.js";
import { native } from "./native.js";
import { type ListenAddress, listenerNumber, parseAddresses, refuseInsecure, shownAddress } from "./net/addresses.js";
import { WorkerPool } from "./net/worker_pool.js";
import { engineError } from "./server/engine_errors.js";
import { engineOptions } from "./server/limits.js";
import { Systemd } from "./server/systemd.js";

export interface RunOptions {
  /** Flag name without dashes to its value; a switch that was given is `true`. `config` is the path of the file. */
  flags: Readonly<Record<string, string | boolean | undefined>>;
  environment?: Readonly<Record<string, string | undefined>>;
}

/** Part of a graceful stop's time that is kept for the engine's own end. */
const engineCloseShare = 0.25;

/** Runs a server until it is told to stop; resolves with the exit code of the process. */
export async function runServer(options: RunOptions): Promise<number> {
  const environment = options.environment ?? process.env;
  const signals = new Signals();
  try {
    const sources = sourcesOf(options.flags, environment);
    const loaded = loadConfig(sources);
    const log = createLogger({ level: loaded.config.logLevel, format: loaded.config.logFormat, thread: "main" });
    watchFaults(log);
    return await new Server(loaded, sources, log, signals, environment).run();
  } catch (error) {
    if (!(error instanceof ServerError)) throw error;
    process.stderr.write(`capstan: ${error.message}${error.remedy === undefined ? "" : `\n  ${error.remedy}`}\n`);
    return error.exitCode;
  } finally {
    signals.close();
  }
}

/** How often refused connections are looked for, and so told at most. */
const refusalsMs = 1000;

/** How much a total has grown since it was last asked for. */
function newSince(total: () => number): () => number {
  let told = 0;
  return () => {
    const now = total();
    const more = now - told;
    told = now;
    return more;
  };
}

class Server {
  private readonly config: Config;
  private readonly systemd: Systemd;
  private engineBits = 0;
  private refusals: NodeJS.Timeout | undefined;

  constructor(
    loaded: LoadedConfig,
    private readonly sources: Sources,
    private readonly log: Logger,
    private readonly signals: Signals,
    environment: Readonly<Record<string, string | undefined>>,
  ) {
    this.config = loaded.config;
    this.warnOfFewFiles(loaded);
    this.systemd = new Systemd(native, environment);
  }

  async run(): Promise<number> {
    const { config, log, signals } = this;
    const rpc = await this.checkedAddresses("rpcListen");
    const closed = [
      ["http", "httpListen", await this.checkedAddresses("httpListen")],
      ["peer", "peerListen", await this.checkedAddresses("peerListen")],
    ] as const;
    if (config.sync === "never") log.warn("--sync never: a power cut loses answered jobs; for benchmarks only");

    await this.openEngine();
    if (signals.isRequested) {
      await native.engineClose();
      log.info("stopped before it served");
      return exitCodes.ok;
    }
    const workers = new WorkerPool({
      config,
      version: packageVersion(),
      stateChanged: (bits) => this.stateChanged(bits),
      failed: (number, error) => fault(log, error, `listener ${number} failed`),
    });
    await workers.started();
    signals.onReload = () => this.reload(workers);

    let bound: string[];
    try {
      bound = this.listen(rpc);
    } catch (error) {
      // Nothing was served: end in order, then say why.
      await this.end(workers);
      throw error;
    }
    for (const [name, key, addresses] of closed) {
      const given = addresses.map((one) => one.address).join(",");
      log.info({ address: given }, `--${flagOf(key)}: this version does not serve ${name}; the port stays closed`);
    }
    const ready = `rpc=${bound.join(",")} http=closed peer=closed`;
    log.info({ rpc: bound, dataDir: config.dataDir, workers: config.workers, sync: config.sync }, "serving");
    this.watchRefusals();
    this.systemd.ready(`Serving ${ready}`, () => workers.isAlive());
    // A line of its own on standard output, for scripts: documented, so it stays as it is.
    process.stdout.write(`capstan ready ${ready} pid=${process.pid}\n`);

    const signal = await signals.stopRequested;
    log.info({ signal, timeoutMs: config.shutdownTimeoutMs }, "stopping; a second signal exits at once");
    return this.stop(workers);
  }

  /** A default that the limit of open files has lowered: who meets it would look for the cause elsewhere. */
  private warnOfFewFiles({ config, effective }: LoadedConfig): void {
    const isDefault = effective.some(({ key, source }) => key === "connectionsMax" && source === "default");
    if (!isDefault || config.connectionsMax >= connectionsDefault) return;
    this.log.warn(
      { openFilesMax: this.sources.machine.openFilesMax, connectionsMax: config.connectionsMax },
      "few files may be open, so few connections are taken: raise the limit (ulimit -n, LimitNOFILE=)",
    );
  }

  /** Those above connectionsMax, or above what files the process may open, are closed by the acceptor, without a log. */
  private watchRefusals(): void {
    const refusals = newSince(() => native.connectionsRefused());
    const starvations = newSince(() => native.connectionsStarved());
    this.refusals = setInterval(() => {
      const refused = refusals();
      if (refused > 0) {
        this.log.warn(
          { refused, connectionsMax: this.config.connectionsMax },
          "connections were closed at once: connectionsMax is reached",
        );
      }
      const starved = starvations();
      if (starved > 0) {
        this.log.warn(
          { refused: starved },
          "connections were closed at once: no more files may be open; raise the limit (ulimit -n, LimitNOFILE=)",
        );
      }
    }, refusalsMs);
    this.refusals.unref();
  }

  private async checkedAddresses(key: "rpcListen" | "httpListen" | "peerListen"): Promise<ListenAddress[]> {
    const flag = flagOf(key);
    const addresses = await parseAddresses(flag, this.config[key], key === "rpcListen");
    for (const address of refuseInsecure(flag, addresses, this.config.insecure)) {
      this.log.warn(
        { address },
        `--insecure: --${flag} can be reached from other machines without TLS or authentication`,
      );
    }
    return addresses;
  }

  private async openEngine(): Promise<void> {
    const { log, config } = this;
    this.signals.onStop = () => log.info("stopping as soon as the log is replayed; a second signal exits at once");
    let saidMs = performance.now();
    try {
      await native.engineOpen(engineOptions(config), (done, total) => {
        this.systemd.replaying(done, total);
        if (performance.now() - saidMs < 5000) return;
        saidMs = performance.now();
        log.info({ done, total }, "replaying the log");
      });
      for (const warning of native.engineWarnings()) log.warn({ dataDir: config.dataDir }, warning);
    } catch (error) {
      if (isNativeError(error)) throw engineError(error, config);
      throw error;
    } finally {
      this.signals.onStop = () => {};
    }
  }

  private listen(addresses: readonly ListenAddress[]): string[] {
    const { connectionsMax, backlog } = this.config;
    return addresses.map((one, index) => {
      try {
        const bound = native.listen(listenerNumber(index, one), one.address, connectionsMax, backlog);
        return shownAddress(bound, one);
      } catch (error) {
        if (isNativeError(error)) throw engineError(error, this.config, one.address);
        throw error;
      }
    });
  }

  private async stop(workers: WorkerPool): Promise<number> {
    const { log, config } = this;
    this.systemd.stopping(config.shutdownTimeoutMs);
    native.stopListening();
    const cut = setTimeout(
      () => {
        log.warn("clients took too long; closing their connections");
        workers.cut();
      },
      config.shutdownTimeoutMs * (1 - engineCloseShare),
    );
    const giveUp = setTimeout(() => {
      // Every answered job is in the log already; only the next start takes longer.
      log.error("the stop took longer than --shutdown-timeout; exiting");
      process.exit(exitCodes.failed);
    }, config.shutdownTimeoutMs);
    await this.end(workers);
    clearTimeout(cut);
    clearTimeout(giveUp);
    log.info("stopped");
    return exitCodes.ok;
  }

  private async end(workers: WorkerPool): Promise<void> {
    clearInterval(this.refusals);
    await workers.stop();
    await native.engineClose();
    this.systemd.close();
  }

  private stateChanged(bits: number): void {
    const changed = bits ^ this.engineBits;
    this.engineBits = bits;
    if ((changed & (1 << EngineState.diskFull)) === 0) return;
    if ((bits & (1 << EngineState.diskFull)) !== 0) {
      this.log.warn(
        { dataDir: this.config.dataDir },
        "the disk reserve is reached: enqueue is refused until space is free",
      );
    } else {
      this.log.info("the disk has space again: enqueue is served");
    }
  }

  /** SIGHUP: takes the settings that can change while running from the same sources. */
  private reload(workers: WorkerPool): void {
    const { log } = this;
    let next: LoadedConfig;
    try {
      next = loadConfig(this.sources);
    } catch (error) {
      if (!(error instanceof ServerError)) throw error;
      log.error({ code: error.code }, `SIGHUP: nothing was changed: ${error.message}`);
      return;
    }
    for (const key of Object.keys(next.config) as Key[]) {
      if (next.config[key] !== this.config[key] && !isReloadable(key)) {
        log.warn({ setting: key }, "SIGHUP: this setting needs a restart");
      }
    }
    log.level = next.config.logLevel;
    workers.setLogLevel(next.config.logLevel);
    log.info({ logLevel: next.config.logLevel }, "SIGHUP: log level taken");
  }
}

/** The signals of the process, from before the engine opens: as PID 1 of a container nothing else would obey them. */
class Signals {
  readonly stopRequested: Promise<NodeJS.Signals>;
  isRequested = false;
  onStop: () => void = () => {};
  onReload: () => void = () => {};
  private readonly reload = (): void => this.onReload();
  private stop: (signal: NodeJS.Signals) => void = () => {};

  constructor() {
    this.stopRequested = new Promise((resolve) => {
      this.stop = (signal) => {
        // At once, and safely: what was answered is in the log.
        if (this.isRequested) process.exit(signal === "SIGINT" ? 130 : 143);
        this.isRequested = true;
        this.onStop();
        resolve(signal);
      };
    });
    process.on("SIGTERM", this.stop);
    process.on("SIGINT", this.stop);
    process.on("SIGHUP", this.reload);
  }

  close(): void {
    process.off("SIGTERM", this.stop);
    process.off("SIGINT", this.stop);
    process.off("SIGHUP", this.reload);
  }
}

function sourcesOf(flags: RunOptions["flags"], environment: Sources["environment"]): Sources {
  const { config: file, ...rest } = flags;
  return { flags: rest, environment, file: typeof file === "string" ? file : undefined, machine: probeMachine() };
}

function packageVersion(): string {
  // From dist/src/main.js.
  const text = readFileSync(new URL("../../package.json", import.meta.url), "utf8");
  return String((JSON.parse(text) as { version: unknown }).version);
}

function watchFaults(log: Logger): void {
  process.on("uncaughtException", (error) => fault(log, error, "a fault in the main thread"));
  // A reader of the ready line that is gone is no reason to stop.
  process.stdout.on("error", () => {});
}

/** Our own bug: everything answered is in the log, and a state nobody understands must not go on serving. */
function fault(log: Logger, error: Error, what: string): never {
  log.fatal({ err: error }, what);
  process.exit(exitCodes.fault);
}
