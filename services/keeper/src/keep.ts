/**
 * The keeper's life: opens what is held, starts a server, starts another one when it dies, hands over to a new one when
 * asked to, and takes everything down at the end. It says on standard error what a person should know, and nothing else.
 */
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { isatty } from "node:tty";
import { openDoor } from "./door.js";
import { FAILED, openHoldings, prepare, removeSockets, say } from "./ground.js";
import type { Holdings } from "./holdings.js";
import type { KeeperConfig, ServerProgram } from "./keeper-config.js";
import { RestartRule } from "./restart-rule.js";
import { describeEnd, type ServerEnd, ServerProcess } from "./server-process.js";
import { Standby } from "./standby.js";

const DOOR = "keeper.sock";
const STDIN = 0;
/** How long a server may take to unmount: more than it waits for the mount's last users. */
const STOP_LIMIT_MS = 40_000;
const PATIENT_STOPS = 2;
/** A new version that does not serve within this is a failure. */
const READY_LIMIT_MS = 30_000;
const DRAIN_LIMIT_MS = 15_000;

class Keeper {
  readonly #config: KeeperConfig;
  readonly #holdings: Holdings;
  readonly #rule = new RestartRule();
  #program: ServerProgram;
  #server: ServerProcess | undefined;
  readonly #standby = new Standby(() => this.#launch());
  #restarts = 0;
  #lastDeath: string | undefined;
  #stops = 0;
  readonly #stopping = new AbortController();
  /** What to start in place of the server that hands over. */
  #upgradeTo: ServerProgram | undefined;
  /** What ran before the program that is on trial. */
  #before: ServerProgram | undefined;
  #limit: NodeJS.Timeout | undefined;
  #tellUpgraded: (problem: string | undefined) => void = () => undefined;

  constructor(config: KeeperConfig, holdings: Holdings) {
    this.#config = config;
    this.#holdings = holdings;
    this.#program = config.server;
  }

