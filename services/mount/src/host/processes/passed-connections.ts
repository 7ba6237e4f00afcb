/**
 * Connections that the first process of a service passes on to another one, each in a record: its descriptor, and the bytes that were read from
 * it already. The socket for these records outlives both processes, so a connection waits in it while another process takes over.
 */
import { Socket } from "node:net";
import { native, type Poller } from "@sluice/native";
import { Errno } from "@sluice/vfs";

/** A record of the kernel's is never larger, nor does one have more bytes than fit in the room of a socket. */
export const MAX_PASSED_BYTES = 65_535;
const COUNT_SHIFT = 2 ** 16;
const TRUNCATED = 2 ** 32;

/** @returns false if the other process cannot have it: the caller still has the connection then */
export function passConnection(over: number, fd: number, read: Uint8Array): boolean {
  if (read.length === 0 || read.length > MAX_PASSED_BYTES) return false;
  return native.sendMessage(over, read, read.length, Int32Array.of(fd), 1, 0) === read.length;
}

export interface PassedConnections {
  /** Takes no further one: they wait for the next process. */
  close(): void;
}

/** Calls `take` for each connection that comes over the socket `over`. */
export function takePassed(over: number, take: (socket: Socket, read: Buffer) => void): PassedConnections {
  const bytes = Buffer.alloc(MAX_PASSED_BYTES);
  const fds = new Int32Array(1);
  const next = (): boolean => {
    const came = native.receiveMessage(over, bytes, fds, 0);
    if (came === 0) poller.close();
    if (came <= 0) return came === -Errno.EINTR;
    const count = Math.floor((came % TRUNCATED) / COUNT_SHIFT);
    if (count !== 1) return true;
    take(new Socket({ fd: fds[0] as number, readable: true, writable: true }), Buffer.from(bytes.subarray(0, came % COUNT_SHIFT)));
    return true;
  };
  const poller: Poller = native.poll(over, (status) => {
    if (status < 0) return poller.close();
    while (next());
  });
  return { close: () => poller.close() };
}
