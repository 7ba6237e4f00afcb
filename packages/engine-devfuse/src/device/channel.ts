/**
 * /dev/fuse as the engine uses it: one message a call, and the time after it in `clock`. The real channel is a descriptor; tests
 * supply bytes of their own.
 */
import { native } from "@sluice/native";
import { clock } from "../polling/clock.js";

export interface Channel {
  /** The next request's length, or a negative errno (-EAGAIN: none now; -ENODEV: unmounted). */
  read(into: Uint8Array, length: number): number;
  /** The same, but waits up to `limitUs` for a message; -EAGAIN if none comes. */
  readWithin?(into: Uint8Array, length: number, limitUs: number): number;
  /** Hands a reply over: a negative errno if the kernel refuses it. */
  write(bytes: Uint8Array, length: number): number;
}

/** The channel on an open /dev/fuse descriptor. It does not own the descriptor. */
export function deviceChannel(fd: number): Channel {
  return {
    read: (into, length) => native.readRequest(fd, into, 0, length, 0, clock.bytes),
    readWithin: (into, length, limitUs) => native.readRequest(fd, into, 0, length, limitUs, clock.bytes),
    write: (bytes, length) => native.writeReply(fd, bytes, 0, length, clock.bytes),
  };
}
