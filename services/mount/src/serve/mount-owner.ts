/**
 * The process that a mount lives in, as the mount sees it: its own process, or one that it shares with others (host/). Whatever belongs to
 * the process and not to the mount is reached through this.
 */
import { native } from "@sluice/native";
import { spareDescriptors } from "@sluice/overlay";
import { createLogger, type Logger, type OpenedLog } from "@sluice/runtime";
import type { MountConfig } from "../config/mount-config.js";
import type { KeeperSession } from "../keeper/keeper-session.js";
import type { MountHost } from "../mount-host.js";
import { toStandardError } from "../preflight/tell.js";
import { hardenProcess } from "../privilege/harden-process.js";
import type { MountParts } from "../status/mount-status.js";
import { surviveBugs } from "./survive-bugs.js";

/** Each function that registers something returns one that takes it back. */
export interface MountOwner {
  /** The mounts that may share the limits of the process, such as that of open files. */
  readonly places: number;
  /** Refuses a mount that this process cannot serve. It follows no path into a mount of this process. @throws CliError */
  admit(config: MountConfig): void;
  /** `config` has passed preflight. @throws CliError if the log file cannot be opened */
  openLog(config: MountConfig): OpenedLog;
  /** `stop` is called for each request from outside of the mount to end it. `abandoned`: nobody uses it any more. */
  onStop(stop: (abandoned?: boolean) => void): () => void;
  /** `detach` is called if the process exits although the mount has not ended. */
  onExit(detach: () => void): () => void;
  /** Errors that nobody caught no longer end the process, and `count` is called for each. */
  surviveBugs(logger: Logger, count: () => void): () => void;
  /** Opens the layers, and has the process's keeper hold them and the mount. Undefined: this process holds them. @throws CliError */
  hold(config: MountConfig): KeeperSession | undefined;
  /** Of a keeper that holds other mounts, too; undefined: there is none. */
  readonly keeperSocket?: string | undefined;
  /** Another server is to take the mount over. `drain` completes its requests. Undefined: the mount's own keeper says when. */
  onHandOver?(drain: () => Promise<void>): void;
  /** The requests of the mount are read from now on. */
  begins?(): void;
  /** Resolves when mounts with callers who wait longer have begun. Undefined: there are none. */
  readonly othersFirst?: (() => Promise<void>) | undefined;
  /** The mount serves from now on; `line` says so to a person. Undefined: nobody waits for that. */
  serves(parts: MountParts, line: string | undefined): void;
  /**
   * The mount has ended in order: its layers and its sockets are free, and the files that it writes are complete. Its decision service is
   * still to end.
   */
  gone?(): void;
  /** Gets a line for the person who mounts. */
  tell(mountpoint: string, line: string): void;
}

/** The first asks to unmount once nobody uses the mount, the second to unmount at once: see `StopRequests`. */
export const STOP_SIGNALS = ["SIGTERM", "SIGINT", "SIGHUP", "SIGQUIT"] as const;

export function onStopSignals(stop: () => void): () => void {
  const onSignal = (): void => stop();
  for (const signal of STOP_SIGNALS) process.on(signal, onSignal);
  return () => {
    for (const signal of STOP_SIGNALS) process.off(signal, onSignal);
  };
}

export function prepareProcess(config: MountConfig, hasKeeper: boolean): Logger {
  const logger = createLogger({ name: "mount", level: config.logLevel, file: config.logFile });
  hardenProcess(logger, { hasKeeper });
  return logger;
}

/** For the only mount of this process. */
export function ownProcess(host: MountHost): MountOwner {
  const announce = host.announce ?? ((line: string): void => void process.stdout.write(line));
  return {
    places: 1,
    admit: () => undefined,
    // The log file is closed with the process.
    openLog: (config) => ({ logger: prepareProcess(config, false), close: () => undefined }),
    onStop: onStopSignals,
    onExit: (detach) => {
      process.on("exit", detach);
      return () => process.off("exit", detach);
    },
    surviveBugs,
    hold: () => undefined,
    serves: (_parts, line) => {
      spareDescriptors(native.nofileLimit().soft);
      if (line !== undefined) announce(line);
    },
    tell: toStandardError,
  };
}