  /** Returns the exit code. */
  async run(): Promise<number> {
    try {
      for (;;) {
        const server = this.#start();
        const end = await server.ended;
        this.#server = undefined;
        clearTimeout(this.#limit);
        const code = await this.#after(end);
        if (code !== undefined) return code;
      }
    } finally {
      await this.#standby.drop();
    }
  }

  /** SIGTERM, SIGINT, and SIGHUP of a terminal that is gone: the server unmounts; the second time it makes haste, the third it is ended. */
  stop(): void {
    this.#stops++;
    this.#stopping.abort();
    void this.#standby.drop();
    this.#server?.signal(this.#stops > PATIENT_STOPS ? "SIGKILL" : "SIGTERM");
    this.#limit ??= setTimeout(() => this.#server?.signal("SIGKILL"), STOP_LIMIT_MS);
  }

  /** Hands over to `program`. What went wrong; undefined where it serves. */
  upgrade(program: ServerProgram): Promise<string | undefined> {
    const server = this.#server;
    if (this.#stops > 0 || server === undefined) return Promise.resolve("the mount is about to end, or to start another server: try again");
    if (this.#upgradeTo !== undefined || this.#before !== undefined) return Promise.resolve("another upgrade is under way");
    this.#upgradeTo = program;
    void this.#standby.drop();
    server.drain();
    this.#limit ??= setTimeout(() => server.signal("SIGKILL"), DRAIN_LIMIT_MS);
    return new Promise((resolve) => {
      this.#tellUpgraded = resolve;
    });
  }

  get serverPid(): number | undefined {
    return this.#server?.pid;
  }

  get program(): ServerProgram {
    return this.#program;
  }

  #launch(): ServerProcess {
    return new ServerProcess({ config: this.#config, program: this.#program, holdings: this.#holdings });
  }

  #start(): ServerProcess {
    const server = this.#standby.take(this.#program) ?? this.#launch();
    server.serve({ keeperPid: process.pid, restarts: this.#restarts, lastDeath: this.#lastDeath });
    void server.ready.then(() => {
      if (this.#stops === 0) this.#standby.prepare();
    });
    this.#server = server;
    this.#limit = undefined;
    this.#onTrial(server);
    if (this.#stops > 0) server.signal("SIGTERM");
    return server;
  }

  /** The exit code where this was the end; undefined where another server is to be started. */
  async #after(end: ServerEnd): Promise<number | undefined> {
    const { mountpoint } = this.#config.plan;
    if (this.#stops > 0) return end.code === null ? FAILED : end.code;
    if (this.#holdings.connectionOver) return end.code ?? 0;
    if (!this.#everServed(end)) return this.#neverServed(end);
    if (this.#upgradeTo !== undefined) return this.#replaced(end, this.#upgradeTo);
    if (this.#before !== undefined && !end.served) return this.#failedTrial(end, this.#before);
    this.#restarts++;
    this.#lastDeath = `${describeEnd(end)} at ${new Date().toISOString()}`;
    const next = this.#rule.next({ ...end, killed: end.signal === "SIGKILL" });
    if (!next.again) {
      say(mountpoint, `the server dies again and again (${describeEnd(end)}): unmounted; see its log`);
      return FAILED;
    }
    say(mountpoint, `the server died (${describeEnd(end)}): another one goes on`);
    await sleep(next.pauseMs, undefined, { signal: this.#stopping.signal }).catch(() => undefined);
    return this.#stops > 0 ? 0 : undefined;
  }

  #everServed(end: ServerEnd): boolean {
    return end.served || this.#holdings.init !== undefined;
  }

  /** It has said why, where it could. */
  #neverServed(end: ServerEnd): number {
    if (end.code !== null) return end.code;
    say(this.#config.plan.mountpoint, `the server ended before it served (${describeEnd(end)}): see its log`);
    return FAILED;
  }

  /** A server made room for another program: whichever way it ended, the new one is started; it is on trial. */
  #replaced(end: ServerEnd, program: ServerProgram): undefined {
    const { mountpoint } = this.#config.plan;
    if (!end.handedOver) say(mountpoint, `the server did not hand over (${describeEnd(end)}): a new one takes over all the same`);
    this.#before = this.#program;
    this.#program = program;
    this.#upgradeTo = undefined;
    return undefined;
  }

  /** Back to the program before, once, where the new one does not serve. */
  #failedTrial(end: ServerEnd, before: ServerProgram): undefined {
    say(this.#config.plan.mountpoint, `the new server does not serve (${describeEnd(end)}): back to the one before`);
    this.#tellUpgraded(`the new server does not serve (${describeEnd(end)}): the one before goes on`);
    this.#program = before;
    this.#before = undefined;
    return undefined;
  }

  #onTrial(server: ServerProcess): void {
    if (this.#before === undefined) return;
    this.#limit = setTimeout(() => server.signal("SIGKILL"), READY_LIMIT_MS);
    void server.ready.then(() => {
      clearTimeout(this.#limit);
      this.#limit = undefined;
      this.#before = undefined;
      this.#tellUpgraded(undefined);
      say(this.#config.plan.mountpoint, "a new server has taken over");
    });
  }
}

function listen(keeper: Keeper): void {
  for (const signal of ["SIGTERM", "SIGINT"] as const) process.on(signal, () => keeper.stop());
  process.on("SIGHUP", () => {
    // Of a terminal that went away, or sent by somebody who wants the program in its place started anew.
    if (isatty(STDIN)) keeper.stop();
    else void keeper.upgrade(keeper.program);
  });
  process.on("SIGPIPE", () => undefined);
}

/** Keeps a mount to its end; returns the exit code. */
export async function keep(config: KeeperConfig): Promise<number> {
  prepare();
  const holdings = await openHoldings(config);
  if (typeof holdings === "number") {
    removeSockets(config.runDirectory);
    return holdings;
  }
  const keeper = new Keeper(config, holdings);
  listen(keeper);
  const door = openDoor(join(config.runDirectory, DOOR), {
    upgrade: (program) => keeper.upgrade(program),
    serverPid: () => keeper.serverPid,
  });
  try {
    return await keeper.run();
  } finally {
    door?.close();
    await holdings.end();
    removeSockets(config.runDirectory);
  }
}
