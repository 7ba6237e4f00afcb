/**
 * A keeper that starts no servers: it waits for one, greets it, and waits for the next when that one goes away, while the callers of the
 * mount wait too. If no server connects for too long, it unmounts. Unlike a keeper that starts its servers, it does not see their
 * processes: it has only a socket to each.
 */
import { isatty } from "node:tty";
import type { KeeperInfo } from "@sluice/keeper-link";
import { FsError } from "@sluice/vfs";
import { FAILED, openResources, prepare, say, STOP_SIGNALS } from "./setup.js";
import type { MountResources } from "./mount-resources.js";
import type { AwaitingConfig } from "./keeper-config.js";
import { ListenError, ServerListener } from "./server-listener.js";
import { ServerLink } from "./server-link.js";
import { LOOK_MS, OVER_LIMIT_MS } from "./server-process.js";

const STDIN = 0;
/** How long a server may take to unmount beyond its grace period. An orchestrator gives the keeper more. */
const STOP_LIMIT_MS = 15_000;
const PATIENT_STOPS = 2;
/** Some 25 days: a longer timer would fire at once. */
const LONGEST_TIMER_MS = 2 ** 31 - 1;

interface ServerSession {
  link: ServerLink;
  serves: boolean;
  handsOver: boolean;
}

class AwaitingKeeper {
  readonly #config: AwaitingConfig;
  readonly #resources: MountResources;
  readonly #listener: ServerListener;
  readonly #ended: Promise<number>;
  #end: (code: number) => void = () => undefined;
  #session: ServerSession | undefined;
  #restarts = 0;
  #lastDeath: string | undefined;
  #stops = 0;
  /** Runs while no server serves the mount. */
  #waitLimit: NodeJS.Timeout | undefined;
  #limit: NodeJS.Timeout | undefined;
  readonly #look: NodeJS.Timeout;

  /** @throws ListenError, FsError */
  constructor(config: AwaitingConfig, resources: MountResources) {
    this.#config = config;
    this.#resources = resources;
    this.#ended = new Promise((resolve) => {
      this.#end = resolve;
    });
    this.#listener = new ServerListener(config, () => this.#admitNext());
    this.#look = setInterval(() => this.#lookAtConnection(), LOOK_MS);
  }

  /** @returns the exit code */
  async run(): Promise<number> {
    process.stdout.write(`waiting for a server of ${this.#config.plan.mountpoint} at ${this.#config.socket}\n`);
    try {
      return await this.#ended;
    } finally {
      for (const timer of [this.#waitLimit, this.#limit, this.#look]) clearTimeout(timer);
      this.#listener.close();
      this.#session?.link.close();
    }
  }

  /** The server unmounts; at the second call at once. At the third call, or without a server, the keeper unmounts itself. */
  stop(): void {
    this.#stops++;
    if (this.#session === undefined || this.#stops > PATIENT_STOPS) return this.#end(0);
    this.#session.link.stop();
    this.#limit ??= setTimeout(() => this.#end(0), Math.min(this.#config.graceMs + STOP_LIMIT_MS, LONGEST_TIMER_MS));
  }

  /** Asks the server to make room for the next one. */
  handOver(): void {
    this.#session?.link.drain();
  }

  #admitNext(): void {
    if (this.#session !== undefined || this.#stops > 0) return;
    const socket = this.#listener.next();
    if (socket === undefined) return;
    const session: ServerSession = {
      serves: false,
      handsOver: false,
      link: new ServerLink(socket, this.#resources, {
        loaded: () => undefined,
        ready: () => this.#served(session),
        handOver: () => (session.handsOver = true),
        lost: () => this.#lost(session),
        stuck: () => this.#lost(session),
      }),
    };
    this.#session = session;
    const info: KeeperInfo = { keeperPid: process.pid, restarts: this.#restarts, lastDeath: this.#lastDeath };
    session.link.greet(info);
  }

  #served(session: ServerSession): void {
    if (!session.serves && this.#resources.init !== undefined) say(this.#config.plan.mountpoint, "a server serves");
    session.serves = true;
    clearTimeout(this.#waitLimit);
    this.#waitLimit = undefined;
  }

  #lost(session: ServerSession): void {
    const { mountpoint } = this.#config.plan;
    this.#session = undefined;
    if (this.#stops > 0 || this.#resources.connectionOver) return this.#end(0);
    if (this.#resources.mounted && this.#resources.init === undefined) {
      // Its agreement with the kernel died with it, so no other server can take over.
      say(mountpoint, "the server ended before it served: unmounted; see its log");
      return this.#end(FAILED);
    }
    if (session.serves && !session.handsOver) {
      this.#restarts++;
      this.#lastDeath = `connection lost at ${new Date().toISOString()}`;
    }
    if (session.serves) say(mountpoint, `${session.handsOver ? "the server has handed over" : "the server is gone"}: ${this.#whatNow()}`);
    else say(mountpoint, "a server went away before it served: see its log");
    if (this.#resources.mounted) this.#beginWaiting();
    this.#admitNext();
  }

  #whatNow(): string {
    const { waitMs } = this.#config;
    return `its users wait for the next one${waitMs === null ? "" : `, ${waitMs / 1000} s at most`}`;
  }

  #beginWaiting(): void {
    const { waitMs, plan } = this.#config;
    if (waitMs === null) return;
    this.#waitLimit ??= setTimeout(
      () => {
        say(plan.mountpoint, `no server has connected for ${waitMs / 1000} s: unmounted; start one and this keeper again`);
        this.#end(FAILED);
      },
      Math.min(waitMs, LONGEST_TIMER_MS),
    );
  }

  #lookAtConnection(): void {
    if (!this.#resources.connectionOver) return;
    // A server notices by itself, and cleans up first.
    if (this.#session === undefined) this.#end(0);
    else this.#limit ??= setTimeout(() => this.#end(0), OVER_LIMIT_MS);
  }
}

function listen(keeper: AwaitingKeeper): void {
  for (const signal of STOP_SIGNALS) process.on(signal, () => keeper.stop());
  process.on("SIGHUP", () => (isatty(STDIN) ? keeper.stop() : keeper.handOver()));
}

/** Runs the keeper to the end of its mount. @returns the exit code */
export async function runAwaitingKeeper(config: AwaitingConfig): Promise<number> {
  const resources = prepare(config.plan.mountpoint) || (await openResources(config));
  if (typeof resources === "number") return resources;
  try {
    const keeper = new AwaitingKeeper(config, resources);
    listen(keeper);
    return await keeper.run();
  } catch (error) {
    if (error instanceof ListenError) say(config.socket, error.message);
    else if (error instanceof FsError) say(config.plan.mountpoint, error.message);
    else throw error;
    return FAILED;
  } finally {
    await resources.end();
  }
}
