/** Starts the keeper of a mount: the configuration of the keeper, and the one that it hands to its servers. */
import { fstatSync, readSync } from "node:fs";
import { type MountPlan, namespacesHere, OFFER_VERSION, type Offer } from "@sluice/keeper-link";
import { failed, wrong } from "@sluice/runtime/cli";
import type { MountConfig, UserIds } from "../config/mount-config.js";
import type { HandedSession } from "./handed-session.js";
import { giveRunDirectory, makeRunDirectory, type RunDirectory } from "@sluice/mount-control";
import { KEEPER_CAPABILITIES, KEEPER_CAPABILITIES_FOR_A_USER } from "../preflight/check-machine.js";
import { preflight } from "../preflight/preflight.js";
import { refuseImpossibleTransport } from "../setup/choose-transport.js";
import { serverMask } from "../privilege/least-privilege.js";
import { serverPrivilege } from "../privilege/server-privilege.js";
import { refuseUnseenHolders } from "../setup/watch-revocation.js";

/** A keeper starts its server with this. `config` has passed preflight. */
export interface ServerConfig {
  config: MountConfig;
  /** Undefined: the server makes its own. */
  runDirectory: string | undefined;
  /** A bigint, in text. */
  capabilities: string;
  registerByKeeper: boolean;
  /** It joined its keeper, and is not its child. */
  joined: boolean;
  /** It is started as root, and becomes the user of the configuration with these supplementary groups; undefined: it has its user. */
  groups?: readonly number[] | undefined;
  /** Descriptors of the server's process. */
  session?: HandedSession | undefined;
}

/** For a keeper that starts its servers. */
export interface SupervisedMount {
  plan: MountPlan;
  serverConfig: string;
  runDirectory: string;
  /** As of KeeperConfig. */
  directoryIdentity: string | undefined;
  /** The user that servers run as; undefined: the keeper's. */
  user: UserIds | undefined;
  graceMs: number;
  /** The capabilities that keeper and server may have at most. */
  capabilities: bigint;
  /** As of KeeperConfig. */
  becomesUser?: boolean;
  handed?: readonly number[];
}

/** For a keeper that starts no servers: they come to `socket`, and get `offer`. */
export interface AwaitedMount {
  plan: MountPlan;
  socket: string;
  offer: string;
  /** Null: no limit. */
  waitMs: number | null;
  user: UserIds | undefined;
  graceMs: number;
  capabilities: bigint;
}

export function mountPlan(config: MountConfig): MountPlan {
  const { mountpoint, source, mountFlags: flags, labels, lowers, dataLowers, upper, work, volatile, checkedLayers: checked } = config;
  const { allowOther, user: owner } = serverPrivilege(config);
  return { mountpoint, source, subtype: "sluice", flags, labels, allowOther, owner, lowers, dataLowers, upper, work, volatile, checked };
}

/** The server's own sockets lie beside the keeper's. */
function ownedRunDirectory(mountpoint: string, user: UserIds | undefined): RunDirectory {
  const made = makeRunDirectory(mountpoint);
  if (user !== undefined) giveRunDirectory(made.path, user);
  return made;
}

/** This process becomes a keeper, or leaves nothing. @throws CliError */
export function becomeOr(undo: () => void, become: () => never): never {
  try {
    return become();
  } catch (error) {
    undo();
    throw error;
  }
}

/** Checks everything that needs no mount; then this process becomes the keeper. @throws CliError */
export function startKeeper(given: MountConfig, become: (mount: SupervisedMount) => never): never {
  if (given.engine === "fuse-native") {
    throw wrong("--keeper on", "the engine fuse-native holds its connection itself", "use --engine devfuse, or --keeper off");
  }
  refuseImpossibleTransport(given);
  const { user, capabilities, registerByKeeper } = serverPrivilege(given);
  const config = {
    ...preflight(given, { needed: user === undefined ? undefined : KEEPER_CAPABILITIES_FOR_A_USER }),
    engine: "devfuse" as const,
  };
  refuseUnseenHolders(config);
  const made = ownedRunDirectory(config.mountpoint, user);
  const { path: runDirectory, identity: directoryIdentity } = made;
  const server: ServerConfig = { config, runDirectory, capabilities: String(capabilities), registerByKeeper, joined: false };
  const mount = {
    plan: mountPlan(config),
    serverConfig: JSON.stringify(server),
    runDirectory,
    directoryIdentity,
    user,
    graceMs: config.graceMs,
    capabilities: serverMask,
  };
  return becomeOr(made.remove, () => become(mount));
}

/** The same for a keeper that starts no server: servers come to `socket`, and get the `options` of `sluice keeper`. @throws CliError */
export function startAwaitingKeeper(
  given: MountConfig,
  become: (mount: AwaitedMount) => never,
  { socket, waitMs, options }: Pick<AwaitedMount, "socket" | "waitMs"> & Pick<Offer, "options">,
): never {
  const config = preflight(given, { needed: KEEPER_CAPABILITIES });
  const plan = mountPlan(config);
  const offer: Offer = { version: OFFER_VERSION, namespaces: namespacesHere(), plan, options };
  const { user, graceMs } = config;
  return become({ plan, socket, waitMs, offer: JSON.stringify(offer), user, graceMs, capabilities: serverMask });
}

/** From a descriptor that this process was started with; it stays open. @throws CliError */
export function readServerConfig(fd: number): ServerConfig {
  try {
    const bytes = Buffer.alloc(fstatSync(fd).size);
    readSync(fd, bytes, 0, bytes.length, 0);
    return JSON.parse(bytes.toString("utf8")) as ServerConfig;
  } catch (cause) {
    throw failed("mount-server", `it was not started by a keeper (${String(cause)})`, "use 'sluice mount'");
  }
}
