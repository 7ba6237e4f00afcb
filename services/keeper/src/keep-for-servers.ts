/**
 * The life of a keeper that starts no servers: it waits for one, greets it, and when that one goes away, however it does,
 * waits for the next, while whoever uses the mount waits too. Nobody serves for too long: the mount is taken away. Unlike
 * one that starts its servers it need not see their processes: what it has of them is a socket.
 */
import { isatty } from "node:tty";
import type { KeeperInfo } from "@sluice/keeper-link";
import { FsError } from "@sluice/vfs";
import { FAILED, openHoldings, prepare, say } from "./ground.js";
import type { Holdings } from "./holdings.js";
import type { AwaitingConfig } from "./keeper-config.js";
import { Reception } from "./reception.js";
import { ServerLink } from "./server-link.js";
import { LOOK_MS, OVER_LIMIT_MS } from "./server-process.js";

const STDIN = 0;
/** How long a server may take to unmount beyond its grace for the mount's last users; an orchestrator gives us more. */
const STOP_LIMIT_MS = 15_000;
const PATIENT_STOPS = 2;
/** Some 25 days: a longer one would run out at once. */
const LONGEST_TIMER_MS = 2 ** 31 - 1;

interface Visit {
  link: ServerLink;
  serves: boolean;
  handsOver: boolean;
}

class AwaitingKeeper {
  readonly #config: AwaitingConfig;
  readonly #holdings: Holdings;
  readonly #reception: Reception;
  readonly #ended: Promise<number>;
  #end: (code: number) => void = () => undefined;
  #visit: Visit | undefined;
  #restarts = 0;
  #lastDeath: string | undefined;
  #stops = 0;
  /** Runs while nobody serves what is mounted. */
  #patience: NodeJS.Timeout | undefined;
  #limit: NodeJS.Timeout | undefined;
  readonly #look: NodeJS.Timeout;

  /** @throws FsError where it cannot listen */
  constructor(config: AwaitingConfig, holdings: Holdings) {
    this.#config = config;
    this.#holdings = holdings;
    this.#ended = new Promise((resolve) => {
      this.#end = resolve;
    });
    this.#reception = new Reception(config, () => this.#welcome());
    this.#look = setInterval(() => this.#lookAtConnection(), LOOK_MS);
  }

  /** Returns the exit code. */
  async run(): Promise<number> {
    process.stdout.write(`waiting for a server of ${this.#config.plan.mountpoint} at ${this.#config.socket}\n`);
    try {
      return await this.#ended;
    } finally {
      for (const timer of [this.#patience, this.#limit, this.#look]) clearTimeout(timer);
      this.#reception.close();
      this.#visit?.link.close();
    }
  }

  /** The server unmounts; asked again it makes haste; the third time, or where there is none, it is done without. */
  stop(): void {
    this.#stops++;
    if (this.#visit === undefined || this.#stops > PATIENT_STOPS) return this.#end(0);
    this.#visit.link.stop();
    this.#limit ??= setTimeout(() => this.#end(0), Math.min(this.#config.graceMs + STOP_LIMIT_MS, LONGEST_TIMER_MS));
  }

  /** Has the server make room for the next one. */
  handOver(): void {
    this.#visit?.link.drain();
  }

  #welcome(): void {
    if (this.#visit !== undefined || this.#stops > 0) return;
    const socket = this.#reception.next();
    if (socket === undefined) return;
    const visit: Visit = {
      serves: false,
      handsOver: false,
      link: new ServerLink(socket, this.#holdings, {
        loaded: () => undefined,
        ready: () => this.#served(visit),
        handOver: () => (visit.handsOver = true),
        lost: () => this.#lost(visit),
        stuck: () => this.#lost(visit),
      }),
    };
    this.#visit = visit;
    const info: KeeperInfo = { keeperPid: process.pid, restarts: this.#restarts, lastDeath: this.#lastDeath };
    visit.link.greet(info);
  }

  #served(visit: Visit): void {
    if (!visit.serves && this.#holdings.init !== undefined) say(this.#config.plan.mountpoint, "a server serves");
    visit.serves = true;
    clearTimeout(this.#patience);
    this.#patience = undefined;
  }

  #lost(visit: Visit): void {
    const { mountpoint } = this.#config.plan;
    this.#visit = undefined;
    if (this.#stops > 0 || this.#holdings.connectionOver) return this.#end(0);
    if (this.#holdings.mounted && this.#holdings.init === undefined) {
      // What it agreed with the kernel died with it: nobody can go on from there.
      say(mountpoint, "the server ended before it served: unmounted; see its log");
      return this.#end(FAILED);
    }
    if (visit.serves && !visit.handsOver) {
      this.#restarts++;
      this.#lastDeath = `connection lost at ${new Date().toISOString()}`;
    }
    if (visit.serves) say(mountpoint, `${visit.handsOver ? "the server has handed over" : "the server is gone"}: ${this.#whatNow()}`);
    else say(mountpoint, "a server went away before it served: see its log");
    if (this.#holdings.mounted) this.#beginWaiting();
    this.#welcome();
  }

  #whatNow(): string {
    const { waitMs } = this.#config;
    return `its users wait for the next one${waitMs === null ? "" : `, ${waitMs / 1000} s at most`}`;
  }

  #beginWaiting(): void {
    const { waitMs, plan } = this.#config;
    if (waitMs === null) return;
    this.#patience ??= setTimeout(
      () => {
        say(plan.mountpoint, `no server has come to serve it for ${waitMs / 1000} s: unmounted; start one and this keeper again`);
        this.#end(FAILED);
      },
      Math.min(waitMs, LONGEST_TIMER_MS),
    );
  }

  #lookAtConnection(): void {
    if (!this.#holdings.connectionOver) return;
    // A server notices by itself, and has its own clearing up to do.
    if (this.#visit === undefined) this.#end(0);
    else this.#limit ??= setTimeout(() => this.#end(0), OVER_LIMIT_MS);
  }
}

function listen(keeper: AwaitingKeeper): void {
  for (const signal of ["SIGTERM", "SIGINT"] as const) process.on(signal, () => keeper.stop());
  process.on("SIGHUP", () => (isatty(STDIN) ? keeper.stop() : keeper.handOver()));
  process.on("SIGPIPE", () => undefined);
}

/** Keeps a mount for servers that come by themselves, to its end; returns the exit code. */
export async function keepForServers(config: AwaitingConfig): Promise<number> {
  prepare();
  const holdings = await openHoldings(config);
  if (typeof holdings === "number") return holdings;
  try {
    const keeper = new AwaitingKeeper(config, holdings);
    listen(keeper);
    return await keeper.run();
  } catch (error) {
    if (!(error instanceof FsError)) throw error;
    say(config.plan.mountpoint, error.message);
    return FAILED;
  } finally {
    await holdings.end();
  }
}
