/** The peer of a control socket, as the kernel knows it. */
import type { Socket } from "node:net";
import { native } from "@sluice/native";

/** Node gives no other way to a connected socket's descriptor. */
export function descriptorOf(socket: Socket): number {
  return (socket as unknown as { _handle?: { fd?: number } })._handle?.fd ?? -1;
}

/** The process that connected; undefined if the kernel does not tell. Its pid is 0 if it is not in this pid namespace, or below. */
export function peerOf(socket: Socket): { uid: number; pid: number } | undefined {
  const peer = native.peerCredentials(descriptorOf(socket));
  return typeof peer === "number" ? undefined : peer;
}

export function peerUid(socket: Socket): number | undefined {
  return peerOf(socket)?.uid;
}
