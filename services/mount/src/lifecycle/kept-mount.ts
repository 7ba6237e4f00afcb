/** A mount with a keeper: what the keeper is told, and what the server is told through it. */
import { readFileSync } from "node:fs";
import type { MountPlan } from "@sluice/keeper-link";
import { native } from "@sluice/native";
import { failed, wrong } from "../complaint.js";
import type { MountConfig } from "../config/mount-config.js";
import { makeRunDirectory } from "../control/run-directory.js";
import { preflight } from "../preflight/preflight.js";
import { keptMask } from "./least-privilege.js";
import { refuseUnseenHolders } from "./watch-revocation.js";

/** What a server is started with: `config` has passed preflight. */
export interface ServerConfig {
  config: MountConfig;
  runDirectory: string;
}

export interface KeptMount {
  plan: MountPlan;
  serverConfig: string;
  runDirectory: string;
  /** The capabilities that keeper and server may have at most. */
  capabilities: bigint;
}

export type BecomeKeeper = (kept: KeptMount) => never;

export function mountPlan(config: MountConfig): MountPlan {
  const { mountpoint, source, mountFlags: flags, lowers, dataLowers, upper, work, noatime } = config;
  return { mountpoint, source, subtype: "sluice", flags, allowOther: true, lowers, dataLowers, upper, work, noatime };
}

/** Checks everything that needs no mount, and gives the process to the keeper. Throws CliError. */
export function keepMount(given: MountConfig, become: BecomeKeeper): never {
  if (given.engine === "fuse-native") {
    throw wrong("--keeper on", "the engine fuse-native holds its connection itself", "use --engine devfuse, or --keeper off");
  }
  const config = { ...preflight(given), engine: "devfuse" as const };
  refuseUnseenHolders(config);
  const { path: runDirectory } = makeRunDirectory(config.mountpoint);
  const server: ServerConfig = { config, runDirectory };
  return become({ plan: mountPlan(config), serverConfig: JSON.stringify(server), runDirectory, capabilities: keptMask });
}

/** Of a descriptor that this process was started with. */
export function readServerConfig(fd: number): ServerConfig {
  try {
    return JSON.parse(readFileSync(`/proc/self/fd/${fd}`, "utf8")) as ServerConfig;
  } catch (cause) {
    throw failed("mount-server", `it was not started by a keeper (${String(cause)})`, "use 'sluice mount'");
  } finally {
    native.close(fd);
  }
}
