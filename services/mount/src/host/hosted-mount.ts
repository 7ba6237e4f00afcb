/** One of many mounts of this process: its state, requests to end it, and the process as the mount sees it. */
import { type Logger, type OpenedLog, openLog } from "@sluice/runtime";
import type { MountConfig } from "../config/mount-config.js";
import type { MountOwner } from "../serve/mount-owner.js";
import type { MountParts } from "../status/mount-status.js";
import { admitMount } from "./admit-mount.js";

/** The limit of mounts: each may cache its share of the descriptors. */
export const MAX_MOUNTS = 128;

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
  onExit(detach: () => void): () => void;
  surviveBugs(count: () => void): () => void;
}

export class HostedMount implements MountOwner {
  readonly places = MAX_MOUNTS;
  readonly sinceMs = Date.now();
  /** Of the mount, once its options are checked; without symbolic links. */
  config: MountConfig | undefined;
  /** Undefined until it serves. */
  parts: MountParts | undefined;
  #stop: (() => void) | undefined;
  /** How often it was told to end. */
  #stops = 0;

  constructor(
    private readonly process: SharedProcess,
    private readonly person: Person,
  ) {}

  get state(): "starting" | "serving" | "ending" {
    if (this.#stops > 0) return "ending";
    return this.parts === undefined ? "starting" : "serving";
  }

  /**
   * Asks the mount to end once nobody uses it, or with `hurry` at once. The same request may come from several places: a machine that shuts
   * down stops the commands and the service, and the users of the mount still have their grace period.
   */
  stop(hurry = false): void {
    for (const wanted = hurry ? 2 : 1; this.#stops < wanted; this.#stops++) this.#stop?.();
  }

  admit(config: MountConfig): void {
    admitMount(config, this.process.others(this));
  }

  openLog(config: MountConfig): OpenedLog {
    const { logFile: file, logLevel: level, name } = config;
    this.config = config;
    if (file === undefined) return { logger: this.process.logger.child({ mount: name }, { level }), close: () => undefined };
    const log = openLog({ name: "mount", level, file });
    return { logger: log.logger.child({ mount: name }), close: log.close };
  }

  onStop(stop: () => void): () => void {
    this.#stop = stop;
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

  serves(parts: MountParts, line: string): void {
    this.parts = parts;
    this.person.announce(line);
  }

  tell(_mountpoint: string, line: string): void {
    this.person.tell(line);
  }
}
