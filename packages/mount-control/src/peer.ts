/** The peer of a control socket, as the kernel knows it. */
import type { Socket } from "node:net";
import { native } from "@sluice/native";

/** Node gives no other way to a connected socket's descriptor. */
export function descriptorOf(socket: Socket): number {
  return (socket as unknown as { _handle?: { fd?: number } })._handle?.fd ?? -1;
}

/** The uid of the peer; undefined if the kernel does not tell. */
export function peerUid(socket: Socket): number | undefined {
  const peer = native.peerCredentials(descriptorOf(socket));
  return typeof peer === "number" ? undefined : peer.uid;
}
