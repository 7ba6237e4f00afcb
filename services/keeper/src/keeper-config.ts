/** The configuration of a keeper. It reads the plan alone, and passes the rest on to the server unread. */
import type { MountPlan } from "@sluice/keeper-link";

/** A program to start as the server. */
export interface ServerProgram {
  file: string;
  argv: readonly string[];
}

/** For every keeper that starts its servers. */
export interface SupervisorConfig {
  server: ServerProgram;
  /** Passed to each server unread. */
  serverConfig: string;
  /** The directory of the keeper's sockets. It exists already, and the keeper removes it at the end. */
  runDirectory: string;
}

/** For the keeper of one mount. */
export interface KeeperConfig extends SupervisorConfig {
  plan: MountPlan;
  /** Of `runDirectory` when it was made (`identityOf`). Another mount of the place has taken its name if it is another one by now. */
  directoryIdentity?: string | undefined;
  /** The user that servers run as; undefined: the keeper's. With `becomesUser` they are started as the keeper, and become that user. */
  user: { uid: number; gid: number } | undefined;
  /** The user has supplementary groups, which only the server itself can take. */
  becomesUser?: boolean;
  /** Descriptors of the keeper's process that it passes on to each server, as they are. It uses none of them. */
  handed?: readonly number[];
  /** How long a stopping server waits for the users of the mount. */
  graceMs: number;
}

/** For the keeper of a service of many mounts, which come and go. */
export interface HostKeeperConfig extends SupervisorConfig {
  /** The service's socket for clients, for people. */
  socket: string;
  /** A listening socket, which each service gets. */
  listenFd: number;
  /** The keeper removes the socket at the end. */
  ownsSocket: boolean;
  /** The most mounts of a process. */
  places: number;
  /** One end for each further process, which the first one passes connections on by. */
  passFds: readonly number[];
  /** The further processes. */
  others: readonly OtherProcess[];
}

/** Another process that serves mounts of the same service. */
export interface OtherProcess {
  serverConfig: string;
  /** The other end: it gets connections from the first process. */
  listenFd: number;
}

/** For a keeper that starts no servers: they connect to its socket, from other containers for instance. */
export interface AwaitingConfig {
  plan: MountPlan;
  /** The keeper creates this socket, and removes it at the end. */
  socket: string;
  /** The user that servers run as, and the only one that may connect; undefined: the keeper's. */
  user: { uid: number; gid: number } | undefined;
  /** As of KeeperConfig. */
  graceMs: number;
  /** Passed to each server unread. */
  offer: string;
  /** How long the mount may be without a server before the keeper unmounts it. Null: for ever. */
  waitMs: number | null;
}

/**
 * Descriptors of a server, after standard input, output and error. Of one mount, those that are passed on follow `config`; of a service, those
 * of its further processes follow `listen`.
 */
export const SERVER_FDS = { link: 3, config: 4, listen: 5, handed: 5, pass: 6 } as const;
