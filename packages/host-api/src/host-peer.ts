/** The process that listens at the socket of a host service. */
import { native } from "@sluice/native";

/**
 * The reason why no client may talk to the process at the other end of this connection; undefined if it is root or this user. Whoever answers
 * tells the client that a mount is there.
 */
export function strangerAt(fd: number): string | undefined {
  const peer = native.peerCredentials(fd);
  if (typeof peer !== "number" && [0, process.geteuid?.()].includes(peer.uid)) return undefined;
  return `a process of uid ${typeof peer === "number" ? "?" : peer.uid} answers there, not one of root (EPERM)`;
}
