/** Memory files that hold a text: how one process passes its configuration to the next. */
import { native } from "./native.js";

/** @returns a descriptor, or the negative errno. `name` is for people who list descriptors. */
export function memoryFileOf(name: string, text: string): number {
  const bytes = Buffer.from(text);
  const fd = native.memoryFile(name);
  if (fd >= 0) native.pwrite(fd, bytes, { offset: 0, length: bytes.length, position: 0 }, 0);
  return fd;
}
