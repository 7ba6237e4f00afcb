/** The mounts that a keeper holds for its servers: a single one, or those of a service of many. */
import type { KeeperInfo, MountPlan } from "@sluice/keeper-link";
import type { MountResources } from "./mount-resources.js";
import { type ServerEvents, ServerLink } from "./server-link.js";
import type { ServerEnd } from "./server-process.js";

/** The keeper's end of the link to a server. */
export interface Link {
  /** Hands everything over. Call it once. */
  greet(info: KeeperInfo): void;
  /** Asks the server to make room for the next one. */
  drain(): void;
  /** Resolves once all that the server has sent so far is taken. */
  read(): Promise<unknown>;
  close(): void;
}

export interface Held {
  /** For people. */
  readonly name: string;
  /** A server has served; so if it dies, another one may go on. */
  readonly begun: boolean;
  /** The kernel has ended the connection: a server that does not end by itself hangs. */
  readonly connectionOver: boolean;
  /** Whether no other server is needed after one that ended so. */
  isOver(end: ServerEnd): boolean;
  /** The link owns the socket. */
  connect(socket: number, events: ServerEvents): Link;
  /** Unmounts, and gives everything back. */
  end(): Promise<void>;
}

export function holdOne({ mountpoint }: MountPlan, resources: MountResources): Held {
  return {
    name: mountpoint,
    get begun() {
      return resources.init !== undefined;
    },
    get connectionOver() {
      return resources.connectionOver;
    },
    isOver: () => resources.connectionOver,
    connect: (socket, events) => new ServerLink(socket, resources, events),
    end: () => resources.end(),
  };
}
