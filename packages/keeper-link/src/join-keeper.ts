/**
 * How a server joins a keeper that did not start it: through the keeper's socket. It gets the offer at once, which names the mount, and
 * everything else when its turn comes.
 */
import { readlinkSync } from "node:fs";
import { native, toBytes } from "@sluice/native";
import { Errno } from "@sluice/vfs";
import type { MountPlan } from "./mount-plan.js";
import { LinkRecord, KeeperRecord } from "./records.js";
import { readMemoryFile } from "./service-link.js";

/** Raised when servers of the version before could not serve by the new offer. */
export const OFFER_VERSION = 1;
const ANSWER_TIMEOUT_MS = 10_000;

/** The numbers of processes and users that the server gets belong to these namespaces: they must be its own. */
export interface Namespaces {
  pid: string;
  user: string;
}

export interface Offer {
  version: number;
  namespaces: Namespaces;
  plan: MountPlan;
  /** The keeper's options, as options of `sluice mount`: a server of another version reads them its own way. */
  options: Readonly<Record<string, unknown>>;
}

export function namespacesHere(): Namespaces {
  return { pid: readlinkSync("/proc/self/ns/pid"), user: readlinkSync("/proc/self/ns/user") };
}

/**
 * Connects, and takes the offer. The caller owns the socket: for `untilReadable`, then `openSocketLink`.
 * @returns the negative errno if nobody answers: -EPERM if the listener is neither root nor our user, -EPIPE if it refuses us
 */
export function joinKeeper(path: string): { socket: number; offer: Offer } | number {
  const socket = native.seqpacketConnect(toBytes(path));
  if (socket < 0) return socket;
  const refuse = (errno: number): number => {
    native.close(socket);
    return -errno;
  };
  const peer = native.peerCredentials(socket);
  // This process trusts descriptors from there as root's.
  if (typeof peer === "number" || ![0, process.geteuid?.()].includes(peer.uid)) return refuse(Errno.EPERM);
  const record = new LinkRecord(1);
  const came = record.receive(socket, ANSWER_TIMEOUT_MS);
  if (came !== 1) return refuse(came === 0 ? Errno.EPIPE : -came);
  if (record.kind !== KeeperRecord.offer || record.fdCount !== 1) return refuse(Errno.EPROTO);
  return { socket, offer: JSON.parse(readMemoryFile(record.fds[0] as number)) as Offer };
}
