/** The keeper of a mount, as the server of the mount sees it. */
import type { KeeperLink } from "@sluice/keeper-link";
import type { HandedSession } from "./handed-session.js";

export interface KeeperSession {
  link: KeeperLink;
  /** The keeper's directory of sockets; undefined: this process makes its own. */
  runDirectory: string | undefined;
  /** The keeper did not start this process and does not start the next one: a signal leaves the mount to the server that comes. */
  joined: boolean;
  /** Of an ordinary user. */
  session?: HandedSession | undefined;
}
