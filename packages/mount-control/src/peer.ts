/** The other end of a control socket, as the kernel knows it. */
import type { Socket } from "node:net";
import { native } from "@sluice/native";

/** Node gives no other way to a connected socket's descriptor. */
export function descriptorOf(socket: Socket): number {
  return (socket as unknown as { _handle?: { fd?: number } })._handle?.fd ?? -1;
}

/** Who connected, or who listens there; undefined if that cannot be told. */
export function peerUid(socket: Socket): number | undefined {
  const peer = native.peerCredentials(descriptorOf(socket));
  return typeof peer === "number" ? undefined : peer.uid;
}
