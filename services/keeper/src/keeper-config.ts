/** What a keeper is started with. It understands the plan alone; what the server is told is none of its business. */
import type { MountPlan } from "@sluice/keeper-link";

/** A program to start as the server. */
export interface ServerProgram {
  file: string;
  argv: readonly string[];
}

export interface KeeperConfig {
  plan: MountPlan;
  server: ServerProgram;
  /** Handed to each server as it is. */
  serverConfig: string;
  /** Whom servers run as; undefined: as the keeper. */
  user: { uid: number; gid: number } | undefined;
  /** How long a server that is to unmount waits for the mount's last users. */
  graceMs: number;
  /** Where the sockets of the mount lie: made before, removed by the keeper at the end. */
  runDirectory: string;
}

/** Of a keeper that starts no servers: they come to its socket, from other containers for instance. */
export interface AwaitingConfig {
  plan: MountPlan;
  /** Where it listens; made by the keeper, and removed at the end. */
  socket: string;
  /** Whom servers run as, and nobody else is let in; undefined: as the keeper. */
  user: { uid: number; gid: number } | undefined;
  /** As of KeeperConfig. */
  graceMs: number;
  /** Told to each server as it is. */
  offer: string;
  /** How long the mount may be without a server that serves, before it is unmounted. Infinity is null in JSON: for ever. */
  waitMs: number | null;
}

/** Descriptors of a server, after standard input, output and error. */
export const SERVER_FDS = { link: 3, config: 4, count: 5 } as const;
