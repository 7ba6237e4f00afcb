/** One of many mounts of this process: its state, requests to end it, and the process as the mount sees it. */
import { type Logger, type OpenedLog, openLog } from "@sluice/runtime";
import type { MountConfig } from "../config/mount-config.js";
import type { KeeperSession } from "../keeper/keeper-session.js";
import type { MountOwner } from "../serve/mount-owner.js";
import type { MountParts } from "../status/mount-status.js";
import { admitMount } from "./admit-mount.js";
import { hasEnded, type MountClient } from "./mount-client.js";

/** The limit of mounts: each may cache its share of the descriptors. */
export const MAX_MOUNTS = 128;

/** How long a mount that was taken over waits for its client, if that does not end before. */
const ATTACH_MS = 10_000;
const LOOK_MS = 100;

/** The person or program that had the mount made. */
export interface Person {
  announce(line: string): void;
  tell(line: string): void;
}

/** The process, which all its mounts share. */
export interface SharedProcess {
  logger: Logger;
  /** The mount points of the other mounts, without symbolic links. */
  others(mount: HostedMount): string[];
  /** No other process serves mounts of the same service. */
  isAlone: boolean;
  onExit(detach: () => void): () => void;
  surviveBugs(count: () => void): () => void;
  /** Undefined: this process has no keeper. */
  hold: ((config: MountConfig) => KeeperSession) | undefined;
  keeperSocket: string | undefined;
}

export class HostedMount implements MountOwner {
  readonly places = MAX_MOUNTS;
  readonly sinceMs = Date.now();
  /** Of the mount, once its options are checked; without symbolic links. */
  config: MountConfig | undefined;
  /** Undefined until it serves. */
  parts: MountParts | undefined;
  othersFirst: (() => Promise<void>) | undefined;
  readonly serving: Promise<void>;
  /** Resolves when the mount has ended in order, though its decision service has not. */
  readonly left: Promise<void>;
  isGone = false;
  /** Resolves when its requests are read. It may take some turns more until it serves. */
  readonly begun: Promise<void>;
  #tellServing: () => void = () => undefined;
  #tellBegun: () => void = () => undefined;
  #tellLeft: () => void = () => undefined;
  #drain: (() => Promise<void>) | undefined;
  /** Runs while a mount that ends with a call of its client waits for that call. */
  #awaiting: NodeJS.Timeout | undefined;
  #stop: ((abandoned: boolean) => void) | undefined;
  #isAbandoned = false;
  /** How often it was told to end. */
  #stops = 0;

  constructor(
    private readonly process: SharedProcess,
    private person: Person,
    private readonly client: MountClient,
  ) {
    this.serving = new Promise((resolve) => {
      this.#tellServing = resolve;
    });
    this.left = new Promise((resolve) => {
      this.#tellLeft = resolve;
    });
    this.begun = new Promise((resolve) => {
      this.#tellBegun = resolve;
    });
  }

  get state(): "starting" | "serving" | "ending" {
    if (this.#stops > 0) return "ending";
    return this.parts === undefined ? "starting" : "serving";
  }

  /**
   * Asks the mount to end once nobody uses it, or with `hurry` at once. The same request may come from several places: a machine that shuts
   * down stops the commands and the service, and the users of the mount still have their grace period.
   */
  stop(hurry = false): void {
    for (const wanted = hurry ? 2 : 1; this.#stops < wanted; this.#stops++) this.#stop?.(false);
  }

  /** Its last users have ended, or end at this moment. */
  abandon(): void {
    this.#stops = 2;
    this.#isAbandoned = true;
    this.#stop?.(true);
  }

  /** Its client wants it to end. The second time the client waits no longer. */
  stopForClient(again: boolean): void {
    if (this.client.abandonedAtEnd) this.abandon();
    else this.stop(again);
  }

  /** Its client was attached to a process before this one, and may come again. One that has ended meanwhile does not. */
  awaitCall(): void {
    const { process } = this.client;
    const untilMs = performance.now() + ATTACH_MS;
    const look = (): void => {
      if (performance.now() < untilMs && (process === undefined || !hasEnded(process))) this.#awaiting = setTimeout(look, LOOK_MS);
      else this.stopForClient(false);
    };
    look();
  }

  /** A client comes again: `person` gets the lines from now on. False if the mount waits for none. */
  attach(person: Person): boolean {
    if (this.#awaiting === undefined) return false;
    clearTimeout(this.#awaiting);
    this.#awaiting = undefined;
    this.person = person;
    return true;
  }

  admit(config: MountConfig): void {
    const { isAlone, hold } = this.process;
    admitMount(config, { others: this.process.others(this), isAlone, hasKeeper: hold !== undefined });
  }

  hold(config: MountConfig): KeeperSession | undefined {
    return this.process.hold?.(config);
  }

  /** Another process can take it over. */
  get outlivesProcess(): boolean {
    return this.process.hold !== undefined;
  }

  get keeperSocket(): string | undefined {
    return this.process.keeperSocket;
  }

  onHandOver(drain: () => Promise<void>): void {
    this.#drain = drain;
  }

  /** Completes the requests under way, for another process to go on. */
  async drain(): Promise<void> {
    await this.#drain?.();
  }

  openLog(config: MountConfig): OpenedLog {
    const { logFile: file, logLevel: level, name } = config;
    this.config = config;
    if (file === undefined) return { logger: this.process.logger.child({ mount: name }, { level }), close: () => undefined };
    const log = openLog({ name: "mount", level, file });
    return { logger: log.logger.child({ mount: name }), close: log.close };
  }

  onStop(stop: (abandoned: boolean) => void): () => void {
    this.#stop = stop;
    // A mount that is taken over may be told before its turn.
    for (let told = 0; told < this.#stops; told++) stop(this.#isAbandoned);
    return () => {
      this.#stop = undefined;
    };
  }

  onExit(detach: () => void): () => void {
    return this.process.onExit(detach);
  }

  surviveBugs(_logger: Logger, count: () => void): () => void {
    return this.process.surviveBugs(count);
  }

  begins(): void {
    this.#tellBegun();
  }

  serves(parts: MountParts, line: string | undefined): void {
    this.parts = parts;
    this.#tellServing();
    if (line !== undefined) this.person.announce(line);
  }

  gone(): void {
    this.isGone = true;
    this.#tellLeft();
  }

  tell(_mountpoint: string, line: string): void {
    this.person.tell(line);
  }
}
