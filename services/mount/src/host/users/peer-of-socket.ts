/** The user at the other end of a unix socket, as the kernel noted it at the connection (SO_PEERCRED, SO_PEERGROUPS). */
import { native } from "@sluice/native";

export interface Peer {
  uid: number;
  gid: number;
  /** Supplementary groups. */
  groups: readonly number[];
}

/** As many as a server can take. */
export const MOST_GROUPS = 256;
const gids = new Uint32Array(65_536);

/** Undefined if the kernel does not name the peer, or if it has more groups than a server can take. */
export function peerOfSocket(fd: number): Peer | undefined {
  const peer = native.peerCredentials(fd);
  const count = native.peerGroups(fd, gids);
  if (typeof peer === "number" || count < 0 || count > MOST_GROUPS) return undefined;
  return { uid: peer.uid, gid: peer.gid, groups: [...gids.subarray(0, count)] };
}
