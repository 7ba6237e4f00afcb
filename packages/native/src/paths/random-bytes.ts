/** Random bytes for names. Node's own module for them takes 4 to 9 ms to load: a noticeable part of the start of a command, or of its end. */
import { closeSync, openSync, readSync } from "node:fs";

/** Those of the kernel's file. On a machine without it, Node's module is loaded. */
export function randomBytes(count: number): Buffer {
  let fd: number;
  try {
    fd = openSync("/dev/urandom", "r");
  } catch {
    return process.getBuiltinModule("node:crypto").randomBytes(count);
  }
  const bytes = Buffer.alloc(count);
  const read = readSync(fd, bytes);
  closeSync(fd);
  if (read !== count) throw new Error("the kernel gives no random bytes");
  return bytes;
}
